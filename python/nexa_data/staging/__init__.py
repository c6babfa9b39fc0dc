"""A catalog's shards on local disk: copied, proven, reused, kept within bounds, and removed again."""

from nexa_data.staging.evict import evict
from nexa_data.staging.plan import STAGED_KIND
from nexa_data.staging.report import read_report
from nexa_data.staging.stage import stage_catalog, stage_catalog_to_nvme, staged_folder
from nexa_data.staging.unstage import unstage

__all__ = [
    "STAGED_KIND",
    "evict",
    "read_report",
    "stage_catalog",
    "stage_catalog_to_nvme",
    "staged_folder",
    "unstage",
]
