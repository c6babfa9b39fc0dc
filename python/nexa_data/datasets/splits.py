"""Which split a record belongs to: a stable hash, so that adding data moves nothing."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from nexa_data.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pyarrow as pa

    from nexa_data.datasets.rows import RowBatch

__all__ = ["assign_splits"]


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
    bounds = np.cumsum(list(shares.values()))
    # Rounding must not leave the last values without a split.
    bounds[np.flatnonzero(list(shares.values()))[-1] :] = 1.0
    return np.searchsorted(bounds, uniform, side="right")


def _row_hashes(rows: RowBatch, seed: int) -> npt.NDArray[np.uint64]:
    base = int.from_bytes(hashlib.sha256(f"{seed}\0{rows.origin}".encode()).digest()[:8], "little")
    numbers = np.arange(rows.first_row, rows.first_row + rows.batch.num_rows, dtype=np.uint64)
    return _mixed(numbers * np.uint64(0x9E3779B97F4A7C15) + np.uint64(base))


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    # The finaliser of SplitMix64 (Steele, Lea, Flood 2014); overflow is part of it.
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _key_hashes(rows: RowBatch, key: str, seed: int) -> npt.NDArray[np.uint64]:
    import pyarrow as pa

    if key not in rows.batch.schema.names:
        raise RecordError(
            f"{rows.origin}: there is no column {key!r} to split by",
            remedy=f"data.preprocessing.key names one of {', '.join(rows.batch.schema.names)}",
        )
    # As text, so that 7 in Parquet and "7" in CSV fall into the same split.
    column = rows.batch.column(key).cast(pa.string())
    if column.null_count:
        raise RecordError(
            f"{rows.origin}: column {key!r} has nulls, which can't be split by", remedy="fill them"
        )
    return _text_hashes(column, seed)


def _text_hashes(column: pa.Array, seed: int) -> npt.NDArray[np.uint64]:
    encoded = column.dictionary_encode()
    salt = seed.to_bytes(16, "little")
    hashes = [
        int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, salt=salt).digest(), "little")
        for text in encoded.dictionary.to_pylist()
    ]
    of_rows: npt.NDArray[np.uint64] = np.array(hashes, dtype=np.uint64)[encoded.indices.to_numpy()]
    return of_rows
