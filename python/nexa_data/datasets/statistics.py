"""What the rows of a split look like, gathered while they pass."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data import _core

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

__all__ = ["SplitStatistics"]

_MOST_LISTED = 1000


@dataclass
class SplitStatistics:
    """Counts and moments of one split, taken in batch by batch, in float64.

    Infinities count as numbers, so that a mean over them is infinite or NaN; NaN counts for nothing but itself.
    """

    first_nan: tuple[str, int, int] | None = None
    """Origin, row and feature of the first NaN."""
    _seen: _core.Moments | None = None
    _classes: _core.ClassCounts = field(default_factory=_core.ClassCounts)
    _noted: int = 0
    """Records that `note_nan` was told of."""

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
        flat = pa.array(np.ascontiguousarray(features).reshape(-1))
        moments, classes = self.native(width, by_class=labels is not None and labels.dtype == np.int64)
        moments.add(pa.record_batch([pa.FixedSizeListArray.from_arrays(flat, width)], ["features"]))
        if classes is not None:
            classes.add(np.ascontiguousarray(labels))
        self.note_nan(origin, lambda: np.arange(len(features)) if rows is None else rows)

    def native(self, width: int, *, by_class: bool) -> tuple[_core.Moments, _core.ClassCounts | None]:
        """Return what the native core takes records of `width` features in by; `note_nan` is called after each batch."""
        if self._seen is None:
            self._seen = _core.Moments(width)
        return self._seen, self._classes if by_class else None

    def note_nan(self, origin: str, rows: Callable[[], npt.NDArray[np.int64]]) -> None:
        """Note where the first NaN came from, if it was among the records since the last call.

        Args:
            origin: Where those came from.
            rows: Gives their numbers there.
        """
        records, _, first = (0, 0, None) if self._seen is None else self._seen.rows()
        if self.first_nan is None and first is not None:
            self.first_nan = (origin, int(rows()[first[0] - self._noted]), first[1])
        self._noted = records

    @property
    def records(self) -> int:
        """Records that came."""
        return 0 if self._seen is None else self._seen.rows()[0]

    @property
    def class_counts(self) -> dict[int, int]:
        """Records of each class that has any."""
        return dict(self._classes.items())

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
