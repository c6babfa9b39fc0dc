"""The sampler that yields whole batches: it knows the order, this rank's slices, and where it stands."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from torch.utils.data import Sampler
from torch.utils.data.distributed import DistributedSampler

from nexa_data import _core
from nexa_data.datasets.shards import BatchRequest, EpochOrder
from nexa_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nexa_data.datasets.shards import ShardDataset
    from nexa_data.loaders.plan import BatchPlan

__all__ = ["DistributedShardSampler", "ShardSampler"]

_STATE_VERSION = 1
_PREFETCH_BYTES = 64 * 1024 * 1024
_MOST_AHEAD = 8


class ShardSampler(Sampler[BatchRequest]):
    """Yields the batches of an epoch, a few of them being assembled ahead.

    `iter()` after a finished epoch starts the next; after one that was broken off it starts the same again;
    `set_epoch` chooses; after `load_state_dict` the first `iter()` yields the rest.

    Args:
        dataset: Where the batches are assembled.
        plan: How the epoch is cut.
        seed: Seed of the orders.
        shuffle: Whether each epoch has an order of its own.
    """

    def __init__(self, dataset: ShardDataset, plan: BatchPlan, *, seed: int, shuffle: bool) -> None:
        self._dataset = dataset
        self.plan = plan
        self.seed = seed
        self.shuffle = shuffle
        self.epoch = 0
        self.drop_last = plan.tail == "drop"
        self._first = 0
        self._consumed = 0
        self._started = False

    def __len__(self) -> int:
        return self.plan.batches(self._first)

    def __iter__(self) -> Iterator[BatchRequest]:
        self._next_epoch()
        first, epoch = self._first, self.epoch
        order = EpochOrder(self.plan.records, self.seed, epoch, self.shuffle)
        native = order.native()
        total = self.plan.batches(first)
        ahead: deque[BatchRequest] = deque()
        depth = self._depth()
        submitted = 0
        for number in range(total):
            while submitted < min(total, number + depth):
                ahead.append(self._dataset.submit(order, native, *self.plan.slice(first, submitted)))
                submitted += 1
            request = ahead.popleft()
            self._consumed = self.plan.consumed(first, number + 1)
            yield request
        self._consumed = self.plan.records

    def _next_epoch(self) -> None:
        if self._started:
            finished = self._consumed >= self._end()
            self.epoch += 1 if finished else 0
            self._first = 0
            self._consumed = 0
        self._started = True

    def _end(self) -> int:
        return self.plan.consumed(self._first, self.plan.batches(self._first))

    def _depth(self) -> int:
        batch = max(self._dataset.record_bytes * self.plan.global_batch // self.plan.world_size, 1)
        return max(2, min(_MOST_AHEAD, _PREFETCH_BYTES // batch))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next `iter()` yields, from its beginning."""
        self.epoch = epoch
        self._first = self._consumed = 0
        self._started = False

    def state_dict(self) -> dict[str, Any]:
        """Return where the epoch stands: a few numbers, the same on every rank."""
        return {
            "version": _STATE_VERSION,
            "order_version": _core.ORDER_VERSION,
            "fingerprint": self._dataset.fingerprint,
            "records": self.plan.records,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "epoch": self.epoch,
            "consumed": self._consumed,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken; it may come from another world size or batch size.

        Raises:
            ConfigError: It is of another dataset, order or version; the message says what differs.
        """
        here = self.state_dict()
        for key in ("version", "order_version", "fingerprint", "records", "seed", "shuffle"):
            if state.get(key) != here[key]:
                raise ConfigError(
                    f"the loader's state doesn't fit: {key} is {state.get(key)!r} there, {here[key]!r} here",
                    remedy="load it with the config and the artifact that it was saved with",
                )
        epoch, consumed = state.get("epoch"), state.get("consumed")
        if (
            not isinstance(epoch, int)
            or not isinstance(consumed, int)
            or epoch < 0
            or not 0 <= consumed <= self.plan.records
        ):
            raise ConfigError(f"the loader's state is damaged: epoch {epoch!r}, consumed {consumed!r}")
        self.epoch, self._first, self._consumed = epoch, consumed, consumed
        # A finished epoch has no rest: the first iteration is the next one's.
        finished = not self.plan.batches(consumed)
        if finished:
            self.set_epoch(epoch + 1)
        self._started = False


class DistributedShardSampler(ShardSampler, DistributedSampler[BatchRequest]):
    """The same, where this process takes its own slice: frameworks leave a `DistributedSampler` as it is."""

    def __init__(self, dataset: ShardDataset, plan: BatchPlan, *, seed: int, shuffle: bool) -> None:
        ShardSampler.__init__(self, dataset, plan, seed=seed, shuffle=shuffle)
        # What a DistributedSampler's users read.
        self.dataset = dataset
        self.num_replicas = plan.world_size
        self.rank = plan.rank
        self.num_samples = len(self)
        self.total_size = self.num_samples * plan.world_size
