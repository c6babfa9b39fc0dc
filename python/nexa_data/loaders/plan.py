"""How an epoch is cut into batches, and batches into the slices of ranks: arithmetic alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

from nexa_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BatchPlan"]


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """Global batches of `global_batch` consecutive positions; each rank takes a slice of each.

    Every rank gets the same number of batches. With `tail="keep"` the last global batch is shorter; a rank for
    which it has no record gets one of its records again, so that no rank waits for ever. With `tail="pad"` it is as long
    as the others, and what stands beyond the epoch's last position is padding.

    Args:
        records: Records of the split.
        global_batch: Records per batch over all ranks.
        rank: This rank.
        world_size: Number of ranks.
        tail: What becomes of the records left over: `drop`, `keep`, or `repeat` and `pad`, which both fill up from the
            epoch's beginning.
        group: Somebody else deals these batches out to so many processes; with `pad` their number divides by it.

    Example:
        >>> plan = BatchPlan(records=10, global_batch=4, rank=0, world_size=1, tail="keep")
        >>> [plan.slice(0, k) for k in range(plan.batches())]
        [(0, 4), (4, 4), (8, 2)]
    """

    records: int
    global_batch: int
    rank: int
    world_size: int
    tail: str
    group: int = 1

    def __post_init__(self) -> None:
        if self.global_batch < self.world_size:
            raise ConfigError(
                f"a global batch of {self.global_batch} has no record for each of {self.world_size} ranks",
                remedy="raise data.global_batch_size",
            )
        if self.tail == "drop" and self.records < self.global_batch:
            raise ConfigError(
                f"{self.records} records make no batch of {self.global_batch}, and data.batch.tail is drop",
                remedy="set data.batch.tail to keep, or lower data.batch_size",
            )

    def batches(self, first: int = 0) -> int:
        """Return the number of batches from position `first` to the epoch's end."""
        whole, left = divmod(max(self.records - first, 0), self.global_batch)
        count = whole + (1 if left and self.tail != "drop" else 0)
        return count + (-count % self.group if self.tail == "pad" else 0)

    def slice(self, first: int, batch: int) -> tuple[int, int]:
        """Return (start, rows): this rank's positions of batch number `batch`, counted from position `first`."""
        start = first + batch * self.global_batch
        size = self.global_batch
        if self.tail == "keep":
            size = min(size, self.records - start)
        low, high = (size * rank // self.world_size for rank in (self.rank, self.rank + 1))
        if low == high:
            low = min(low, size - 1)
            high = low + 1
        return start + low, high - low

    def slices(self, first: int) -> Iterator[tuple[int, int]]:
        """Return `slice(first, batch)` of one batch after the other."""
        count = self.batches(first)
        alike = min(count, max(self.records - first, 0) // self.global_batch)
        if alike:
            start, rows = self.slice(first, 0)
            step = self.global_batch
            yield from zip(range(start, start + alike * step, step), repeat(rows))
        for batch in range(alike, count):
            yield self.slice(first, batch)

    def consumed(self, first: int, batches: int) -> int:
        """Return how many records all ranks together have consumed after `batches` batches from position `first`."""
        return min(first + batches * self.global_batch, self.records)
