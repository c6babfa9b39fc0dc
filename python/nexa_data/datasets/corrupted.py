"""Synthetic data with faults at known rates: to see whether a pipeline finds them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.datasets.uniform import uniform
from nexa_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from nexa_data.datasets.rows import RowSource
    from nexa_data.datasets.synthetic import SyntheticClassificationDataset

__all__ = ["CorruptedDataset", "Faults", "corrupted"]

_BLOCK_ROWS = 65_536
_FAR = 40.0
"""Standard deviations by which an outlier lies off."""
_SPLITS = ("train", "validation", "test")

# What the random words of a record decide about, each by a stream of its own.
_KIND, _VALUES, _SPLIT = 101, 102, 103


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with some records: masks of shape (n,), or of shape (n, F) for values.

    Args:
        missing: Values that are NaN.
        infinite: Values that are +∞ or −∞.
        outlier: Values that lie 40 standard deviations off.
        duplicate: Records that repeat an earlier record of their split.
        conflict: Records that repeat one with another label.
        leak: Records of validation and test that repeat one of train.
        mislabelled: Records whose label was changed.
        origin: Number of the record that each repeats; of the others their own, shape (n,), int64.
    """

    missing: npt.NDArray[np.bool_]
    infinite: npt.NDArray[np.bool_]
    outlier: npt.NDArray[np.bool_]
    duplicate: npt.NDArray[np.bool_]
    conflict: npt.NDArray[np.bool_]
    leak: npt.NDArray[np.bool_]
    mislabelled: npt.NDArray[np.bool_]
    origin: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Rates:
    missing: float = 0.0
    infinite: float = 0.0
    outliers: float = 0.0
    duplicates: float = 0.0
    conflicts: float = 0.0
    leakage: float = 0.0
    label_noise: float = 0.0
    drift: float = 0.0


class CorruptedDataset:
    """A dataset with faults, record i again a pure function of the seed and i.

    It says itself in which split a record is, since a leak is one only across splits.
    """

    def __init__(
        self,
        dataset: SyntheticClassificationDataset,
        rates: _Rates,
        shares: Mapping[str, float],
        seed: int,
    ) -> None:
        self._dataset = dataset
        self._rates = rates
        self._bounds = np.cumsum([shares.get(split, 0.0) for split in _SPLITS])
        self._seed = seed

    def __len__(self) -> int:
        return len(self._dataset)

    @property
    def moved_columns(self) -> int:
        """Number of features, the first ones, that have drifted."""
        return round(self._rates.drift * self._dataset.num_features)

    def splits(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the split of each record, by its place in train, validation, test."""
        words = self._uniform(_SPLIT, numbers, 1)[:, 0]
        found: npt.NDArray[np.int64] = np.minimum(np.searchsorted(self._bounds, words, side="right"), 2)
        return found

    def faults(self, numbers: npt.NDArray[np.int64]) -> Faults:
        """Return what is wrong with the records of some numbers, shape (n,)."""
        numbers = np.asarray(numbers, np.int64)
        words = self._uniform(_KIND, numbers, 1)
        splits = self.splits(numbers)
        rates = self._rates
        # The first word says whether a record repeats another, and how; they exclude each other.
        repeats = np.searchsorted(np.cumsum([rates.duplicates, rates.conflicts]), words[:, 0], side="right")
        leak = (repeats == 2) & (splits > 0) & (words[:, 2] < rates.leakage)  # noqa: PLR2004 (beyond both)
        wanted = np.where(leak, 0, splits)
        origin = self._earlier(numbers, wanted, (repeats < 2) | leak, words[:, 1])  # noqa: PLR2004
        repeated = origin != numbers
        duplicate, conflict, leak = repeated & (repeats == 0), repeated & (repeats == 1), repeated & leak
        kinds = self._value_kinds(origin)
        mislabelled = ~repeated & (words[:, 3] < rates.label_noise)
        return Faults(kinds == 1, kinds == 2, kinds == 3, duplicate, conflict, leak, mislabelled, origin)  # noqa: PLR2004

    def _value_kinds(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return for each value 1 if it is missing, 2 if infinite, 3 if an outlier, 0 if sound: shape (n, F)."""
        rates = self._rates
        bounds = np.cumsum([rates.missing, rates.infinite, rates.outliers])
        blocks = -(-self._dataset.num_features // 4)
        words = self._uniform(_VALUES, numbers, blocks)[:, : self._dataset.num_features]
        return (np.searchsorted(bounds, words, side="right") + 1) % 4

    def _earlier(
        self,
        numbers: npt.NDArray[np.int64],
        splits: npt.NDArray[np.int64],
        repeats: npt.NDArray[np.bool_],
        words: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.int64]:
        """Return for each record that repeats the number of an earlier, sound one of a split; of the others their own."""
        origin = numbers.copy()
        open_ = np.flatnonzero(repeats & (numbers > 0))
        candidates = (words[open_] * numbers[open_]).astype(np.int64)
        # The nearest ones before the first candidate: one in a few is of the split, and repeats nothing itself.
        for _ in range(200):
            if not len(open_):
                break
            fits = (self.splits(candidates) == splits[open_]) & ~self._repeating(candidates)
            origin[open_[fits]] = candidates[fits]
            left = ~fits & (candidates > 0)
            open_, candidates = open_[left], candidates[left] - 1
        return origin

    def _repeating(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        words = self._uniform(_KIND, numbers, 1)
        rates = self._rates
        leaks = (self.splits(numbers) > 0) & (words[:, 2] < rates.leakage)
        found: npt.NDArray[np.bool_] = (words[:, 0] < rates.duplicates + rates.conflicts) | leaks
        return found

    def rows(
        self, numbers: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], Faults]:
        """Return features (n, F), labels (n,) and faults of some records."""
        faults = self.faults(numbers)
        made, labels = self._dataset.rows(faults.origin.astype(np.uint64))
        features = made.copy()
        features[:, : self.moved_columns] += np.float32(math.hypot(1.0, self._dataset.class_sep))
        features[faults.missing] = np.nan
        signs = np.where(self._uniform(_SPLIT, faults.origin, 1)[:, 1:2] < 0.5, -1.0, 1.0)  # noqa: PLR2004
        np.copyto(features, np.float32(np.inf) * signs.astype(np.float32), where=faults.infinite)
        features[faults.outlier] += np.float32(_FAR)
        classes = self._dataset.num_classes
        step = 1 + (self._uniform(_SPLIT, np.asarray(numbers), 1)[:, 2] * (classes - 1)).astype(np.int64)
        changed = faults.conflict | faults.mislabelled | self._mislabelled(faults)
        moved = np.where(faults.conflict | faults.mislabelled, step, self._step(faults.origin))
        return features, np.where(changed, (labels + moved) % classes, labels), faults

    def _mislabelled(self, faults: Faults) -> npt.NDArray[np.bool_]:
        """Return which records repeat one whose label was changed, and repeat that too."""
        found: npt.NDArray[np.bool_] = self._uniform(_KIND, faults.origin, 1)[:, 3] < self._rates.label_noise
        return found & (faults.duplicate | faults.leak)

    def _step(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        words = self._uniform(_SPLIT, numbers, 1)[:, 2]
        return 1 + (words * (self._dataset.num_classes - 1)).astype(np.int64)

    def _uniform(self, purpose: int, numbers: npt.NDArray[np.int64], blocks: int) -> npt.NDArray[np.float64]:
        return uniform(self._seed, purpose, numbers, blocks)

    def row_source(self) -> RowSource:
        """Return the records as a stream of Arrow record batches, each of one split."""
        import pyarrow as pa

        from nexa_data.datasets.rows import RowBatch, RowSource, column_array

        width = self._dataset.num_features
        schema = pa.schema([("features", pa.list_(pa.float32(), width)), ("label", pa.int64())])

        def batches() -> Iterator[RowBatch]:
            for first in range(0, len(self), _BLOCK_ROWS):
                numbers = np.arange(first, min(first + _BLOCK_ROWS, len(self)))
                features, labels, _ = self.rows(numbers)
                splits = self.splits(numbers)
                for place, split in enumerate(_SPLITS):
                    rows = np.flatnonzero(splits == place)
                    if len(rows):
                        columns: list[Any] = [
                            column_array(features[rows], "synthetic"),
                            pa.array(labels[rows]),
                        ]
                        batch = pa.record_batch(columns, schema=schema)
                        yield RowBatch("synthetic", first, batch, numbers=numbers[rows], split=split)

        shares = np.diff(self._bounds, prepend=0.0)
        named = frozenset(split for split, share in zip(_SPLITS, shares, strict=True) if share > 0)
        return RowSource(schema, batches, "dataset 'synthetic'", splits=named)


def corrupted(  # noqa: PLR0913 (one for each kind of fault)
    dataset: SyntheticClassificationDataset,
    *,
    missing: float = 0.0,
    infinite: float = 0.0,
    outliers: float = 0.0,
    duplicates: float = 0.0,
    conflicts: float = 0.0,
    leakage: float = 0.0,
    label_noise: float = 0.0,
    drift: float = 0.0,
    seed: int = 0,
    split: Mapping[str, float] | None = None,
) -> CorruptedDataset:
    """Return the dataset with faults at known rates; nothing is made before it is read.

    Args:
        dataset: The sound data.
        missing: Share of the values that are NaN.
        infinite: Share of the values that are infinite.
        outliers: Share of the values that lie 40 standard deviations off.
        duplicates: Share of the records that repeat, bit for bit, an earlier one of their split.
        conflicts: Share of the records that repeat the features of one, with another label.
        leakage: Share of the records of validation and test that repeat one of train.
        label_noise: Share of the records whose label is another class's.
        drift: Share of the features, the first ones, that have moved by about a standard deviation: what a validation with
            the sound dataset as its reference should find.
        seed: Seed of the faults.
        split: Share of each split; default: 0.8, 0.1, 0.1.

    Raises:
        ConfigError: A rate is no share, or those that exclude each other are more than 1.

    Example:
        >>> from nexa_data.datasets.synthetic import SyntheticClassificationDataset
        >>> faulty = corrupted(SyntheticClassificationDataset(10**9, 8, 2), missing=0.25)
        >>> features, labels, faults = faulty.rows(np.arange(1000))
        >>> bool((np.isnan(features) == faults.missing).all()), bool(abs(faults.missing.mean() - 0.25) < 0.02)
        (True, True)
    """
    rates = _Rates(missing, infinite, outliers, duplicates, conflicts, leakage, label_noise, drift)
    given = (missing, infinite, outliers, duplicates, conflicts, leakage, label_noise, drift)
    if (
        not all(0 <= rate <= 1 for rate in given)
        or missing + infinite + outliers > 1
        or duplicates + conflicts > 1
    ):
        raise ConfigError(
            f"corrupt: {rates} are no shares",
            remedy="each from 0 to 1; missing, infinite and outliers together at most 1, so duplicates and conflicts",
        )
    return CorruptedDataset(dataset, rates, split or {"train": 0.8, "validation": 0.1, "test": 0.1}, seed)
