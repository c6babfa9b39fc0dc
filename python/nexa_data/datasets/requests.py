"""What a sampler asks a dataset for: the records of one batch, which may be under way already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from nexa_data import _core
    from nexa_data.datasets.orders import EpochOrder
    from nexa_data.datasets.shards import ShardDataset

__all__ = ["BatchRequest"]


class BatchRequest(Sequence[int]):
    """The records of one batch: positions `start … start + rows` of an epoch, as a lazy sequence of record numbers.

    Code that takes batches of indices apart (to cut them by process, say) finds the indices; our dataset doesn't
    look at them, but asks the native core for the batch, which may be under way already.

    Args:
        order: The epoch's order.
        start: First position.
        rows: Number of records; beyond the epoch's end it begins again at the first position.
        native: The native order, shared by an epoch's requests.
        ticket: The native core's claim, if the batch is being assembled.
    """

    __slots__ = ("_native", "order", "rows", "start", "ticket")

    def __init__(
        self,
        order: EpochOrder,
        start: int,
        rows: int,
        *,
        native: _core.Order | None = None,
        ticket: _core.Ticket | None = None,
    ) -> None:
        self.order = order
        self.start = start
        self.rows = rows
        self.ticket = ticket
        self._native = native

    @property
    def native(self) -> _core.Order:
        """The epoch's native order."""
        if self._native is None:
            self._native = self.order.native()
        return self._native

    @property
    def real(self) -> int:
        """Records in front that are of this epoch; the others are beyond its end and begin it again."""
        return max(0, min(self.rows, self.order.records - self.start))

    def settle(self, dataset: ShardDataset) -> None:
        """Take the native order from `dataset` if the request came without one, from another process."""
        if self._native is None:
            self._native = dataset.native(self.order)

    def __len__(self) -> int:
        return self.rows

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(self.rows))]
        at = index + self.rows if index < 0 else index
        if not 0 <= at < self.rows:
            raise IndexError(f"position {index} is out of range: the batch has {self.rows} records")
        return self.native.record((self.start + at) % self.order.records)

    def __iter__(self) -> Iterator[int]:
        return iter(self.native.records(self.start, self.rows))

    def numbers(self) -> npt.NDArray[np.uint64]:
        """Return the record numbers as an array, shape (rows,)."""
        return np.frombuffer(self.native.record_bytes(self.start, self.rows), np.uint64)

    def __add__(self, other: Sequence[int]) -> list[int]:
        return [*self, *other]

    def __reduce__(self) -> tuple[Any, ...]:
        # A ticket belongs to this process; another one asks for the batch by its numbers.
        return BatchRequest, (self.order, self.start, self.rows)
