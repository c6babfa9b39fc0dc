"""What the rows of a split look like, gathered while they pass."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data import _core

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["SplitStatistics"]

_MOST_LISTED = 1000
_COUNTED = 1 << 20
"""Class ids below this are counted in an array."""


@dataclass
class SplitStatistics:
    """Counts and moments of one split, taken in batch by batch, in float64.

    Infinities count as numbers, so that a mean over them is infinite or NaN; NaN counts for nothing but itself.
    """

    records: int = 0
    first_nan: tuple[str, int, int] | None = None
    """Origin, row and feature of the first NaN."""
    _seen: _core.Moments | None = None
    _counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Records by class id, of batches of small ids."""
    _rare: dict[int, int] = field(default_factory=dict)
    """Records by class id, of other batches."""

    def add(
        self,
        features: npt.NDArray[Any],
        labels: npt.NDArray[Any] | None,
        *,
        origin: str = "",
        rows: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """Take in some records: features (n, …), labels (n,) of class ids or (n, …) of floats, or None."""
        import pyarrow as pa

        if not len(features):
            return
        width = math.prod(features.shape[1:])
        if self._seen is None:
            self._seen = _core.Moments(width)
        flat = pa.array(np.ascontiguousarray(features).reshape(-1))
        self._seen.add(pa.record_batch([pa.FixedSizeListArray.from_arrays(flat, width)], ["features"]))
        if labels is not None and labels.dtype == np.int64:
            self._count_classes(labels)
        first_nan = self._seen.rows()[2]
        if self.first_nan is None and first_nan is not None:
            row, feature = first_nan[0] - self.records, first_nan[1]
            self.first_nan = (origin, int(rows[row]) if rows is not None else row, feature)
        self.records += len(features)

    def _count_classes(self, labels: npt.NDArray[np.int64]) -> None:
        least, most = int(labels.min()), int(labels.max())
        if least >= 0 and most < _COUNTED:
            counts = np.bincount(labels, minlength=len(self._counts))
            counts[: len(self._counts)] += self._counts
            self._counts = counts
            return
        found, each = np.unique(labels, return_counts=True)
        for label, count in zip(found.tolist(), each.tolist(), strict=True):
            self._rare[label] = self._rare.get(label, 0) + count

    @property
    def class_counts(self) -> dict[int, int]:
        """Records of each class that has any."""
        found = np.flatnonzero(self._counts)
        counts = Counter(dict(zip(found.tolist(), self._counts[found].tolist(), strict=True)))
        counts.update(self._rare)
        return dict(counts)

    def _elements(self) -> npt.NDArray[np.float64]:
        """Return numbers, mean, squared distances from it, least and greatest of each feature, shape (5, F)."""
        elements = [] if self._seen is None else self._seen.elements()
        return np.array(elements, np.float64).reshape(-1, 5).T

    def moments(
        self,
    ) -> tuple[
        npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]
    ]:
        """Return least value, greatest value, mean and standard deviation of each feature, shape (F,) each.

        F is 0 before any record came.
        """
        count, mean, m2, low, high = self._elements()
        with np.errstate(invalid="ignore"):
            return low, high, mean, np.sqrt(m2 / np.maximum(count, 1))

    @property
    def nan_rows(self) -> int:
        """Records with a NaN."""
        return 0 if self._seen is None else self._seen.rows()[1]

    @property
    def nan_count(self) -> int:
        """Values that are NaN, over all features."""
        return self.values - int(self._elements()[0].sum())

    @property
    def values(self) -> int:
        """Values over all features, NaN among them."""
        return self.records * int(self._elements().shape[1])

    @property
    def minimum(self) -> float | None:
        """Least value, None without any."""
        count, _, _, low, _ = self._elements()
        return float(low.min()) if count.any() else None

    @property
    def maximum(self) -> float | None:
        """Greatest value, None without any."""
        count, _, _, _, high = self._elements()
        return float(high.max()) if count.any() else None

    def as_dict(self) -> dict[str, Any]:
        """Return counts, moments over all values, and moments per feature, as plain values for JSON.

        Per-class counts and per-feature moments are listed for the first 1,000 classes and features.
        """
        counted = self.class_counts
        classes = sorted(counted)
        summary: dict[str, Any] = {
            "records": self.records,
            "classes": len(classes),
            "records_per_class": {str(label): counted[label] for label in classes[:_MOST_LISTED]},
            "nan_count": self.nan_count,
            "nan_rows": self.nan_rows,
        }
        if self._seen is None:
            return summary | dict.fromkeys(("min", "max", "mean", "std"))
        count, means, m2, low, high = self._elements()
        total = int(count.sum())
        with np.errstate(invalid="ignore", over="ignore"):
            mean = float((means * count).sum() / total) if total else None
            spread = m2.sum() + (count * (means - (mean or 0.0)) ** 2).sum()
            std = float(np.sqrt(spread / total)) if total else None
            stds = np.sqrt(m2 / np.maximum(count, 1))
        summary |= {
            "min": _number(self.minimum),
            "max": _number(self.maximum),
            "mean": _number(mean),
            "std": _number(std),
        }
        listed = slice(0, _MOST_LISTED)
        summary["per_feature"] = {
            "nan_count": [self.records - int(each) for each in count[listed]],
            "min": [_number(value) for value in low[listed]],
            "max": [_number(value) for value in high[listed]],
            "mean": [_number(value) for value in means[listed]],
            "std": [_number(value) for value in stds[listed]],
        }
        return summary


def _number(value: float | None) -> float | str | None:
    """Return a number that JSON can hold: infinities by name, since JSON has none."""
    if value is None or np.isfinite(value):
        return None if value is None else float(value)
    return None if np.isnan(value) else "inf" if value > 0 else "-inf"
