"""What decides the order of every epoch, and what of it a state keeps: one kind of order a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from nexa_data.datasets.orders import EpochOrder, MixedEpoch, Mixing

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BalancedOrders", "Orders", "PlainOrders", "block_records"]

_BLOCK_BYTES = 4 * 1024 * 1024


def block_records(record_bytes: int) -> int:
    """Return how many records make a block that is one large read: 4 to 8 MiB, a power of two.

    Args:
        record_bytes: Bytes of a record over all columns that are loaded.
    """
    return 1 << (-(-_BLOCK_BYTES // max(record_bytes, 1)) - 1).bit_length()


class Orders(Protocol):
    """The orders of all epochs of one loader."""

    def order(self, epoch: int) -> EpochOrder:
        """Return the order of an epoch, a pure function of its number (and of what was loaded)."""

    def state(self, epoch: int) -> dict[str, Any]:
        """Return what a state keeps beside seed, epoch and records consumed: a few plain values by name."""

    def load(self, state: Mapping[str, Any], epoch: int, consumed: int) -> None:
        """Continue from a state whose seed fits.

        Raises:
            ConfigError: It doesn't fit; the message says why.
        """


@dataclass(frozen=True, slots=True)
class PlainOrders:
    """Every record of a dataset once an epoch.

    Args:
        records: Records of the dataset.
        seed: Seed of the orders.
        shuffle: Whether each epoch has an order of its own.
        block: Records of a block, for mode `block`; 0 mixes all.
        window: Blocks that are mixed at a time.
    """

    records: int
    seed: int
    shuffle: bool
    block: int = 0
    window: int = 1

    def order(self, epoch: int) -> EpochOrder:
        """Return the order of an epoch."""
        return EpochOrder(self.records, self.seed, epoch, self.shuffle, self.block, self.window)

    def state(self, epoch: int) -> dict[str, Any]:  # noqa: ARG002 (the same for every epoch)
        """Return the blocks, if there are any: a full order keeps nothing more."""
        if not (self.shuffle and self.block):
            return {}
        return {"order": {"mode": "block", "block": self.block, "window": self.window}}

    def load(self, state: Mapping[str, Any], epoch: int, consumed: int) -> None:
        """Keep nothing: what is compared suffices."""


class BalancedOrders:
    """Every class of a dataset equally often: as many positions an epoch as there are records.

    A class with fewer records than its turns begins again, in another order; one with more goes on in the next epoch
    where it ended.

    Args:
        counts: Records of each class.
        seed: Seed of the orders.
        shuffle: Whether turns and records are mixed.
    """

    def __init__(self, counts: tuple[int, ...], seed: int, *, shuffle: bool) -> None:
        self.counts = counts
        self.seed = seed
        self.shuffle = shuffle
        classes, self._positions = len(counts), sum(counts)
        self._mixing: Mixing = (0, (1,) * classes, (None,) * classes, self._positions)
        self._turns = MixedEpoch(counts, (self._mixing,), (0,) * classes).plan().counts(self._positions)

    def order(self, epoch: int) -> EpochOrder:
        """Return the order of an epoch."""
        done = tuple(epoch * turns % 2**63 for turns in self._turns)
        mixed = MixedEpoch(self.counts, (self._mixing,), done, by_class=True)
        return EpochOrder(self._positions, self.seed, epoch, self.shuffle, mixed=mixed)

    def state(self, epoch: int) -> dict[str, Any]:  # noqa: ARG002 (the same for every epoch)
        """Return what is balanced; the rest follows from the dataset and the epoch."""
        return {"order": {"balance": "classes"}}

    def load(self, state: Mapping[str, Any], epoch: int, consumed: int) -> None:
        """Keep nothing: what is compared suffices."""
