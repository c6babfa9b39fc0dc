"""The shards of one split, from record batches that a program made: written from where they lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from nexa_data import _core
from nexa_data.catalog import ShardRecord
from nexa_data.shard_output import make_durable

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    import pyarrow as pa

    from nexa_data.shard_output import WriteQueue

__all__ = ["BatchOutput"]


@dataclass
class BatchOutput:
    """Record batches of one split as its shards; nothing is counted of what they hold.

    Args:
        folder: Folder of the artifact.
        split: Name of the split.
        shard_bytes: How large a shard may grow.
        writes: Runs the writes.
    """

    folder: Path
    split: str
    shard_bytes: int
    writes: WriteQueue
    _held: list[pa.RecordBatch] = field(default_factory=list)
    _bytes: int = 0
    _written: list[Future[ShardRecord]] = field(default_factory=list)

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in rows, in order.

        Raises:
            RecordError: A shard could not be written.
        """
        while batch.num_rows:
            taken = max(_rows_within(batch, self.shard_bytes - self._bytes), 0 if self._held else 1)
            if taken:
                self._held.append(batch.slice(0, taken))
                self._bytes += self._held[-1].nbytes
                batch = batch.slice(taken)
            if batch.num_rows or self._bytes >= self.shard_bytes:
                self.cut()

    def cut(self) -> None:
        """End the shard that is being filled, if it holds anything."""
        if self._held:
            uri = f"shards/{self.split}-{len(self._written):05d}.arrow"
            held, self._held, self._bytes = self._held, [], 0
            self._written.append(self.writes.submit(partial(self._write, uri, held), self._make_durable))

    def close(self) -> list[Future[ShardRecord]]:
        """Begin to write what is held, and return the shards in order, some still on their way."""
        self.cut()
        return self._written

    def _write(self, uri: str, batches: list[pa.RecordBatch]) -> ShardRecord:
        rows = sum(batch.num_rows for batch in batches)
        size, checksum = _core.write_shard(self.folder / uri, batches, durable=False)
        batches.clear()
        return ShardRecord(uri, self.split, size, rows, checksum)

    def _make_durable(self, shard: ShardRecord) -> ShardRecord:
        make_durable(self.folder / shard.uri)
        return shard


def _rows_within(batch: pa.RecordBatch, size: int) -> int:
    """Return how many rows from the start of `batch` fit into `size` bytes."""
    if batch.nbytes <= size:
        return int(batch.num_rows)
    low, high = 0, batch.num_rows
    while low < high:  # rows of text differ in size
        middle = (low + high + 1) // 2
        low, high = (middle, high) if batch.slice(0, middle).nbytes <= size else (low, middle - 1)
    return int(low)
