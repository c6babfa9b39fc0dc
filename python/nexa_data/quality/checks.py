"""The rules of a config's `checks:`, evaluated on what was gathered while the rows passed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nexa_data.config_source import nearest
from nexa_data.errors import ConfigError
from nexa_data.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nexa_data.datasets.statistics import SplitStatistics

__all__ = ["Check", "parse_checks", "run_checks"]


@dataclass(frozen=True, slots=True)
class Check:
    """One rule: its name, its bound, and how bad it is when the data breaks it."""

    name: str
    value: Any
    severity: Severity = Severity.ERROR
    options: dict[str, float] = field(default_factory=dict)


def parse_checks(checks: Sequence[str | Mapping[str, Any]]) -> list[Check]:
    """Return the rules that the config's `checks:` names.

    Known are `max_nan_share: S` (share of NaN among all feature values of a split), `range: {min: A, max: B}`
    (bounds of all feature values) and `min_class_count: N` (records of each class in train). Each takes
    `severity: warning|error|critical` in its long form, `{max_nan_share: {value: 0, severity: warning}}`.

    Raises:
        ConfigError: A rule is unknown or malformed.
    """
    return [_parse(number, item) for number, item in enumerate(checks)]


def _parse(number: int, item: str | Mapping[str, Any]) -> Check:
    place = f"data.checks[{number}]"
    if isinstance(item, str) or len(item) != 1:
        raise ConfigError(f"{place}: {item!r} has no bound", remedy="write it as {max_nan_share: 0}")
    ((name, value),) = item.items()
    if name not in _RULES:
        near = nearest(name, sorted(_RULES))
        hint = f"did you mean {near}? " if near else ""
        raise ConfigError(
            f"{place}: unknown rule {name!r}", remedy=f"{hint}known: {', '.join(sorted(_RULES))}"
        )
    options = dict(value) if isinstance(value, Mapping) else {"value": value}
    try:
        severity = Severity(options.pop("severity", Severity.ERROR))
    except ValueError as error:
        raise ConfigError(f"{place}.severity is none of {', '.join(Severity)}") from error
    wanted = {"min", "max"} if name == "range" else {"value"}
    numeric = all(
        isinstance(bound, int | float) and not isinstance(bound, bool) for bound in options.values()
    )
    if not options or not set(options) <= wanted or not numeric:
        raise ConfigError(f"{place}.{name} wants numbers for {' or '.join(sorted(wanted))}, not {options}")
    return Check(name, options.get("value"), severity, options)


def run_checks(
    checks: Sequence[Check], splits: Mapping[str, SplitStatistics], num_classes: int | None
) -> list[Finding]:
    """Return what the splits' statistics say against the rules."""
    return [finding for check in checks for finding in _RULES[check.name](check, splits, num_classes)]


def _max_nan_share(
    check: Check, splits: Mapping[str, SplitStatistics], num_classes: int | None
) -> Iterator[Finding]:
    del num_classes
    for split, seen in splits.items():
        share = seen.nan_count / seen.values if seen.values else 0.0
        if share > check.value:
            origin, row, feature = seen.first_nan or ("", 0, 0)
            yield Finding(
                code="nan-share",
                severity=check.severity,
                message=f"{seen.nan_count} of {seen.values} feature values in {split} are NaN or null ({share:.2%}, "
                f"allowed {check.value:.2%}); the first is feature {feature} in {origin}, row {row}",
                column="features",
                count=seen.nan_count,
                share=share,
                rows=(row,),
                remedy="fill or drop such rows, or raise checks.max_nan_share",
            )


def _range(check: Check, splits: Mapping[str, SplitStatistics], num_classes: int | None) -> Iterator[Finding]:
    del num_classes
    low, high = check.options.get("min"), check.options.get("max")
    for split, seen in splits.items():
        below = low is not None and seen.minimum is not None and seen.minimum < low
        above = high is not None and seen.maximum is not None and seen.maximum > high
        if below or above:
            yield Finding(
                code="out-of-range",
                severity=check.severity,
                message=f"feature values in {split} lie in [{seen.minimum:g}, {seen.maximum:g}], allowed "
                f"[{'-inf' if low is None else low}, {'inf' if high is None else high}]",
                column="features",
                remedy="clip or scale the source, or widen checks.range",
            )


def _min_class_count(
    check: Check, splits: Mapping[str, SplitStatistics], num_classes: int | None
) -> Iterator[Finding]:
    train = splits.get("train")
    if train is None:
        return
    counts = {
        label: train.class_counts.get(label, 0) for label in range(num_classes or 0)
    } | train.class_counts
    few = {label: count for label, count in counts.items() if count < check.value}
    if few:
        shown = ", ".join(f"{label}: {count}" for label, count in sorted(few.items())[:10])
        yield Finding(
            code="few-records-of-class",
            severity=check.severity,
            message=f"{len(few)} classes have fewer than {check.value} records in train ({shown})",
            column="label",
            count=len(few),
            share=len(few) / len(counts),
            remedy="add records of these classes, or lower checks.min_class_count",
        )


_Rule = Callable[[Check, Mapping[str, "SplitStatistics"], int | None], "Iterator[Finding]"]
_RULES: dict[str, _Rule] = {
    "max_nan_share": _max_nan_share,
    "min_class_count": _min_class_count,
    "range": _range,
}
