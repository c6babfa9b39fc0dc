"""The one form in which every check reports what it found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["SCHEMA_VERSION", "Finding", "Severity", "findings_report", "refuses"]

SCHEMA_VERSION = 1
"""Version of the report's form; raised when a field changes its meaning."""


class Severity(StrEnum):
    """How bad a finding is; the order of the members is the order of severity."""

    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Position in the order of severity, 0 for the mildest."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found.

    Args:
        code: Stable name for machines, such as `duplicate-uri`.
        severity: How bad it is.
        message: What was found, for a person, in one line.
        column: The column it is about.
        count: How many rows or shards are affected.
        share: The same as a share of all, in [0, 1].
        shard: uri of the shard it is about.
        line: Line of the catalog or config, counted from 1.
        rows: A few affected row numbers, counted from 0 in the shard or split.
        remedy: What to do about it.
    """

    code: str
    severity: Severity
    message: str
    column: str | None = None
    count: int | None = None
    share: float | None = None
    shard: str | None = None
    line: int | None = None
    rows: tuple[int, ...] = ()
    remedy: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as plain values for JSON."""
        return {**asdict(self), "severity": str(self.severity), "rows": list(self.rows)}

    def __str__(self) -> str:
        """Return place, message and remedy in one line."""
        place = ":".join(str(part) for part in (self.shard, self.line) if part is not None)
        text = f"{place}: {self.message}" if place else self.message
        return f"{text}; {self.remedy}" if self.remedy else text


def refuses(findings: Iterable[Finding], fail_on: Severity = Severity.ERROR) -> bool:
    """Say whether any finding is at least as bad as `fail_on`.

    Example:
        >>> refuses([Finding("empty-split", Severity.WARNING, "no rows")])
        False
    """
    return any(finding.severity.rank >= fail_on.rank for finding in findings)


def findings_report(findings: Sequence[Finding], fail_on: Severity = Severity.ERROR) -> dict[str, Any]:
    """Return `{schema_version, verdict, findings}`, the form that `--json` prints and reports store."""
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": "refused" if refuses(findings, fail_on) else "accepted",
        "findings": [finding.as_dict() for finding in findings],
    }
