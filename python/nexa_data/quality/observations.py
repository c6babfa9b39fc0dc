"""What is remarkable about data of which no rule says anything: warnings, so that sound data raises none."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nexa_data.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nexa_data.quality.model import ColumnQuality, DriftReport, QualityStatistics, SplitQuality

__all__ = ["observe"]

NEAR_CONSTANT_SHARE = 0.999
"""Share of the most frequent value from which on a column says next to nothing."""
IMBALANCE = 20.0
"""Times as many records as the smallest class: of two classes, less than 5 % of the smaller."""
FEW_RECORDS = 10
"""Records of a class below which little can be learnt of it."""
OUTLIER_SHARE = 0.001
"""Share of values beyond the fences: tails of sound heavy-tailed data stay below."""
EXPECTED_RECORDS = 7.0
"""Records of a class that chance would have to have kept out of a split: e^-7 is a thousandth."""
TELLING = 0.99
"""Share of the errors of guessing the most frequent class that a single column may take away."""
_FEWEST_ROWS = 20
_NAMED = 6


def observe(statistics: QualityStatistics, drift: DriftReport | None = None) -> list[Finding]:
    """Return what is remarkable, as warnings; of columns that have the same in common, one.

    Args:
        statistics: What the data looks like.
        drift: How far it is from a reference.

    Example:
        >>> import pyarrow as pa
        >>> from nexa_data.quality.measure import measure_batches
        >>> rows = pa.record_batch({"x": [float(k) for k in range(100)], "y": [1.0] * 100})
        >>> [str(each.code) for each in observe(measure_batches([("train", rows)]))]
        ['constant-column']
    """
    found = [
        *_of_columns(statistics),
        *_labels(statistics),
        *_equal_rows(statistics),
        *_associations(statistics),
    ]
    return found + ([] if drift is None else list(_drift(drift)))


def _warning(code: str, message: str, **more: Any) -> Finding:
    return Finding(code, Severity.WARNING, message, **more)


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _features(split: SplitQuality) -> Iterator[ColumnQuality]:
    label = "label" if split.label is not None else None
    return (column for column in split.columns if column.name != label)


def _of_columns(statistics: QualityStatistics) -> Iterator[Finding]:
    counted: list[tuple[str, str, Callable[[ColumnQuality], int], str]] = [
        ("nan-values", "NaN", lambda column: column.nans, "fill or drop such rows"),
        ("null-values", "null", lambda column: column.nulls, "fill or drop such rows"),
        (
            "infinite-values",
            "infinite",
            lambda column: column.positive_infinities + column.negative_infinities,
            "clip or drop such rows",
        ),
        ("outliers", "far from all others", _outliers, "look at them; clip or drop what is wrong"),
    ]
    for code, what, count, remedy in counted:
        yield from _counted(statistics, code, what, count, remedy)
    yield from _constant(statistics)


def _outliers(column: ColumnQuality) -> int:
    return column.outliers if column.outliers > OUTLIER_SHARE * column.values else 0


def _counted(
    statistics: QualityStatistics, code: str, what: str, count: Callable[[ColumnQuality], int], remedy: str
) -> Iterator[Finding]:
    """Say how many values of which columns are something, over all splits."""
    found: dict[str, int] = {}
    values: dict[str, int] = {}
    first: list[int] = []
    for split in statistics.splits.values():
        for column in _features(split):
            values[column.name] = values.get(column.name, 0) + column.values
            if count(column):
                found[column.name] = found.get(column.name, 0) + count(column)
                if code in {"nan-values", "null-values"} and column.first_missing is not None:
                    first.append(column.first_missing)
    if found:
        total, of = sum(found.values()), sum(values[name] for name in found)
        worst = max(found, key=lambda name: found[name] / values[name])
        most = f"; most in {worst}, {found[worst] / values[worst]:.2%}" if len(found) > 1 else ""
        yield _warning(
            code,
            f"{total:,} of {of:,} values of {_named(list(found))} are {what} ({total / of:.2%}{most})",
            column=worst if len(found) == 1 else None,
            count=total,
            share=total / of,
            rows=(min(first),) if first else (),
            remedy=remedy,
        )


def _constant(statistics: QualityStatistics) -> Iterator[Finding]:
    split = statistics.splits.get("train") or next(iter(statistics.splits.values()), None)
    if split is None or split.rows < _FEWEST_ROWS:
        return
    columns = list(_features(split))
    empty = [each.name for each in columns if each.nulls + each.nans == each.values]
    constant = [
        each.name for each in columns if each.distinct <= 1 and each.name not in empty and not _lists(each)
    ]
    nearly = [
        (each.name, each.top[0][1] / each.values)
        for each in columns
        if each.distinct > 1
        and each.top
        and each.top[0][1] >= NEAR_CONSTANT_SHARE * each.values
        and not _lists(each)
    ]
    for code, names, what in (
        ("empty-column", empty, "no value at all"),
        ("constant-column", constant, "one value only"),
        (
            "near-constant-column",
            [name for name, _ in nearly],
            f"one value in {NEAR_CONSTANT_SHARE:.1%} of its rows or more",
        ),
    ):
        if names:
            yield _warning(
                code,
                f"{len(names)} of {len(columns)} columns have {what}: {_named(names)}",
                column=names[0] if len(names) == 1 else None,
                count=len(names),
                share=len(names) / len(columns),
                remedy="leave them out: they say nothing",
            )


def _lists(column: ColumnQuality) -> bool:
    return column.kind == "list"


def _labels(statistics: QualityStatistics) -> Iterator[Finding]:
    train = statistics.splits.get("train") or next(iter(statistics.splits.values()), None)
    if train is None or train.label is None or train.label.kind != "class" or not train.label.counts:
        return
    counts, names = train.label.counts, train.label.names
    if len(counts) == 1:
        yield _warning(
            "one-class", "all records are of one class", column="label", remedy="check label and filters"
        )
        return
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[most] >= IMBALANCE * counts[least]:
        yield _warning(
            "class-imbalance",
            f"class {names.get(most, most)} has {counts[most]:,} records and class {names.get(least, least)} "
            f"{counts[least]:,}: {counts[most] / counts[least]:.0f} times as many",
            column="label",
            share=counts[least] / train.rows,
            remedy="add records, weigh the classes, or set order.balance",
        )
    few = [label for label, count in counts.items() if count < FEW_RECORDS]
    if few and train.rows >= FEW_RECORDS * len(counts):
        yield _warning(
            "few-records-of-class",
            f"{len(few)} of {len(counts)} classes have fewer than {FEW_RECORDS} records: "
            + _named([names.get(label, label) for label in few]),
            column="label",
            count=len(few),
            share=len(few) / len(counts),
            remedy="add records of these classes, or leave them out",
        )
    yield from _classes_of_splits(statistics, train)


def _classes_of_splits(statistics: QualityStatistics, train: SplitQuality) -> Iterator[Finding]:
    known = {} if train.label is None else train.label.counts
    for name, split in statistics.splits.items():
        if split is train or split.label is None:
            continue
        there = split.label.counts
        unseen = [label for label in there if label not in known]
        missing = [
            label
            for label, count in known.items()
            if label not in there and count / train.rows * split.rows >= EXPECTED_RECORDS
        ]
        for code, labels, what in (
            ("unseen-class", unseen, f"stand in {name} and not in train"),
            ("missing-class", missing, f"are missing in {name}"),
        ):
            if labels:
                shown = [train.label.names.get(each, each) if train.label else each for each in labels]
                yield _warning(
                    code,
                    f"{len(labels)} classes {what}: {_named(shown)}",
                    column="label",
                    count=sum(there.get(each, 0) for each in labels) or None,
                    remedy="split anew, by class (split.stratify)",
                )


def _equal_rows(statistics: QualityStatistics) -> Iterator[Finding]:
    found = statistics.duplicates
    if found is None or not _tell_rows_apart(statistics):
        return
    for code, counts, groups, what, remedy in (
        (
            "duplicate-rows",
            found.rows,
            found.groups,
            "have the features of an earlier one of their split",
            "drop the repeated records",
        ),
        (
            "conflicting-labels",
            found.conflicts,
            found.conflict_groups,
            "have the features of another one with another label",
            "decide which label is right, or drop them",
        ),
    ):
        total = sum(counts.values())
        if total:
            by_split = ", ".join(f"{split} {count:,}" for split, count in counts.items() if count)
            split = next(name for name, count in counts.items() if count)
            rows = [place.row for group in groups for place in group.rows if place.split == split]
            yield _warning(
                code,
                f"{total:,} of {statistics.rows:,} records {what} ({total / statistics.rows:.2%}; {by_split})",
                count=total,
                share=total / statistics.rows,
                rows=tuple(rows[:10]),
                remedy=remedy,
            )
    for leak in found.leakage:
        yield _warning(
            "leakage",
            f"{leak.rows:,} of {statistics.splits[leak.split].rows:,} records in {leak.split} also stand in {leak.other} "
            f"({leak.share:.2%})",
            count=leak.rows,
            share=leak.share,
            rows=tuple(row.row for row, _ in leak.samples)[:10],
            remedy="split by a key that equal records share (preprocessing.key), or drop the repeated records",
        )


def _tell_rows_apart(statistics: QualityStatistics) -> bool:
    """Say whether the columns have so many values that two sound records would hardly ever agree in all of them.

    Of n rows about n² / 2v pairs agree by chance, if all of v combinations are as likely; here that has to be below
    one in two thousand. Codes and flags alone repeat themselves, and nothing is wrong with it.
    """
    split = max(statistics.splits.values(), key=lambda each: each.rows, default=None)
    if split is None or not split.rows:
        return False
    bits = sum(math.log2(max(1, column.distinct)) for column in _features(split))
    return bits > 2 * math.log2(statistics.rows) + 10 or any(
        column.kind in {"text", "binary"} and column.distinct > split.rows / 2 for column in _features(split)
    )


def _associations(statistics: QualityStatistics) -> Iterator[Finding]:
    split = statistics.splits.get("train") or next(iter(statistics.splits.values()), None)
    if split is None or sum(1 for _ in _features(split)) < 2:  # noqa: PLR2004 (one column is all that there is to learn from)
        return
    telling = [each for each in statistics.associations if each.score >= TELLING]
    if telling:
        yield _warning(
            "label-in-feature",
            f"{_named([each.column for each in telling])} alone says the label ({telling[0].score:.1%} of the errors "
            "of guessing go away): has it seen the answer?",
            column=telling[0].column,
            count=len(telling),
            remedy="leave it out, unless it will be known when the model is used",
        )


def _drift(drift: DriftReport) -> Iterator[Finding]:
    moved = [each for each in drift.columns if each.drifted]
    for split in dict.fromkeys(each.split for each in moved):
        here = [each for each in moved if each.split == split]
        shown = [
            f"{each.column} (PSI {each.psi:.2f})" if each.psi is not None else each.column for each in here
        ]
        yield _warning(
            "drift",
            f"{len(here)} columns of {split} have moved from the reference: {_named(shown)}",
            column=here[0].column if len(here) == 1 else None,
            count=len(here),
            remedy="look at what changed in their source",
        )
    for code, names, what in (
        ("new-column", drift.added, "aren't in the reference"),
        ("lost-column", drift.removed, "are in the reference alone"),
    ):
        if names:
            yield _warning(
                code,
                f"{len(names)} columns {what}: {_named(list(names))}",
                column=names[0] if len(names) == 1 else None,
                count=len(names),
                remedy="check the source's columns",
            )
