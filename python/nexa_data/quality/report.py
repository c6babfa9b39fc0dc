"""The report on data's quality as a file: its form, and where it is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from nexa_data.artifacts import is_complete, read_meta, write_atomic
from nexa_data.errors import ArtifactError
from nexa_data.findings import Finding, Severity, refuses
from nexa_data.quality.model import (
    REPORT_NAME,
    REPORT_SCHEMA_VERSION,
    FindingEntry,
    QualityReport,
    QualityStatistics,
    Target,
)
from nexa_data.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from nexa_data.artifacts import ArtifactMeta
    from nexa_data.quality.model import DriftReport

__all__ = [
    "artifact_target",
    "quality_report",
    "read_report",
    "read_statistics",
    "report_schema",
    "stored_findings",
    "write_report",
]


def quality_report(
    statistics: QualityStatistics,
    findings: Sequence[Finding],
    target: Target,
    *,
    fail_on: Severity = Severity.ERROR,
    rules: Sequence[Any] = (),
    drift: DriftReport | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> QualityReport:
    """Return the report.

    Args:
        statistics: What the data looks like.
        findings: What is wrong with it.
        target: What it is of.
        fail_on: Severity from which on the data is refused.
        rules: The rules, as they were written.
        drift: How far it is from a reference.
        provenance: Where it came from.
    """
    return QualityReport(
        verdict="refused" if refuses(findings, fail_on) else "accepted",
        fail_on=fail_on.value,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        target=Target(**redacted(target.model_dump())),
        findings=tuple(FindingEntry(**redacted(each.as_dict())) for each in findings),
        rules=tuple(redacted(rule if isinstance(rule, dict) else {str(rule): True}) for rule in rules),
        statistics=statistics,
        drift=drift,
        provenance=redacted(provenance or {}),
    )


def write_report(report: QualityReport, path: Path) -> None:
    """Write the report as JSON, whole or not at all."""
    write_atomic(path, (report.model_dump_json() + "\n").encode())


def report_schema() -> dict[str, Any]:
    """Return the JSON Schema of `quality_report.json`."""
    return QualityReport.model_json_schema()


def artifact_target(meta: ArtifactMeta) -> Target:
    """Return what a report says of the artifact that it is of."""
    return Target(
        kind=meta.kind,
        uri=meta.uri,
        name=meta.labels.get("dataset_name"),
        version=meta.labels.get("dataset_version"),
        hash=meta.hash,
        created_at=meta.created_at,
    )


def read_statistics(folder: Path) -> QualityStatistics | None:
    """Return the statistics that are stored with an artifact, None if it has none.

    Raises:
        ArtifactError: They are damaged, or of a later version.
    """
    return read_report(folder).statistics if (folder / REPORT_NAME).is_file() else None


def read_report(target: Path) -> QualityReport:
    """Read a report: a `quality_report.json`, or that of an artifact.

    Raises:
        ArtifactError: There is none, or it is damaged, or of a later version.
    """
    file = target / REPORT_NAME if target.is_dir() else target
    if not file.is_file():
        what = read_meta(target).uri if target.is_dir() and is_complete(target) else str(target)
        raise ArtifactError(
            f"{what} has no {REPORT_NAME}",
            remedy=f"make one with `nexa-data validate {target} --output FOLDER`, and name that",
        )
    return _read(file)


def stored_findings(folder: Path) -> list[Finding]:
    """Return the findings of the report that is stored with an artifact; none if it has no report."""
    if not (folder / REPORT_NAME).is_file():
        return []
    entries = (each.model_dump() for each in read_report(folder).findings)
    return [Finding(**{**each, "severity": Severity(each["severity"])}) for each in entries]


def _read(file: Path) -> QualityReport:
    content = file.read_bytes()
    try:
        return QualityReport.model_validate_json(content)
    except ValidationError as error:
        try:
            version = json.loads(content).get("schema_version", 0)
        except (ValueError, AttributeError):
            version = 0
        if isinstance(version, int) and version > REPORT_SCHEMA_VERSION:
            raise ArtifactError(
                f"{file} is of version {version}, and this build knows up to {REPORT_SCHEMA_VERSION}",
                remedy="use a newer nexa-data",
            ) from error
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ArtifactError(
            f"{file} is damaged: {where}: {first['msg']}",
            remedy="make it anew with `nexa-data validate ARTIFACT --output FOLDER`",
        ) from error
