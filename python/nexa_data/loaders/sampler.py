"""The sampler that yields whole batches: it knows the order, this rank's slices, and where it stands."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from torch.utils.data import BatchSampler
from torch.utils.data.distributed import DistributedSampler

from nexa_data import _core
from nexa_data.datasets.requests import BatchRequest
from nexa_data.errors import ConfigError
from nexa_data.loaders.orders import PlainOrders

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nexa_data.datasets.shards import EpochOrder, ShardDataset
    from nexa_data.loaders.orders import Orders
    from nexa_data.loaders.plan import BatchPlan

__all__ = ["DistributedShardSampler", "ShardSampler"]

_STATE_VERSION = 1
_PREFETCH_BYTES = 64 * 1024 * 1024
_MOST_AHEAD = 8


class _SharedIterator:
    """Lets several threads draw from one iterator: each request goes to one of them.

    Args:
        requests: A generator, which refuses a second thread while the first is in it.
    """

    __slots__ = ("_lock", "_requests")

    def __init__(self, requests: Iterator[BatchRequest]) -> None:
        self._requests = requests
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[BatchRequest]:
        return self

    def __next__(self) -> BatchRequest:
        with self._lock:
            return next(self._requests)


class ShardSampler(BatchSampler):
    """Yields the batches of an epoch, a few of them being assembled ahead.

    `iter()` after a finished epoch starts the next; after one that was broken off it starts the same again;
    `set_epoch` chooses; after `load_state_dict` the first `iter()` yields the rest.

    Several threads may draw from one iterator. Several iterators may be drawn from at once; the state is that of the one
    begun last.

    Args:
        dataset: Where the batches are assembled.
        plan: How the epoch is cut.
        seed: Seed of the orders.
        shuffle: Whether each epoch has an order of its own.
        lane: Where somebody else deals these batches out to processes: the number of this one, and of how many. Only
            its own are assembled ahead.
        orders: The orders of all epochs; default: all records, mixed if `shuffle`.
    """

    def __init__(
        self,
        dataset: ShardDataset,
        plan: BatchPlan,
        *,
        seed: int,
        shuffle: bool,
        lane: tuple[int, int] = (0, 1),
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
        self._lane = lane
        self._chosen = False
        self._shift = 0
        self._begun = 0

    @property
    def batch_size(self) -> int:  # type: ignore[override]
        """Records of a batch: what frameworks ask that deal out a sampler's batches to processes.

        Raises:
            ConfigError: The batches are cut for this process already.
        """
        if self.plan.world_size > 1:
            raise ConfigError(
                f"the loader's batches are cut for rank {self.plan.rank} of {self.plan.world_size} already, "
                "and somebody is about to cut them again",
                remedy='make the Accelerator before the loader, or build it with shard="none"',
            )
        return self.plan.global_batch

    def __len__(self) -> int:
        # Also of an epoch that is resumed the whole: who counts batches counts on from those before.
        return -(-self._first // self.plan.global_batch) + self.plan.batches(self._first)

    def __iter__(self) -> Iterator[BatchRequest]:  # type: ignore[override]
        return _SharedIterator(self._requests())

    def _requests(self) -> Iterator[BatchRequest]:
        self._next_epoch()
        self._begun += 1
        mine = self._begun
        first = self._first
        order = self._order()
        dataset = self._dataset
        native = dataset.native(order)
        total = self.plan.batches(first)
        ahead: deque[BatchRequest] = deque()
        lane, lanes = self._lane
        depth = self._depth()
        slices = enumerate(self.plan.slices(first))
        for number in range(total):
            # Half of them at a time: to wake a thread that sleeps costs more than all else that is done for a batch here.
            due = depth * lanes - len(ahead) if len(ahead) <= depth * lanes // 2 else 0
            for drawn, (start, rows) in islice(slices, due):
                # Batches that nobody takes (they are skipped, listed, or drawn by another process) mustn't pile up.
                begin = drawn % lanes == lane and dataset.ahead < 2 * depth
                ahead.append((dataset.submit if begin else dataset.request)(order, native, start, rows))
            request = ahead.popleft()
            if mine == self._begun:
                self._consumed = self.plan.consumed(first, number + 1)
            yield request
        if mine == self._begun:
            self._consumed = self.plan.records

    def _next_epoch(self) -> None:
        if self._started:
            finished = self._consumed >= self._end()
            self.epoch += 1 if finished else 0
            self._first = 0
            self._consumed = 0
        self._heed(self._dataset.take_asked_epoch())
        self._started = True
        self._chosen = False

    def _heed(self, asked: int | None) -> None:
        """Follow the epoch that a framework asked the dataset for.

        What was chosen here, by a state or by the user, knows better than a wrapper that counts its own iterations from
        0; from then on the wrapper's count is taken as counted from there.
        """
        if asked is None:
            return
        if self._chosen:
            self._shift = self.epoch - asked
        elif asked + self._shift != self.epoch:
            self.epoch = max(asked + self._shift, 0)
            self._first = self._consumed = 0

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
        batch = max(self._position_bytes() * self.plan.global_batch // self.plan.world_size, 1)
        return max(2, min(_MOST_AHEAD, _PREFETCH_BYTES // batch))

    def _position_bytes(self) -> int:
        """Return the bytes that a position has in a batch."""
        return self._dataset.record_bytes

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next `iter()` yields, from its beginning.

        Only the epoch that a state was loaded for, and that wasn't begun since, goes on where the state was taken:
        training loops choose each epoch before they iterate, also the one that they resume.
        """
        resumed = self._chosen and not self._started and self._first > 0
        self._chosen = True
        if resumed and epoch == self.epoch:
            return
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
        self._orders.load(state, epoch, self._turns(state, consumed))
        if consumed > self._positions(epoch):
            raise damaged
        self.epoch, self._first, self._consumed = epoch, consumed, consumed
        self._order()
        # A finished epoch has no rest: the first iteration is the next one's.
        finished = not self.plan.batches(consumed)
        if finished:
            self.set_epoch(epoch + 1)
        self._started = False
        self._chosen = True

    def _turns(self, state: Mapping[str, Any], consumed: int) -> int:  # noqa: ARG002 (what positions are made of may say more)
        """Return how many positions of the epoch's order `consumed` of a state stands for."""
        return consumed


class DistributedShardSampler(ShardSampler, DistributedSampler[BatchRequest]):
    """The same, where this process takes its own slice: frameworks leave a `DistributedSampler` as it is."""

    def __init__(
        self,
        dataset: ShardDataset,
        plan: BatchPlan,
        *,
        seed: int,
        shuffle: bool,
        lane: tuple[int, int] = (0, 1),
        orders: Orders | None = None,
    ) -> None:
        ShardSampler.__init__(self, dataset, plan, seed=seed, shuffle=shuffle, lane=lane, orders=orders)
        # What a DistributedSampler's users read.
        self.dataset = dataset
        self.num_replicas = plan.world_size
        self.rank = plan.rank

    @property
    def num_samples(self) -> int:  # type: ignore[override]
        """Batches of this process: the epoch that comes next may have others."""
        return len(self)

    @property
    def total_size(self) -> int:  # type: ignore[override]
        """Batches of all processes."""
        return len(self) * self.plan.world_size
