"""The data hub between raw data and a training loop.

Everything public is here by name and imported when it is first used, so that `import nexa_data` stays light:

    from nexa_data import build_dataloaders, prepare_from_config, stage_catalog_to_nvme
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexa_data.artifacts import ArtifactMeta
    from nexa_data.augment import Augmentor, apply_augmentations
    from nexa_data.catalog import ShardCatalog, ShardRecord
    from nexa_data.config import Config, load_config
    from nexa_data.datasets.shards import ShardDataset
    from nexa_data.datasets.synthetic import SyntheticClassificationDataset
    from nexa_data.distill_materialize import materialize_distilled_dataset
    from nexa_data.errors import NexaError
    from nexa_data.filters.basic import filter_by_label
    from nexa_data.loaders.torch_loader import build_loader
    from nexa_data.pipeline import DataPipeline
    from nexa_data.prepare import build_dataloaders, prepare_from_config, stage_catalog_to_nvme
    from nexa_data.registry import DatasetRegistry, register

__version__: str

__all__ = [
    "ArtifactMeta",
    "Augmentor",
    "Config",
    "DataPipeline",
    "DatasetRegistry",
    "NexaError",
    "ShardCatalog",
    "ShardDataset",
    "ShardRecord",
    "SyntheticClassificationDataset",
    "__version__",
    "apply_augmentations",
    "build_dataloaders",
    "build_loader",
    "filter_by_label",
    "load_config",
    "materialize_distilled_dataset",
    "prepare_from_config",
    "register",
    "stage_catalog_to_nvme",
]

_HOMES = {
    "ArtifactMeta": "artifacts",
    "Augmentor": "augment",
    "Config": "config",
    "DataPipeline": "pipeline",
    "DatasetRegistry": "registry",
    "NexaError": "errors",
    "ShardCatalog": "catalog",
    "ShardDataset": "datasets.shards",
    "ShardRecord": "catalog",
    "SyntheticClassificationDataset": "datasets.synthetic",
    "apply_augmentations": "augment",
    "build_dataloaders": "prepare",
    "build_loader": "loaders.torch_loader",
    "filter_by_label": "filters.basic",
    "load_config": "config",
    "materialize_distilled_dataset": "distill_materialize",
    "prepare_from_config": "prepare",
    "register": "registry",
    "stage_catalog_to_nvme": "prepare",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version  # itself a tenth of the time that importing us may take

        return version("nexa-data")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
