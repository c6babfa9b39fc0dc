"""All that `validate` looks at: a catalog's word, and the quality of the data that it names."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from nexa_data.artifact_facts import class_count
from nexa_data.artifacts import is_complete, read_meta
from nexa_data.catalog import CATALOG_NAME, is_catalog
from nexa_data.errors import ConfigError, ShardNotFoundError
from nexa_data.findings import Finding, Severity, refuses
from nexa_data.quality.drift import measure_drift
from nexa_data.quality.measure import measure_target
from nexa_data.quality.model import QualityReport, QualityStatistics, Target
from nexa_data.quality.report import artifact_target, quality_report, read_statistics
from nexa_data.quality.row_checks import RowChecks
from nexa_data.quality.verdict import Seen, judge
from nexa_data.verification import Verification, verify

if TYPE_CHECKING:
    from nexa_data.config_reading import ReadConfig
    from nexa_data.quality.checks import Check

__all__ = ["Asked", "read_rules", "validate_target"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be looked at.

    Args:
        full: Read every byte.
        checks: Rules that the data is held against.
        reference: Data to measure drift from.
        label: Column of a source's label.
        wanted: Format of source files; default: recognised.
        read: How they are read where their format leaves that open.
        report: Whether a report is wanted, so that data without stored statistics is measured for it.
        fail_on: Severity from which on the data is refused.
    """

    full: bool = False
    checks: list[Check] = field(default_factory=list)
    reference: str | None = None
    label: str | None = None
    wanted: str | None = None
    read: ReadConfig | None = None
    report: bool = False
    fail_on: Severity = Severity.ERROR


def validate_target(target: str, asked: Asked = Asked()) -> tuple[Verification, QualityReport | None]:
    """Check a target, and say what is wrong with it.

    An artifact's stored statistics are what is judged, unless rules have to see rows or all is to be read; a catalog
    without statistics, whose shards may be anything, is measured where that is asked for (by rules, a reference, a
    report); source files are always read once.

    Args:
        target: An artifact's folder, a catalog, a folder of either, or file, folder, glob or name of source files.
        asked: What is to be looked at.

    Returns:
        All findings, and the report on the data's quality; None where nothing was measured.

    Raises:
        ShardNotFoundError: There is no such target.
        ArtifactError: It is none, or the reference has no statistics and no data.
        RecordError: A record can't be read.
    """
    path = Path(target)
    if not _is_ours(path):
        found = Verification(path.absolute() if path.exists() else path, "source", None, True, ())
    else:
        found = verify(path, full=asked.full)
        if refuses(found.findings):
            return found, None  # what isn't what it says has no quality that could be told
    report = _quality(target, path, asked)
    if report is None:
        return found, None
    entries = [
        Finding(**{**each.model_dump(), "severity": Severity(each.severity)}) for each in report.findings
    ]
    return replace(found, findings=(*found.findings, *entries), rows=report.statistics.rows), report


def _is_ours(path: Path) -> bool:
    if path.is_dir():
        return is_complete(path) or (path / "meta.json").is_file() or (path / CATALOG_NAME).is_file()
    return is_catalog(path) or (path.suffix == ".jsonl" and path.name == CATALOG_NAME)


def _quality(target: str, path: Path, asked: Asked) -> QualityReport | None:
    folder = path if path.is_dir() else path.parent
    stored = read_statistics(folder) if _is_ours(path) and is_complete(folder) else None
    rows = RowChecks(asked.checks)
    wanted = asked.report or asked.reference is not None or bool(asked.checks)
    if stored is None and _is_ours(path) and not wanted:
        return None
    if _is_ours(path) and not _has_rows(folder, path):
        return None
    measured = stored
    if measured is None or rows or asked.full:
        measured = measure_target(
            target, label=asked.label, wanted=asked.wanted, read=asked.read, row_checks=rows or None
        )
    drift = None
    if asked.reference is not None:
        reference, of = _reference(asked.reference, asked)
        drift = measure_drift(measured, reference, of)
    seen = Seen(measured, class_count(folder) if _is_ours(path) else None, drift)
    meta = read_meta(folder) if _is_ours(path) and is_complete(folder) else None
    return quality_report(
        measured,
        judge(asked.checks, seen, rows or None),
        Target(kind="source" if not _is_ours(path) else "catalog", uri=target)
        if meta is None
        else artifact_target(meta),
        fail_on=asked.fail_on,
        rules=[check.given for check in asked.checks],
        drift=drift,
        provenance={} if meta is None else {"inputs": meta.inputs, "labels": meta.labels},
    )


def _has_rows(folder: Path, path: Path) -> bool:
    return path.is_file() or (folder / CATALOG_NAME).is_file()


def _reference(target: str, asked: Asked) -> tuple[QualityStatistics, Target]:
    path = Path(target)
    if path.is_dir() and is_complete(path):
        stored = read_statistics(path.resolve())
        of = artifact_target(read_meta(path))
        return (measure_target(path.resolve()) if stored is None else stored), of
    measured = measure_target(target, label=asked.label, wanted=asked.wanted, read=asked.read)
    return measured, Target(kind="source", uri=target)


def read_rules(file: Path) -> list[Any]:
    """Read rules: a list as in a config's `data.checks`, or a mapping that has one under `checks` (or `data.checks`).

    Raises:
        ShardNotFoundError: There is no such file.
        ConfigError: It is no YAML, or holds something else.
    """
    try:
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ShardNotFoundError(f"{file}: {error.strerror}", remedy="name a file of rules") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is no YAML: {error}") from error
    if isinstance(said, dict):
        said = said.get(
            "checks", (said.get("data") or {}).get("checks") if isinstance(said.get("data"), dict) else None
        )
    if not isinstance(said, list):
        raise ConfigError(
            f"{file} holds no list of rules", remedy="write them as `- max_nan_share: 0`, or under `checks:`"
        )
    return said
