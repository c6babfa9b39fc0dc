"""The sampler of packed rows: an epoch's length depends on its order, and its state counts windows and rows within."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nexa_data import _core
from nexa_data.errors import ConfigError
from nexa_data.loaders.orders import PlainOrders
from nexa_data.loaders.sampler import DistributedShardSampler, ShardSampler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nexa_data.datasets.packed import PackedDataset
    from nexa_data.loaders.orders import Orders
    from nexa_data.loaders.plan import BatchPlan

__all__ = ["DistributedPackedSampler", "PackedSampler"]


class PackedSampler(ShardSampler):
    """Yields the batches of packed rows of an epoch; positions are rows where `ShardSampler`'s are records.

    Args:
        dataset: Where the rows are packed.
        plan: How rows are cut into batches; their number is that of the epoch.
        seed: Seed of the orders.
        shuffle: Whether each epoch has an order of its own.
        lane: Where somebody else deals these batches out to processes, as for `ShardSampler`.
        orders: The orders of all epochs; default: all records, mixed if `shuffle`.
    """

    def __init__(
        self,
        dataset: PackedDataset,
        plan: BatchPlan,
        *,
        seed: int,
        shuffle: bool,
        lane: tuple[int, int] = (0, 1),
        orders: Orders | None = None,
    ) -> None:
        orders = orders or PlainOrders(len(dataset), seed, shuffle)
        super().__init__(dataset, plan, seed=seed, shuffle=shuffle, lane=lane, orders=orders)
        self._packed = dataset
        self._order()

    def __len__(self) -> int:
        # Whoever asks after an epoch's end means the next one, which has rows of its own.
        if self._started and self._consumed >= self._end():
            return replace(self.plan, records=self._positions(self.epoch + 1)).batches()
        return super().__len__()

    def _rows(self, epoch: int) -> _core.PackedEpoch:
        return self._packed.epoch(self._orders.order(epoch))

    def _positions(self, epoch: int) -> int:
        return self._rows(epoch).rows

    def _position_bytes(self) -> int:
        return self._packed.row_bytes

    def state_dict(self) -> dict[str, Any]:
        """Return where the epoch stands: a few numbers, the same on every rank; `consumed` counts rows."""
        return super().state_dict() | {"pack": self._settings()} | self._place()

    def _settings(self) -> dict[str, Any]:
        pack = self._packed.pack
        return {
            "version": _core.PACK_VERSION,
            "column": pack.column,
            "length": pack.length,
            "lookahead": pack.lookahead,
        }

    def _place(self) -> dict[str, int]:
        rows = self._rows(self.epoch)
        window, row = rows.place(self._consumed) if rows.rows else (0, 0)
        begun = (window + (row > 0)) * self._packed.pack.lookahead
        records = self._orders.order(self.epoch).records
        return {"window": window, "row": row, "positions": min(begun, records)}

    def _turns(self, state: Mapping[str, Any], consumed: int) -> int:
        """Return how many positions of the order rows were made of: all of a window that one row was taken from."""
        turns = state.get("positions", consumed)
        if not isinstance(turns, int) or turns < 0:
            raise ConfigError(f"the loader's state is damaged: positions {turns!r}")
        return turns

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken; it may come from another world size or batch size.

        Raises:
            ConfigError: It is of another dataset, order, packing or version; the message says what differs.
        """
        if state.get("pack") != self._settings():
            raise ConfigError(
                f"the loader's state doesn't fit: pack is {state.get('pack')!r} there, {self._settings()!r} here",
                remedy="load it with the config that it was saved with",
            )
        before = self.epoch
        if isinstance(state.get("epoch"), int):
            # The state's epoch has rows of its own, and their number is compared.
            self.epoch = state["epoch"]
            self._order()
        try:
            super().load_state_dict(state)
        except ConfigError:
            self.epoch = before
            self._order()
            raise


class DistributedPackedSampler(PackedSampler, DistributedShardSampler):
    """The same, where this process takes its own slice: frameworks leave a `DistributedSampler` as it is."""
