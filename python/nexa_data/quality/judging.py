"""What the rules say of statistics: those that no row has to be looked at for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nexa_data.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nexa_data.quality.checks import Check
    from nexa_data.quality.model import ColumnQuality, DriftReport, QualityStatistics

__all__ = ["Seen", "check_statistics"]

_NAMED = 6


@dataclass(frozen=True, slots=True)
class Seen:
    """What rules are held against.

    Args:
        statistics: What the data looks like.
        num_classes: Number of classes that are meant to be there; None if the labels decide.
        drift: How far it is from a reference; None without one.
        first_nan: Split → origin, row there and feature of the first NaN, where the source is known.
    """

    statistics: QualityStatistics
    num_classes: int | None = None
    drift: DriftReport | None = None
    first_nan: Mapping[str, tuple[str, int, int]] | None = None


def check_statistics(checks: Sequence[Check], seen: Seen) -> list[Finding]:
    """Return what the statistics say against the rules; those that have to see rows are passed over.

    Args:
        checks: The rules.
        seen: What they are held against.
    """
    return [
        finding for check in checks if check.name in _RULES for finding in _RULES[check.name](check, seen)
    ]


def _columns(check: Check, seen: Seen, *kinds: str) -> Iterator[tuple[str, list[ColumnQuality]]]:
    """Yield split and the columns that a rule is about: all but the label, unless it is named."""
    for split, found in seen.statistics.splits.items():
        label = found.label and "label"
        usual = [
            column.name
            for column in found.columns
            if column.name != label and (not kinds or column.kind in kinds)
        ]
        names = {*check.chosen(column.name for column in found.columns)} if check.columns else {*usual}
        yield split, [column for column in found.columns if column.name in names]


def _finding(check: Check, code: str, message: str, **more: Any) -> Finding:
    return Finding(code=code, severity=check.severity, message=message, **more)


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _one(columns: Sequence[ColumnQuality]) -> str | None:
    return columns[0].name if len(columns) == 1 else None


def _share_rule(
    check: Check, seen: Seen, code: str, what: str, count: Callable[[ColumnQuality], int], remedy: str
) -> Iterator[Finding]:
    """Hold a share of all values of the columns against a bound: of each column, where columns are named."""
    for split, columns in _columns(
        check, seen, "number", "boolean", *(("text", "binary", "list") if "null" in code else ())
    ):
        for group in [[column] for column in columns] if check.columns else [columns]:
            total, values = sum(map(count, group)), sum(column.values for column in group)
            share = total / values if values else 0.0
            if share > check.value:
                bad = [column for column in group if count(column)]
                rows = [column.first_missing for column in bad if column.first_missing is not None]
                yield _finding(
                    check,
                    code,
                    f"{total} of {values} values in {split} are {what} ({share:.2%}, allowed {check.value:.2%}): "
                    f"{_named([column.name for column in bad])}{_first(seen, split, code)}",
                    column=_one(bad),
                    count=total,
                    share=share,
                    rows=(min(rows),) if rows and "infinite" not in code else (),
                    remedy=remedy,
                )


def _first(seen: Seen, split: str, code: str) -> str:
    if code != "nan-share" or not seen.first_nan or split not in seen.first_nan:
        return ""
    origin, row, feature = seen.first_nan[split]
    return f"; the first is feature {feature} in {origin}, row {row}"


def _max_nan_share(check: Check, seen: Seen) -> Iterator[Finding]:
    return _share_rule(
        check,
        seen,
        "nan-share",
        "NaN or null",
        lambda column: column.nans + column.nulls,
        "fill or drop such rows, or raise checks.max_nan_share",
    )


def _max_null_share(check: Check, seen: Seen) -> Iterator[Finding]:
    return _share_rule(
        check,
        seen,
        "null-share",
        "null",
        lambda column: column.nulls,
        "fill or drop such rows, or raise checks.max_null_share",
    )


def _max_infinite_share(check: Check, seen: Seen) -> Iterator[Finding]:
    return _share_rule(
        check,
        seen,
        "infinite-share",
        "infinite",
        lambda column: column.positive_infinities + column.negative_infinities,
        "clip or drop such rows, or raise checks.max_infinite_share",
    )


def _max_outlier_share(check: Check, seen: Seen) -> Iterator[Finding]:
    return _share_rule(
        check,
        seen,
        "outlier-share",
        "outliers",
        lambda column: column.outliers,
        "clip or drop such rows, or raise checks.max_outlier_share",
    )


def _not_null(check: Check, seen: Seen) -> Iterator[Finding]:
    for split, columns in _columns(check, seen):
        for column in columns:
            missing = column.nulls + column.nans
            if not check.tolerates(missing, column.values):
                yield _finding(
                    check,
                    "null-values",
                    f"{column.name} is null or NaN {missing:,} times in {split} "
                    f"({missing / column.values:.2%}, allowed {check.tolerance})",
                    column=column.name,
                    count=missing,
                    share=missing / column.values,
                    rows=() if column.first_missing is None else (column.first_missing,),
                    remedy="fill or drop such rows",
                )


def _range(check: Check, seen: Seen) -> Iterator[Finding]:
    if check.max_share is not None or check.max_count is not None:
        return  # rows have to be counted
    yield from _bounded(
        check,
        seen,
        "out-of-range",
        "values",
        lambda column: (column.min, column.max),
        "clip or scale the source",
    )
    for split, columns in _columns(check, seen, "number"):
        for column in columns:
            bad = (column.positive_infinities if check.options.get("max") is not None else 0) + (
                column.negative_infinities if check.options.get("min") is not None else 0
            )
            if bad:
                yield _finding(
                    check,
                    "out-of-range",
                    f"{column.name} is infinite {bad:,} times in {split}",
                    column=column.name,
                    count=bad,
                    share=bad / column.values,
                    remedy="clip or drop such rows",
                )


def _mean(check: Check, seen: Seen) -> Iterator[Finding]:
    return _bounded(
        check,
        seen,
        "mean-out-of-range",
        "mean",
        lambda column: (column.mean, column.mean),
        "look at its source",
    )


def _std(check: Check, seen: Seen) -> Iterator[Finding]:
    return _bounded(
        check,
        seen,
        "std-out-of-range",
        "standard deviation",
        lambda column: (column.std, column.std),
        "look at its source",
    )


def _bounded(
    check: Check,
    seen: Seen,
    code: str,
    what: str,
    extremes: Callable[[ColumnQuality], tuple[float | None, float | None]],
    remedy: str,
) -> Iterator[Finding]:
    low, high = check.options.get("min"), check.options.get("max")
    for split, columns in _columns(check, seen, "number"):
        bad: list[tuple[ColumnQuality, float, float]] = []
        for column in columns:
            least, most = extremes(column)
            if least is None or most is None:
                continue
            if (low is not None and least < low) or (high is not None and most > high):
                bad.append((column, least, most))
        if bad:
            allowed = f"[{'-inf' if low is None else low}, {'inf' if high is None else high}]"
            lie = f"[{min(each[1] for each in bad):g}, {max(each[2] for each in bad):g}]"
            names = [each[0].name for each in bad]
            yield _finding(
                check,
                code,
                f"{what} of {_named(names)} in {split} lie in {lie}, allowed {allowed}",
                column=names[0] if len(names) == 1 else None,
                remedy=f"{remedy}, or widen checks.{check.name}",
            )


def _dtype(check: Check, seen: Seen) -> Iterator[Finding]:
    for split, columns in _columns(check, seen):
        bad = [column for column in columns if column.dtype != check.value]
        if bad:
            found = sorted({column.dtype for column in bad})
            yield _finding(
                check,
                "wrong-dtype",
                f"{_named([column.name for column in bad])} in {split} are {', '.join(found)}, not {check.value}",
                column=_one(bad),
                count=len(bad),
                remedy="cast the source, or correct checks.dtype",
            )


def _min_class_count(check: Check, seen: Seen) -> Iterator[Finding]:
    train = seen.statistics.splits.get("train")
    if train is None or train.label is None:
        return
    counts = {str(label): 0 for label in range(seen.num_classes or 0)} | train.label.counts
    few = {label: count for label, count in counts.items() if count < check.value}
    if few:
        ordered = sorted(few.items(), key=lambda each: (len(each[0]), each[0]))[:10]
        shown = ", ".join(f"{train.label.names.get(label, label)}: {count}" for label, count in ordered)
        yield _finding(
            check,
            "few-records-of-class",
            f"{len(few)} classes have fewer than {check.value} records in train ({shown})",
            column="label",
            count=len(few),
            share=len(few) / len(counts),
            remedy="add records of these classes, or lower checks.min_class_count",
        )


def _max_class_imbalance(check: Check, seen: Seen) -> Iterator[Finding]:
    for split, found in seen.statistics.splits.items():
        counts = {} if found.label is None else found.label.counts
        if len(counts) > 1 and max(counts.values()) > check.value * min(counts.values()):
            most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
            yield _finding(
                check,
                "class-imbalance",
                f"in {split} class {most} has {counts[most]:,} records and class {least} {counts[least]:,}, "
                f"{counts[most] / counts[least]:.1f} times as many (allowed {check.value:g})",
                column="label",
                remedy="add records, weigh the classes, or set order.balance",
            )


def _min_rows(check: Check, seen: Seen) -> Iterator[Finding]:
    for split, found in seen.statistics.splits.items():
        if found.rows < check.value:
            yield _finding(
                check,
                "few-rows",
                f"{split} has {found.rows:,} records, at least {check.value:,} are wanted",
                count=found.rows,
                remedy="add records, or lower checks.min_rows",
            )


def _per_split(
    check: Check, seen: Seen, counts: Mapping[str, int], code: str, what: str, remedy: str
) -> Iterator[Finding]:
    for split, count in counts.items():
        rows = seen.statistics.splits[split].rows
        if not check.tolerates(count, rows):
            yield _finding(
                check,
                code,
                f"{count:,} of {rows:,} records in {split} {what} ({count / rows:.2%}, allowed {check.tolerance})",
                count=count,
                share=count / rows,
                rows=_rows_of(seen, code, split),
                remedy=remedy,
            )


def _rows_of(seen: Seen, code: str, split: str) -> tuple[int, ...]:
    found = seen.statistics.duplicates
    groups = () if found is None else found.groups if code == "duplicate-rows" else found.conflict_groups
    return tuple(place.row for group in groups for place in group.rows if place.split == split)[:10]


def _max_duplicates(check: Check, seen: Seen) -> Iterator[Finding]:
    found = seen.statistics.duplicates
    return _per_split(
        check,
        seen,
        {} if found is None else found.rows,
        "duplicate-rows",
        "have the features of an earlier one",
        "drop the repeated records",
    )


def _no_conflicts(check: Check, seen: Seen) -> Iterator[Finding]:
    found = seen.statistics.duplicates
    return _per_split(
        check,
        seen,
        {} if found is None else found.conflicts,
        "conflicting-labels",
        "have the features of another one with another label",
        "decide which label is right, or drop both",
    )


def _no_leakage(check: Check, seen: Seen) -> Iterator[Finding]:
    found = seen.statistics.duplicates
    for leak in () if found is None else found.leakage:
        rows = seen.statistics.splits[leak.split].rows
        if not check.tolerates(leak.rows, rows):
            yield _finding(
                check,
                "leakage",
                f"{leak.rows:,} of {rows:,} records in {leak.split} also stand in {leak.other} "
                f"({leak.share:.2%}, allowed {check.tolerance})",
                count=leak.rows,
                share=leak.share,
                rows=tuple(row.row for row, _ in leak.samples)[:10],
                remedy="split by a key that equal records share (preprocessing.key), or drop the repeated records",
            )


def _max_drift(check: Check, seen: Seen) -> Iterator[Finding]:
    for column in () if seen.drift is None else seen.drift.columns:
        if not check.chosen([column.column]):
            continue
        over = [
            f"{name.upper()} {value:.3f} (allowed {bound:g})"
            for name, bound in check.options.items()
            if (value := getattr(column, name)) is not None and value > bound
        ]
        if over:
            yield _finding(
                check,
                "drift",
                f"{column.column} in {column.split} has moved from the reference: {', '.join(over)}",
                column=column.column,
                remedy="look at what changed in its source, or raise checks.max_drift",
            )


_RULES: dict[str, Callable[[Check, Seen], Iterator[Finding]]] = {
    "dtype": _dtype,
    "max_class_imbalance": _max_class_imbalance,
    "max_drift": _max_drift,
    "max_duplicates": _max_duplicates,
    "max_infinite_share": _max_infinite_share,
    "max_nan_share": _max_nan_share,
    "max_null_share": _max_null_share,
    "max_outlier_share": _max_outlier_share,
    "mean": _mean,
    "min_class_count": _min_class_count,
    "min_rows": _min_rows,
    "no_conflicts": _no_conflicts,
    "no_leakage": _no_leakage,
    "not_null": _not_null,
    "range": _range,
    "std": _std,
}
