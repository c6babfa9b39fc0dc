"""The sampler that yields whole batches: it knows the order, this rank's slices, and where it stands."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch.utils.data import Sampler
from torch.utils.data.distributed import DistributedSampler

from nexa_data import _core
from nexa_data.datasets.shards import BatchRequest
from nexa_data.errors import ConfigError
from nexa_data.loaders.orders import PlainOrders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nexa_data.datasets.shards import EpochOrder, ShardDataset
    from nexa_data.loaders.orders import Orders
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
        orders: The orders of all epochs; default: all records, mixed if `shuffle`.
    """

    def __init__(
        self,
        dataset: ShardDataset,
        plan: BatchPlan,
        *,
        seed: int,
        shuffle: bool,
        orders: Orders | None = None,
    ) -> None:
        self._dataset = dataset
        self._orders = orders or PlainOrders(plan.records, seed, shuffle)
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
        first = self._first
        order = self._order()
        native = self._dataset.native(order)
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

    def _order(self) -> EpochOrder:
        """Return the epoch's order, and cut the epoch by its length: that of a mixture may change."""
        positions = self._positions(self.epoch)
        if positions != self.plan.records:
            self.plan = replace(self.plan, records=positions)
        return self._orders.order(self.epoch)

    def _positions(self, epoch: int) -> int:
        """Return how many positions batches are cut from in an epoch."""
        return self._orders.order(epoch).records

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
        self._order()

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
            **self._orders.state(self.epoch),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken; it may come from another world size or batch size.

        Raises:
            ConfigError: It is of another dataset, order or version; the message says what differs.
        """
        here = self.state_dict()
        # A mixture compares its sources one by one, and may have got other weights and so another length.
        content = () if "mixture" in here else ("fingerprint", "records", "mixture")
        for key in ("version", "order_version", "seed", "shuffle", "order", *content):
            if state.get(key) != here.get(key):
                raise ConfigError(
                    f"the loader's state doesn't fit: {key} is {state.get(key)!r} there, {here.get(key)!r} here",
                    remedy="load it with the config and the artifact that it was saved with",
                )
        epoch, consumed = state.get("epoch"), state.get("consumed")
        damaged = ConfigError(f"the loader's state is damaged: epoch {epoch!r}, consumed {consumed!r}")
        if not isinstance(epoch, int) or not isinstance(consumed, int) or min(epoch, consumed) < 0:
            raise damaged
        self._orders.load(state, epoch, consumed)
        if consumed > self._positions(epoch):
            raise damaged
        self.epoch, self._first, self._consumed = epoch, consumed, consumed
        self._order()
        # A finished epoch has no rest: the first iteration is the next one's.
        finished = not self.plan.batches(consumed)
        if finished:
            self.set_epoch(epoch + 1)
        self._started = False


class DistributedShardSampler(ShardSampler, DistributedSampler[BatchRequest]):
    """The same, where this process takes its own slice: frameworks leave a `DistributedSampler` as it is."""

    def __init__(
        self,
        dataset: ShardDataset,
        plan: BatchPlan,
        *,
        seed: int,
        shuffle: bool,
        orders: Orders | None = None,
    ) -> None:
        ShardSampler.__init__(self, dataset, plan, seed=seed, shuffle=shuffle, orders=orders)
        # What a DistributedSampler's users read.
        self.dataset = dataset
        self.num_replicas = plan.world_size
        self.rank = plan.rank
        self.num_samples = len(self)
        self.total_size = self.num_samples * plan.world_size
