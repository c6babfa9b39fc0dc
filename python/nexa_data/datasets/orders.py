"""The order of one epoch as a few numbers: what a batch's request carries to another process."""

from __future__ import annotations

from dataclasses import dataclass

from nexa_data import _core
from nexa_data.errors import ConfigError

__all__ = ["EpochOrder", "MixedEpoch", "Mixing"]

Mixing = tuple[int, tuple[int, ...], tuple[int | None, ...], int | str]
"""How sources are mixed: from which slot on, their weights, the most that each gives, and when the epoch ends."""


@dataclass(frozen=True, slots=True)
class MixedEpoch:
    """Which records an epoch draws from several sources.

    Args:
        records: Records of each source.
        mixings: How they are mixed, one after the other; mostly there is one.
        done: How many records each source has given before this epoch.
        by_class: The sources are the classes of a dataset, which knows the records of each.
    """

    records: tuple[int, ...]
    mixings: tuple[Mixing, ...]
    done: tuple[int, ...]
    by_class: bool = False

    def plan(self) -> _core.Mixture:
        """Return the native plan of the epoch.

        Raises:
            ConfigError: The mixture is impossible; the message says why.
        """
        try:
            return _core.Mixture(self.records, self.mixings)
        except (ValueError, OverflowError) as error:
            raise ConfigError(f"data.mixture: {error}") from error


@dataclass(frozen=True, slots=True)
class EpochOrder:
    """The order of one epoch, which a few numbers determine.

    Args:
        records: Positions of the epoch.
        seed: Seed of the orders.
        epoch: Number of the epoch.
        shuffle: Whether it has an order of its own, instead of the records as stored.
        block: Neighbouring records that stay together until they are mixed by windows; 0 mixes all.
        window: Blocks that are mixed at a time.
        mixed: How several sources are mixed, if there are several.
    """

    records: int
    seed: int
    epoch: int
    shuffle: bool
    block: int = 0
    window: int = 1
    mixed: MixedEpoch | None = None

    def native(self, table: _core.Selection | None = None) -> _core.Order:
        """Return the order that answers in O(1).

        Args:
            table: The records class by class, where classes are balanced.

        Raises:
            ConfigError: Classes are balanced, and only their dataset knows the records of each.
        """
        if self.mixed is None:
            return _core.Order(
                self.records,
                seed=self.seed,
                epoch=self.epoch,
                shuffle=self.shuffle,
                block=self.block,
                window=self.window,
            )
        if self.mixed.by_class and table is None:
            raise ConfigError(
                "an order that balances classes came from another process, without the records of each class",
                remedy="hand the request to the dataset, which knows them",
            )
        return _core.Order.mixed(
            self.mixed.plan(),
            self.mixed.done,
            seed=self.seed,
            epoch=self.epoch,
            shuffle=self.shuffle,
            table=table,
        )
