"""From statistics and rules to findings, and from findings to what is said of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from nexa_data.findings import Finding, Severity
from nexa_data.quality.judging import Seen, check_statistics
from nexa_data.quality.observations import observe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nexa_data.quality.checks import Check
    from nexa_data.quality.row_checks import RowChecks

__all__ = ["Seen", "judge", "refusal"]

_DECIDED = {
    "class-imbalance": {"max_class_imbalance"},
    "conflicting-labels": {"no_conflicts"},
    "drift": {"max_drift"},
    "duplicate-rows": {"max_duplicates"},
    "few-records-of-class": {"min_class_count"},
    "infinite-values": {"max_infinite_share"},
    "leakage": {"no_leakage"},
    "nan-values": {"max_nan_share", "not_null"},
    "null-values": {"max_nan_share", "max_null_share", "not_null"},
    "outliers": {"max_outlier_share"},
}
"""Observation → rules that decide about the same: where one is given, its word is the last."""

_MOST_LINES = 18


def judge(checks: Sequence[Check], seen: Seen, row_checks: RowChecks | None = None) -> list[Finding]:
    """Return what is against the rules and, of what no rule decides about, what is remarkable; the worst first.

    Args:
        checks: The rules.
        seen: What they are held against.
        row_checks: The same rules, having seen the rows.
    """
    found = check_statistics(checks, seen) + ([] if row_checks is None else row_checks.findings())
    decided = {check.name for check in checks if not check.columns}
    observed = observe(seen.statistics, seen.drift)
    found += [each for each in observed if not _DECIDED.get(each.code, set()) & decided]
    return sorted(found, key=lambda each: -each.severity.rank)


def refusal(findings: Iterable[Finding], fail_on: Severity = Severity.ERROR) -> str:
    """Return what has to be mended, on one screen: the worst first, each with its remedy; what has no room is counted.

    Example:
        >>> print(refusal([Finding("nan-share", Severity.ERROR, "3 of 9 values are NaN", remedy="fill them")]))
          error: 3 of 9 values are NaN; fill them
    """
    bad = [each for each in findings if each.severity.rank >= fail_on.rank]
    bad.sort(key=lambda each: -each.severity.rank)
    per_code: Counter[str] = Counter()
    shown: list[str] = []
    room = max(2, _MOST_LINES // max(1, len({each.code for each in bad})))
    for each in bad:
        per_code[each.code] += 1
        if per_code[each.code] <= room and len(shown) < _MOST_LINES:
            rows = f" (rows {', '.join(map(str, each.rows[:5]))})" if each.rows else ""
            shown.append(
                f"  {each.severity}: {each.message}{rows}" + (f"; {each.remedy}" if each.remedy else "")
            )
    if len(shown) < len(bad):
        shown.append(f"  and {len(bad) - len(shown)} more")
    return "\n".join(shown)
