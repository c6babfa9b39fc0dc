"""What a loader did so far in this process, and where the time went."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["LoaderStats"]


@dataclass(frozen=True, slots=True)
class LoaderStats:
    """Sums since the loader was made, in this process, over all epochs.

    `ahead`, the buffers and `window_bytes` are of this moment. `waited_s` is the training loop's: it is short of data as
    long as that grows. `ready_s` is the opposite: batches lay finished before somebody took them.

    Args:
        batches: Batches that the native core handed over.
        records: Records in them.
        bytes: Bytes in them.
        assembled: Batches assembled, also those that nobody took in the end.
        assembling_s: Time that threads spent assembling, summed over the threads.
        waited_s: Time that the training loop waited for batches.
        queued_s: Time that submitted batches waited for a thread, summed over the batches.
        ready_s: Time that finished batches lay ready, summed over the batches.
        seconds: Time from when the first batch was asked for to when the last one was handed over.
        ahead: Batches submitted and neither taken nor given up: the depth of the queue.
        idle_buffers: Buffers that wait in the pool for a batch.
        idle_bytes: Bytes of those.
        live_buffers: Buffers that somebody holds: batches ahead, and tensors that live.
        source: `direct`, once blocks were read past the page cache (`data.order.direct`), else `mapped`.
        source_reason: Why some bytes come through the page cache nevertheless; None while none does.
        direct_bytes: Bytes of the shards' files that were read for windows of blocks.
        window_bytes: Bytes of memory that windows take now, the one that batches come from and the next.
    """

    batches: int
    records: int
    bytes: int
    assembled: int
    assembling_s: float
    waited_s: float
    queued_s: float
    ready_s: float
    seconds: float
    ahead: int
    idle_buffers: int
    idle_bytes: int
    live_buffers: int
    source: str = "mapped"
    source_reason: str | None = None
    direct_bytes: int = 0
    window_bytes: int = 0

    @property
    def records_per_s(self) -> float:
        """Records per second of `seconds`, the training loop's own time included; 0 before the first."""
        return self.records / self.seconds if self.seconds else 0.0

    @property
    def bytes_per_s(self) -> float:
        """Bytes per second of `seconds`; 0 before the first."""
        return self.bytes / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the fields and the rates as plain values for JSON."""
        return asdict(self) | {"records_per_s": self.records_per_s, "bytes_per_s": self.bytes_per_s}
