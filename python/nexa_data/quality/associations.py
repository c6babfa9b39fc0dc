"""How much one column alone says of the label: a column that says all of it has seen the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.quality.model import LabelAssociation

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from nexa_data import _core

__all__ = ["label_associations"]

_MOST_ROWS = 1 << 14
_FEWEST_ROWS = 100
"""Below so many rows of the sample that have a label nothing is said."""
_BINS = 64
_ROWS_A_BIN = 10
_LISTED = 20


def label_associations(
    seen: _core.RowStatistics, columns: Sequence[str], label: str, *, by_class: bool
) -> tuple[LabelAssociation, ...]:
    """Return the columns that say most of the label, descending.

    Of class labels a column says the share of the errors of always guessing the most frequent class that go away
    if one guesses by it: by its bin (of few values: by the value), or by the nearest value, whichever is better. Guesses
    are learnt on every other row of the sample and tried on the rest, so that a column of many values can't seem to
    know by chance. Of numbers it says the
    square of Spearman's rank correlation.

    Args:
        seen: Statistics of the split, with its sample.
        columns: Columns of numbers; the label may be among them.
        label: The label's column.
        by_class: Whether labels are classes.
    """
    labels = _sampled(seen, label)
    there = np.flatnonzero(~np.isnan(labels))
    if len(there) < _FEWEST_ROWS:
        return ()
    rows = there[:: max(1, len(there) * max(1, len(columns) // 64) // _MOST_ROWS)]
    if len(rows) < _FEWEST_ROWS:
        rows = there[:_MOST_ROWS]
    wanted = labels[rows]
    found = []
    for column in columns:
        if column != label:
            values = _sampled(seen, column)[rows]
            score = _of_classes(values, wanted) if by_class else _of_numbers(values, wanted)
            found.append(LabelAssociation(column=column, score=score))
    found.sort(key=lambda each: -each.score)
    return tuple(found[:_LISTED])


def _sampled(seen: _core.RowStatistics, column: str) -> npt.NDArray[np.float64]:
    return np.frombuffer(seen.sampled(column), np.float64)


def _of_classes(values: npt.NDArray[np.float64], labels: npt.NDArray[np.float64]) -> float:
    classes, ids = np.unique(labels, return_inverse=True)
    if len(classes) < 2:  # noqa: PLR2004 (one class can't be guessed wrong)
        return 0.0
    learnt, tried = slice(0, None, 2), slice(1, None, 2)
    bins, count = _binned(values)
    table = np.bincount(bins[learnt] * len(classes) + ids[learnt], minlength=count * len(classes))
    usual = int(np.bincount(ids[learnt], minlength=len(classes)).argmax())
    table = table.reshape(count, len(classes))
    guesses = np.where(table.any(axis=1), table.argmax(axis=1), usual)[bins[tried]]
    wrong = min(
        np.count_nonzero(guesses != ids[tried]),
        np.count_nonzero(_nearest(values[learnt], ids[learnt], values[tried]) != ids[tried]),
    )
    wrong_anyway = np.count_nonzero(ids[tried] != usual)
    return max(0.0, 1.0 - wrong / wrong_anyway) if wrong_anyway else 0.0


def _nearest(
    values: npt.NDArray[np.float64], ids: npt.NDArray[np.intp], tried: npt.NDArray[np.float64]
) -> npt.NDArray[np.intp]:
    """Return the class of the nearest learnt value: where classes lie close together no bin's edge is between them."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    after = np.clip(np.searchsorted(ordered, tried), 1, len(ordered) - 1)
    with np.errstate(invalid="ignore"):
        nearer = np.where(tried - ordered[after - 1] <= ordered[after] - tried, after - 1, after)
    return ids[order][nearer]


def _binned(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[Any], int]:
    """Return each value's bin and their number: values themselves if they are few, else quantiles; what is missing apart."""
    there = values[np.isfinite(values)]
    distinct = np.unique(there)
    if len(distinct) * _ROWS_A_BIN <= len(there):
        edges = distinct
    else:
        count = min(_BINS, max(1, len(there) // _ROWS_A_BIN))
        edges = np.unique(np.quantile(there, np.arange(count) / count)) if len(there) else distinct
    bins = np.searchsorted(edges, values, side="right")
    bins[np.isnan(values)] = len(edges) + 1
    return bins, len(edges) + 2


def _of_numbers(values: npt.NDArray[np.float64], labels: npt.NDArray[np.float64]) -> float:
    there = np.isfinite(values) & np.isfinite(labels)
    if np.count_nonzero(there) < _FEWEST_ROWS:
        return 0.0
    a, b = _ranks(values[there]), _ranks(labels[there])
    if a.std() == 0.0 or b.std() == 0.0:
        return 0.0
    return min(1.0, float(np.corrcoef(a, b)[0, 1]) ** 2)


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return ranks, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: npt.NDArray[np.float64] = last - (counts - 1) / 2
    return mean[inverse]
