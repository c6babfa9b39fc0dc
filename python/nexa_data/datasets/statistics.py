"""What the rows of a split look like, gathered while they pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["SplitStatistics"]

_MOST_LISTED = 1000


@dataclass
class SplitStatistics:
    """Counts and moments of one split; batches are merged by Chan's formula (Chan, Golub, LeVeque 1983), in float64.

    Infinities count as numbers for min and max only where they occur; NaN counts for neither.
    """

    records: int = 0
    class_counts: dict[int, int] = field(default_factory=dict)
    nan_rows: int = 0
    first_nan: tuple[str, int, int] | None = None
    """Origin, row and feature of the first NaN."""
    _count: npt.NDArray[np.int64] | None = None
    _mean: npt.NDArray[np.float64] | None = None
    _m2: npt.NDArray[np.float64] | None = None
    _min: npt.NDArray[np.float64] | None = None
    _max: npt.NDArray[np.float64] | None = None

    def add(
        self,
        features: npt.NDArray[np.float32],
        labels: npt.NDArray[Any],
        *,
        origin: str = "",
        rows: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """Take in some records: features (n, …), labels (n,) of class ids or (n, …) of floats."""
        if not len(features):
            return
        flat = features.reshape(len(features), -1)
        self.records += len(flat)
        if labels.dtype == np.int64:
            for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
                self.class_counts[int(label)] = self.class_counts.get(int(label), 0) + int(count)
        missing = np.isnan(flat)
        if missing.any():
            self.nan_rows += int(missing.any(axis=1).sum())
            if self.first_nan is None:
                row, column = (int(at) for at in np.argwhere(missing)[0])
                self.first_nan = (origin, int(rows[row]) if rows is not None else row, column)
        self._merge(flat.astype(np.float64), missing)

    def _merge(self, values: npt.NDArray[np.float64], missing: npt.NDArray[np.bool_]) -> None:
        present = ~missing
        count = present.sum(axis=0)
        zeroed = np.where(present, values, 0.0)
        safe = np.maximum(count, 1)
        with np.errstate(invalid="ignore", over="ignore"):
            mean = zeroed.sum(axis=0) / safe
            m2 = (np.where(present, values - mean, 0.0) ** 2).sum(axis=0)
        low = np.where(present, values, np.inf).min(axis=0)
        high = np.where(present, values, -np.inf).max(axis=0)
        if (
            self._count is None
            or self._mean is None
            or self._m2 is None
            or self._min is None
            or self._max is None
        ):
            self._count, self._mean, self._m2, self._min, self._max = count, mean, m2, low, high
            return
        total = self._count + count
        with np.errstate(invalid="ignore", over="ignore"):
            delta = mean - self._mean
            share = count / np.maximum(total, 1)
            self._m2 = self._m2 + m2 + delta**2 * self._count * share
            self._mean = self._mean + delta * share
        self._count, self._min, self._max = total, np.minimum(self._min, low), np.maximum(self._max, high)

    @property
    def nan_count(self) -> int:
        """Values that are NaN, over all features."""
        return 0 if self._count is None else self.records * self._count.size - int(self._count.sum())

    @property
    def values(self) -> int:
        """Values over all features, NaN among them."""
        return 0 if self._count is None else self.records * self._count.size

    @property
    def minimum(self) -> float | None:
        """Least value, None without any."""
        return None if self._min is None or not self._has_values else float(self._min.min())

    @property
    def maximum(self) -> float | None:
        """Greatest value, None without any."""
        return None if self._max is None or not self._has_values else float(self._max.max())

    @property
    def _has_values(self) -> bool:
        return self._count is not None and bool(self._count.any())

    def as_dict(self) -> dict[str, Any]:
        """Return counts, moments over all values, and moments per feature, as plain values for JSON.

        Per-class counts and per-feature moments are listed for the first 1,000 classes and features.
        """
        classes = sorted(self.class_counts)
        summary: dict[str, Any] = {
            "records": self.records,
            "classes": len(classes),
            "records_per_class": {str(label): self.class_counts[label] for label in classes[:_MOST_LISTED]},
            "nan_count": self.nan_count,
            "nan_rows": self.nan_rows,
        }
        if (
            self._count is None
            or self._mean is None
            or self._m2 is None
            or self._min is None
            or self._max is None
        ):
            return summary | dict.fromkeys(("min", "max", "mean", "std"))
        total = int(self._count.sum())
        with np.errstate(invalid="ignore", over="ignore"):
            mean = float((self._mean * self._count).sum() / total) if total else None
            spread = self._m2.sum() + (self._count * (self._mean - (mean or 0.0)) ** 2).sum()
            std = float(np.sqrt(spread / total)) if total else None
            stds = np.sqrt(self._m2 / np.maximum(self._count, 1))
        summary |= {
            "min": _number(self.minimum),
            "max": _number(self.maximum),
            "mean": _number(mean),
            "std": _number(std),
        }
        listed = slice(0, _MOST_LISTED)
        summary["per_feature"] = {
            "nan_count": [self.records - int(count) for count in self._count[listed]],
            "min": [_number(value) for value in self._min[listed]],
            "max": [_number(value) for value in self._max[listed]],
            "mean": [_number(value) for value in self._mean[listed]],
            "std": [_number(value) for value in stds[listed]],
        }
        return summary


def _number(value: float | None) -> float | str | None:
    """Return a number that JSON can hold: infinities by name, since JSON has none."""
    if value is None or np.isfinite(value):
        return None if value is None else float(value)
    return None if np.isnan(value) else "inf" if value > 0 else "-inf"
