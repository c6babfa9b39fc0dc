"""How far data has moved from a reference, from the statistics of both alone: no row is read."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from nexa_data.quality.model import ColumnDrift, ColumnQuality, DriftReport

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from nexa_data.quality.model import QualityStatistics, SplitQuality, Target

__all__ = ["THRESHOLDS", "measure_drift"]

THRESHOLDS = {"psi": 0.2, "ks": 0.1, "js": 0.1, "null_share": 0.05}
"""What a measure has to pass, beside what chance explains, to be called drift.

Of the population stability index below 0.1 is taken for none and above 0.25 for a major shift (Siddiqi, Credit Risk
Scorecards, 2006); 0.2 is where models are usually looked at again (Yurdakul and Naranjo, Statistical properties of the
population stability index, 2020). 0.1 is what Evidently and NannyML warn at for the Jensen-Shannon distance and the
Kolmogorov-Smirnov statistic. 0.05 is ours, for values that have come to be missing.
"""

_DECILES = 10
_FEW_VALUES = 20
"""Values up to which a column is compared value by value."""
_LIKELIHOOD = 1e-3
"""How often all of a report's comparisons together may call chance drift."""
_LEAST_SHARE = 1e-4
"""What an empty bin counts as at least, so that the logarithm of its share is finite; of few rows, half a row."""


@dataclass(frozen=True, slots=True)
class _Bins:
    """Shares of the values in the same bins."""

    names: tuple[str, ...]
    current: npt.NDArray[np.float64]
    reference: npt.NDArray[np.float64]
    ordered: bool


def measure_drift(current: QualityStatistics, reference: QualityStatistics, target: Target) -> DriftReport:
    """Compare the splits that both have, column by column, and the labels.

    A column has drifted where its population stability index, Kolmogorov-Smirnov statistic, Jensen-Shannon distance or
    share of missing values passes its threshold and is more than chance explains in so many rows and comparisons.

    Args:
        current: The data at hand.
        reference: What it is compared with.
        target: What `reference` is of.

    Returns:
        The columns of all splits, those that differ most first.
    """
    shared = [
        (name, split, reference.splits[name])
        for name, split in current.splits.items()
        if name in reference.splits
    ]
    comparisons = max(1, sum(len(split.columns) + 1 for _, split, _ in shared))
    found = [each for name, now, then in shared for each in _split_drift(name, now, then, comparisons)]
    found.sort(key=lambda each: (not each.drifted, -max(each.psi or 0.0, each.js or 0.0)))
    names = [
        {column.name for split in of.splits.values() for column in split.columns}
        for of in (current, reference)
    ]
    return DriftReport(
        reference=target,
        columns=tuple(found),
        thresholds=THRESHOLDS,
        added=tuple(sorted(names[0] - names[1])),
        removed=tuple(sorted(names[1] - names[0])),
    )


def _split_drift(
    name: str, current: SplitQuality, reference: SplitQuality, comparisons: int
) -> Iterator[ColumnDrift]:
    label = None if current.label is None or current.label.kind != "class" else "label"
    then = {column.name: column for column in reference.columns}
    for column in current.columns:
        other = then.get(column.name)
        if other is not None and column.name != label and other.kind == column.kind:
            sizes = (_size(current, column), _size(reference, other))
            yield _column_drift(name, column, other, sizes, comparisons)
    if label and reference.label is not None and current.label is not None:
        bins = _label_bins(current.label.counts, reference.label.counts, current.label.names)
        if bins is not None:
            yield _judged(label, name, bins, (current.rows, reference.rows), (0.0, 0.0), comparisons)


def _size(split: SplitQuality, column: ColumnQuality) -> int:
    """Return how many values what is known of a column's distribution comes from."""
    there = column.finite
    counted = column.top_exact and column.distinct <= len(column.top)
    share = 1.0 if counted or not split.rows else min(1.0, split.sample_rows / split.rows)
    return int(there * share)


def _column_drift(
    split: str, now: ColumnQuality, then: ColumnQuality, sizes: tuple[int, int], comparisons: int
) -> ColumnDrift:
    missing = (_missing(now), _missing(then))
    bins = _value_bins(now, then) if _few(now) and _few(then) else _quantile_bins(now, then)
    if bins is None:
        appeared = abs(missing[0] - missing[1]) > THRESHOLDS["null_share"]
        return ColumnDrift(
            column=now.name,
            split=split,
            null_share=missing[0],
            reference_null_share=missing[1],
            drifted=appeared and min(now.values, then.values) > 0,
        )
    return _judged(
        now.name, split, bins, sizes, missing, comparisons, _ks(now, then) if bins.ordered else None
    )


def _missing(column: ColumnQuality) -> float:
    return (column.nulls + column.nans) / column.values if column.values else 0.0


def _few(column: ColumnQuality) -> bool:
    return column.top_exact and 0 < column.distinct <= min(_FEW_VALUES, len(column.top))


def _value_bins(now: ColumnQuality, then: ColumnQuality) -> _Bins | None:
    first, second = ({str(value): count for value, count in each.top} for each in (now, then))
    return _label_bins(first, second, {})


def _label_bins(now: dict[str, int], then: dict[str, int], names: dict[str, str]) -> _Bins | None:
    values = sorted({*now, *then}, key=lambda each: (-then.get(each, 0), -now.get(each, 0), each))
    shares = [np.array([each.get(value, 0) for value in values], np.float64) for each in (now, then)]
    if not all(share.sum() for share in shares):
        return None
    current, reference = (share / share.sum() for share in shares)
    return _Bins(tuple(names.get(value, value) for value in values), current, reference, ordered=False)


def _quantile_bins(now: ColumnQuality, then: ColumnQuality) -> _Bins | None:
    if now.quantiles is None or then.quantiles is None or now.kind == "boolean":
        return None
    points = np.array(then.quantiles)
    edges = np.unique(np.quantile(points, np.arange(1, _DECILES) / _DECILES, method="lower"))
    # Below each edge or at it: so a value that many rows have falls into one bin of both.
    current, reference = (
        np.diff(np.concatenate([[0.0], _reached(np.array(column.quantiles), edges), [1.0]]))
        for column in (now, then)
    )
    bounds = ["−∞", *(f"{edge:.6g}" for edge in edges), "∞"]
    names = tuple(f"{low} … {high}" for low, high in itertools.pairwise(bounds))
    return _Bins(names, current, reference, ordered=True)


def _reached(quantiles: npt.NDArray[np.float64], at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the share of the values that are `at` or less: the inverse of the quantile function, the upper end of a step."""
    steps = len(quantiles) - 1
    upper = np.searchsorted(quantiles, at, side="right")
    low, high = np.clip(upper - 1, 0, steps), np.clip(upper, 0, steps)
    gap = quantiles[high] - quantiles[low]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where((gap > 0) & (upper > 0), (at - quantiles[low]) / gap, 0.0)
    share: npt.NDArray[np.float64] = np.where(upper == 0, 0.0, np.clip((low + part) / steps, 0.0, 1.0))
    return share


def _ks(now: ColumnQuality, then: ColumnQuality) -> float | None:
    """Return the greatest distance of the two distribution functions, at the points that are known of either."""
    if now.quantiles is None or then.quantiles is None:
        return None
    a, b = np.array(now.quantiles), np.array(then.quantiles)
    at = np.unique(np.concatenate([a, b]))
    return float(np.abs(_reached(a, at) - _reached(b, at)).max())


def _judged(
    column: str,
    split: str,
    bins: _Bins,
    sizes: tuple[int, int],
    missing: tuple[float, float],
    comparisons: int,
    ks: float | None = None,
) -> ColumnDrift:
    n, m = (max(size, 1) for size in sizes)
    now = np.maximum(bins.current, max(_LEAST_SHARE, 0.5 / n))
    then = np.maximum(bins.reference, max(_LEAST_SHARE, 0.5 / m))
    psi = float(((now - then) * np.log(now / then)).sum())
    js = _distance(bins.current, bins.reference)
    # Of rows that are of one distribution these are what the measures come to by chance.
    apart = 1 / n + 1 / m
    likelihood = _LIKELIHOOD / comparisons
    chance = _chi_squared(len(bins.names) - 1, likelihood) * apart
    most = {
        "psi": chance,
        "ks": math.sqrt(-math.log(likelihood / 2) / 2 * apart),
        "js": math.sqrt(chance / (8 * math.log(2))),
        "null_share": math.sqrt(_chi_squared(1, likelihood) * apart / 4),
    }
    measured = {"psi": psi, "ks": ks or 0.0, "js": js, "null_share": abs(missing[0] - missing[1])}
    return ColumnDrift(
        column=column,
        split=split,
        psi=psi,
        ks=None if ks is None else min(1.0, ks),
        js=js,
        null_share=missing[0],
        reference_null_share=missing[1],
        drifted=any(value > max(THRESHOLDS[name], most[name]) for name, value in measured.items()),
        bins=bins.names,
        current=tuple(map(float, np.clip(bins.current, 0.0, 1.0))),
        reference=tuple(map(float, np.clip(bins.reference, 0.0, 1.0))),
    )


def _distance(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> float:
    """Return the Jensen-Shannon distance, base 2 (Endres and Schindelin 2003)."""
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(each > 0, each * np.log2(each / middle), 0.0).sum() / 2 for each in (p, q)]
    return math.sqrt(min(1.0, max(0.0, float(sum(parts)))))


def _chi_squared(degrees: int, likelihood: float) -> float:
    """Return what chi-squared passes with a likelihood only, as Wilson and Hilferty (1931) approximate it."""
    if degrees < 1:
        return 0.0
    normal = NormalDist().inv_cdf(1 - likelihood)
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + normal * math.sqrt(spread)) ** 3)
