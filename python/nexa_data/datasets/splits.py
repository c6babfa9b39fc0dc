"""Which split a record belongs to: as the source says, or by a stable hash, so that adding data moves nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.config import SPLITS
from nexa_data.datasets.folders import SPLIT_NAMES
from nexa_data.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pyarrow as pa

    from nexa_data.config import DataConfig
    from nexa_data.datasets.rows import RowBatch

__all__ = ["Cut", "assign_splits"]

_WINDOW = 100
"""Records of a class that are cut together: within each such window the shares are met to a record."""
_STEP = np.uint64(0x9E3779B97F4A7C15)
"""Distance of a row's number to the next, before mixing (Steele, Lea, Flood 2014)."""


@dataclass(slots=True)
class Cut:
    """Cuts batches of rows into splits, from the source's first row on.

    Args:
        data: The config's section `data:`.
        seed: Another seed gives another cut.
    """

    data: DataConfig
    seed: int
    _seen: dict[int, int] = field(default_factory=dict)
    """Records so far, by class; only for a stratified cut."""

    def assign(self, rows: RowBatch, labels: npt.NDArray[Any] | None) -> npt.NDArray[np.intp]:
        """Return for each row the index of its split in `SPLITS`.

        Args:
            rows: The rows, in the source's order.
            labels: Their labels, shape (n, …); None without any.

        Raises:
            RecordError: The column that names splits or keys is missing, null, or names no split.
        """
        split = self.data.split
        if rows.split is not None:
            return np.full(rows.batch.num_rows, SPLITS.index(rows.split), np.intp)
        if split.column is not None:
            return _named_splits(rows, split.column)
        if split.stratify and labels is not None:
            return self._stratified(labels)
        key = split.group or self.data.preprocessing.key
        return assign_splits(rows, split.shares(), seed=self.seed, key=key)

    def _stratified(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
        """Cut each class by itself, window by window, so that every class meets the shares."""
        assigned = np.empty(len(labels), np.intp)
        bounds = _bounds(self.data.split.shares())
        order = np.argsort(labels, kind="stable")
        found, starts = np.unique(labels[order], return_index=True)
        parts = np.split(order, starts[1:]) if len(labels) else []
        for label, at in zip(found.tolist(), parts, strict=True):
            first = self._seen.get(label, 0)
            self._seen[label] = first + len(at)
            assigned[at] = _in_windows(label, first, len(at), bounds, self.seed)
        return assigned


def _in_windows(
    label: int, first: int, n: int, bounds: npt.NDArray[np.float64], seed: int
) -> npt.NDArray[np.intp]:
    """Return the splits of a class's records `first .. first + n`."""
    parts = []
    for window in range(first // _WINDOW, (first + n - 1) // _WINDOW + 1):
        # Shares are met over all windows so far: what one rounds off, the next has more.
        ends = np.floor((window + 1) * _WINDOW * bounds + 0.5) - np.floor(window * _WINDOW * bounds + 0.5)
        base = int.from_bytes(hashlib.sha256(f"{seed}\0{label}\0{window}".encode()).digest()[:8], "little")
        hashes = _mixed(np.arange(_WINDOW, dtype=np.uint64) * _STEP + np.uint64(base))
        splits = np.empty(_WINDOW, np.intp)
        splits[np.argsort(hashes, kind="stable")] = np.searchsorted(ends, np.arange(_WINDOW), side="right")
        start = window * _WINDOW
        parts.append(splits[max(0, first - start) : min(_WINDOW, first + n - start)])
    return np.concatenate(parts)


def _named_splits(rows: RowBatch, column: str) -> npt.NDArray[np.intp]:
    import pyarrow as pa

    encoded = _column(rows, column, "data.split.column").cast(pa.string()).dictionary_encode()
    names = [str(name).strip().lower() for name in encoded.dictionary.to_pylist()]
    unknown = [name for name in names if name not in SPLIT_NAMES]
    if unknown:
        raise RecordError(
            f"{rows.origin}: column {column!r} names the split {unknown[0]!r}",
            remedy=f"known: {', '.join(SPLIT_NAMES)}",
        )
    index = np.array([SPLITS.index(SPLIT_NAMES[name]) for name in names], np.intp)
    of_rows: npt.NDArray[np.intp] = index[encoded.indices.to_numpy()]
    return of_rows


def assign_splits(
    rows: RowBatch, shares: Mapping[str, float], *, seed: int, key: str | None = None
) -> npt.NDArray[np.intp]:
    """Return for each row the index of its split in `shares`.

    The hash is of the value of column `key` if there is one, else of the row's origin and number. It is uniform,
    so that the shares are met approximately, and depends on nothing else: not on other rows, nor on their order.

    Args:
        rows: The rows.
        shares: Share by split; they sum to 1.
        seed: Another seed gives another cut.
        key: Column of the key.

    Raises:
        RecordError: There is no such column.
    """
    hashes = _key_hashes(rows, key, seed) if key else _row_hashes(rows, seed)
    uniform = (hashes >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return np.searchsorted(_bounds(shares), uniform, side="right")


def _bounds(shares: Mapping[str, float]) -> npt.NDArray[np.float64]:
    bounds = np.cumsum(list(shares.values()))
    # Rounding must not leave the last values without a split.
    bounds[np.flatnonzero(list(shares.values()))[-1] :] = 1.0
    return bounds


def _row_hashes(rows: RowBatch, seed: int) -> npt.NDArray[np.uint64]:
    base = int.from_bytes(hashlib.sha256(f"{seed}\0{rows.origin}".encode()).digest()[:8], "little")
    return _mixed(rows.row_numbers.astype(np.uint64) * _STEP + np.uint64(base))


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    # The finaliser of SplitMix64 (Steele, Lea, Flood 2014); overflow is part of it.
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _key_hashes(rows: RowBatch, key: str, seed: int) -> npt.NDArray[np.uint64]:
    import pyarrow as pa

    # As text, so that 7 in Parquet and "7" in CSV fall into the same split.
    column = _column(rows, key, "data.preprocessing.key or data.split.group").cast(pa.string())
    return _text_hashes(column, seed)


def _column(rows: RowBatch, name: str, setting: str) -> pa.Array:
    """Return a column that splits depend on, which may have no gaps."""
    if name not in rows.batch.schema.names:
        raise RecordError(
            f"{rows.origin}: there is no column {name!r} to split by",
            remedy=f"{setting} names one of {', '.join(rows.batch.schema.names)}",
        )
    column = rows.batch.column(name)
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise RecordError(
            f"{rows.place(row)}: column {name!r} is null, which can't be split by", remedy="fill it"
        )
    return column


def _text_hashes(column: pa.Array, seed: int) -> npt.NDArray[np.uint64]:
    encoded = column.dictionary_encode()
    salt = seed.to_bytes(16, "little")
    hashes = [
        int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, salt=salt).digest(), "little")
        for text in encoded.dictionary.to_pylist()
    ]
    of_rows: npt.NDArray[np.uint64] = np.array(hashes, dtype=np.uint64)[encoded.indices.to_numpy()]
    return of_rows
