"""Gathers rows into the shards of their splits and writes them beside the reading of what comes next."""

from __future__ import annotations

import math
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from nexa_data import _core
from nexa_data.artifacts import fsync
from nexa_data.catalog import ShardRecord
from nexa_data.config import SPLITS
from nexa_data.datasets.statistics import SplitStatistics
from nexa_data.errors import RecordError
from nexa_data.pipeline import LEFT_OUT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    import numpy.typing as npt
    import pyarrow as pa

    from nexa_data.config import ShardConfig
    from nexa_data.pipeline import CutRows
    from nexa_data.quality.measure import Measurement
    from nexa_data.shard_journal import ShardJournal

    _Sync = Callable[[ShardRecord], ShardRecord]
    _Submit = Callable[[Callable[[], ShardRecord], _Sync], Future[ShardRecord]]

__all__ = ["ShardOutput", "WriteQueue", "make_durable", "tensor_batch"]

_WRITERS = 2
"""Shards that are hashed and written at a time once nothing more is read: one disk gains nothing from more."""
_UNSYNCED = 2
"""Shards that the system has and the disk perhaps hasn't, while there is more to read."""


class WriteQueue:
    """Writes shards beside the reading of what comes next, in threads of its own.

    While there is more to read one shard at a time is hashed and handed to the system, of whichever split: its memory
    takes in the one after next. Meanwhile the one before is made durable.
    """

    def __init__(self) -> None:
        self._writes = ThreadPoolExecutor(_WRITERS, "nexa-write")
        self._syncs = ThreadPoolExecutor(_WRITERS, "nexa-sync")
        self._measures = ThreadPoolExecutor(1, "nexa-measure")
        self._last: Future[ShardRecord] | None = None
        self._durable: deque[Future[ShardRecord]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writes.shutdown(cancel_futures=True)
        self._syncs.shutdown(cancel_futures=True)
        self._measures.shutdown(cancel_futures=True)

    def submit(self, write: Callable[[], ShardRecord], sync: _Sync) -> Future[ShardRecord]:
        """Write a shard once the one before is written.

        Args:
            write: Hands the shard's content to the system.
            sync: Is given what `write` returned, and makes it durable.

        Returns:
            What `sync` returns.

        Raises:
            RecordError: One before could not be written.
        """
        if self._last is not None:
            self._last.result()
        while len(self._durable) >= _UNSYNCED:
            self._durable.popleft().result()
        return self.submit_last(write, sync)

    def beside(self, measure: Callable[[], None]) -> Future[None]:
        """Measure a shard's rows while they are written, one shard after the other."""
        return self._measures.submit(measure)

    def submit_last(self, write: Callable[[], ShardRecord], sync: _Sync) -> Future[ShardRecord]:
        """Write a shard when nothing more is read."""
        written = self._last = self._writes.submit(write)
        durable = self._syncs.submit(lambda: sync(written.result()))
        self._durable.append(durable)
        return durable


class ShardOutput:
    """The shards of all splits: rows go natively from a batch to where their shard is written from.

    Args:
        folder: Folder of the artifact.
        size: How large a shard may grow.
        writes: Runs the writes.
        journal: The shards that are on disk already.
        measurement: Takes in what is written, shard by shard.
    """

    def __init__(
        self,
        folder: Path,
        size: ShardConfig,
        writes: WriteQueue,
        journal: ShardJournal,
        measurement: Measurement,
    ) -> None:
        self._folder = folder
        self._size = size
        self._writes = writes
        self._journal = journal
        self._measurement = measurement
        self._rows = dict.fromkeys(SPLITS, 0)
        self.statistics = {split: SplitStatistics() for split in SPLITS}
        self._gather: _core.SplitGather | None = None
        self._written: dict[str, list[Future[ShardRecord]]] = {split: [] for split in SPLITS}

    def add(self, cut: CutRows) -> int:
        """Take in some rows, in order, and return how many belong to a split.

        Raises:
            RecordError: A shard could not be written.
        """
        labels = {} if cut.labels is None else {"label": cut.labels}
        gather = self._gather or self._begin(cut)
        gather.add(tensor_batch({"features": cut.features, **labels}, cut.others), cut.splits)
        for index, split in enumerate(SPLITS):
            self.statistics[split].note_nan(cut.rows.origin, partial(cut.numbers, index))
        while (full := gather.next_full()) is not None:
            self._write(self._writes.submit, *full)
        return int(np.count_nonzero(cut.splits != LEFT_OUT))

    def close(self) -> list[Future[ShardRecord]]:
        """Begin to write what is held, and return the shards by split and in order, some still on their way."""
        for split, rows in [] if self._gather is None else self._gather.finish():
            self._write(self._writes.submit_last, split, rows)
        return [shard for written in self._written.values() for shard in written]

    def _begin(self, cut: CutRows) -> _core.SplitGather:
        width = math.prod(cut.features.shape[1:])
        by_class = cut.labels is not None and cut.labels.dtype == np.int64
        seen = [each.native(width, by_class=by_class) for each in self.statistics.values()]
        self._gather = _core.SplitGather(seen, shard_rows=self._size.rows, shard_bytes=self._size.bytes)
        return self._gather

    def _write(self, submit: _Submit, index: int, rows: _core.ArrowBatch) -> None:
        split = SPLITS[index]
        written = self._written[split]
        uri = f"shards/{split}-{len(written):05d}.arrow"
        first = self._rows[split]
        self._rows[split] += len(rows)
        # Once the shard is written its memory has to be free, for the next one: nobody else may hold the rows.
        written.append(submit(partial(self._write_shard, uri, split, first, [rows]), self._make_durable))

    def _write_shard(self, uri: str, split: str, first: int, held: list[_core.ArrowBatch]) -> ShardRecord:
        rows = held.pop()
        measured = self._writes.beside(partial(self._measure, split, [rows], first))
        try:
            known = self._journal.find(uri, len(rows))
            if known is not None:
                return known
            size, checksum = _core.write_shard(self._folder / uri, [rows], durable=False)
            return ShardRecord(uri, split, size, len(rows), checksum)
        finally:
            # The rows' memory is free again only then.
            measured.result()

    def _measure(self, split: str, held: list[_core.ArrowBatch], first: int) -> None:
        self._measurement.add(split, held.pop(), first)

    def _make_durable(self, shard: ShardRecord) -> ShardRecord:
        if not self._journal.has(shard):
            make_durable(self._folder / shard.uri)
            self._journal.add(shard)
        return shard


def make_durable(path: Path) -> None:
    """Wait until the disk has a shard that the system has.

    Raises:
        RecordError: It can't.
    """
    try:
        fsync(path)
    except OSError as error:
        raise RecordError(f"{path}: it can't be made durable: {error}", remedy="check the disk") from error


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
