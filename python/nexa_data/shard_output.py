"""Gathers the rows of one split into shards and writes them beside the reading of what comes next."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from nexa_data import _core
from nexa_data.catalog import ShardRecord
from nexa_data.datasets.statistics import SplitStatistics
from nexa_data.shard_journal import ShardJournal  # noqa: TC001 (a field of a dataclass)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    import numpy.typing as npt
    import pyarrow as pa

    from nexa_data.config import ShardConfig
    from nexa_data.pipeline import SplitRows

    _Write = Callable[[str, list[pa.RecordBatch]], ShardRecord]

__all__ = ["SplitOutput", "WriteQueue", "tensor_batch"]

_WRITERS = 2
"""Shards that are hashed and written at a time once nothing more is read: one disk gains nothing from more."""


class WriteQueue:
    """Writes shards beside the reading of what comes next, in threads of its own.

    While there is more to read one shard at a time is written, of whichever split: each costs its memory twice.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_WRITERS, "nexa-write")
        self._last: Future[ShardRecord] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def submit(self, write: _Write, uri: str, batches: list[pa.RecordBatch]) -> Future[ShardRecord]:
        """Write a shard once the one before is written.

        Raises:
            RecordError: The one before could not be written.
        """
        if self._last is not None:
            self._last.result()
        self._last = self.submit_last(write, uri, batches)
        return self._last

    def submit_last(self, write: _Write, uri: str, batches: list[pa.RecordBatch]) -> Future[ShardRecord]:
        """Write a shard when nothing more is read."""
        return self._threads.submit(write, uri, batches)


@dataclass
class SplitOutput:
    """The shards of one split.

    Args:
        folder: Folder of the artifact.
        split: Name of the split.
        size: How large a shard may grow.
        writes: Runs the writes.
        journal: The shards that are on disk already.
    """

    folder: Path
    split: str
    size: ShardConfig
    writes: WriteQueue
    journal: ShardJournal
    statistics: SplitStatistics = field(default_factory=SplitStatistics)
    _held: list[pa.RecordBatch] = field(default_factory=list)
    _rows: int = 0
    _bytes: int = 0
    _written: list[Future[ShardRecord]] = field(default_factory=list)

    def add(self, part: SplitRows) -> None:
        """Take in some rows, in order.

        Raises:
            RecordError: A shard could not be written.
        """
        self.statistics.add(part.features, part.labels, origin=part.origin, rows=part.rows)
        labels = {} if part.labels is None else {"label": part.labels}
        batch = tensor_batch({"features": part.features, **labels}, part.others)
        while batch.num_rows:
            taken = min(batch.num_rows, self._room(batch))
            self._held.append(batch.slice(0, taken))
            self._rows += taken
            self._bytes += self._held[-1].nbytes
            batch = batch.slice(taken)
            if batch.num_rows or self._full():
                self._write(self.writes.submit)

    def close(self) -> list[Future[ShardRecord]]:
        """Begin to write what is held, and return the shards in order, some still on their way."""
        if self._held:
            self._write(self.writes.submit_last)
        return self._written

    def _room(self, batch: pa.RecordBatch) -> int:
        """Return how many rows of `batch` the shard still takes; an empty one takes a row of any size."""
        by_rows = batch.num_rows if self.size.rows is None else self.size.rows - self._rows
        by_bytes = _rows_within(batch, self.size.bytes - self._bytes)
        return max(min(by_rows, by_bytes), 0 if self._rows else 1)

    def _full(self) -> bool:
        return self._rows == self.size.rows or self._bytes >= self.size.bytes

    def _write(self, submit: Callable[[_Write, str, list[pa.RecordBatch]], Future[ShardRecord]]) -> None:
        uri = f"shards/{self.split}-{len(self._written):05d}.arrow"
        held, self._held, self._rows, self._bytes = self._held, [], 0, 0
        self._written.append(submit(self._write_shard, uri, held))

    def _write_shard(self, uri: str, batches: list[pa.RecordBatch]) -> ShardRecord:
        rows = sum(batch.num_rows for batch in batches)
        known = self.journal.find(uri, rows)
        if known is not None:
            return known
        size, checksum = _core.write_shard(self.folder / uri, batches)
        return self.journal.add(ShardRecord(uri, self.split, size, rows, checksum))


def tensor_batch(
    columns: Mapping[str, npt.NDArray[Any]], others: pa.RecordBatch | None = None
) -> pa.RecordBatch:
    """Return arrays of shape (n, …) as a record batch over the same memory, a tensor a row where there is a shape.

    Args:
        columns: Array by name.
        others: Columns that stand behind them, n rows.
    """
    import pyarrow as pa

    arrays = [_column(values) for values in columns.values()]
    fields = [pa.field(name, array.type, nullable=False) for name, array in zip(columns, arrays, strict=True)]
    if others is not None:
        arrays += others.columns
        fields += [field.with_nullable(False) for field in others.schema]
    return pa.record_batch(arrays, schema=pa.schema(fields))


def _column(values: npt.NDArray[Any]) -> pa.Array:
    """Return an array of shape (n, …) as an Arrow array over the same memory; more than one dimension as tensors."""
    import pyarrow as pa

    values = np.ascontiguousarray(values)
    flat = pa.array(values.reshape(-1))
    if values.ndim == 1:
        return flat
    shape = values.shape[1:]
    storage = pa.FixedSizeListArray.from_arrays(flat, int(np.prod(shape)))
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(flat.type, shape), storage)


def _rows_within(batch: pa.RecordBatch, left: int) -> int:
    """Return how many of the first rows take at most `left` bytes, by what the rows themselves take."""
    low, high = 0, int(batch.num_rows)
    while low < high and batch.nbytes > left:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if batch.slice(0, middle).nbytes <= left else (low, middle - 1)
    return high
