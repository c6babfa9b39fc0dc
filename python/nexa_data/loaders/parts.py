"""The parts of a loader, as a config wants them: its dataset, and the sampler of its batches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nexa_data.artifact_facts import class_count
from nexa_data.augment import batch_augmentor
from nexa_data.datasets.finish import MASK
from nexa_data.datasets.packed import PackedDataset
from nexa_data.datasets.shards import ShardDataset
from nexa_data.errors import ConfigError
from nexa_data.loaders.mixture import MixedOrders, recipe
from nexa_data.loaders.orders import BalancedOrders, PlainOrders, block_records
from nexa_data.loaders.packed import DistributedPackedSampler, PackedSampler
from nexa_data.loaders.plan import BatchPlan
from nexa_data.loaders.sampler import DistributedShardSampler, ShardSampler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nexa_data.config import Config
    from nexa_data.datasets.finish import Finish
    from nexa_data.datasets.shards import ShardSource
    from nexa_data.holds import Hold
    from nexa_data.loaders.orders import Orders
    from nexa_data.loaders.ranks import Ranks

__all__ = ["loader_parts"]


def loader_parts(
    config: Config,
    sources: Sequence[ShardSource],
    hold: Hold | Sequence[Hold | None] | None,
    split: str,
    ranks: Ranks,
    finish: Finish,
    *,
    borrow: bool,
) -> tuple[ShardDataset, ShardSampler]:
    """Return dataset and sampler of one split.

    Args:
        config: The config.
        sources: Where the split's records lie.
        hold: Keeps staged copies from being evicted.
        split: The split; only train is shuffled, augmented, mixed or balanced.
        ranks: Which part of each batch is this process's.
        finish: What is done to an assembled batch.
        borrow: Hand out batches that lie together in a shard without a copy.

    Raises:
        ConfigError: Its options contradict each other, or the data.
    """
    data, train = config.data, split == "train"
    columns = data.batch.columns or (("features",) if data.label_config is None else ("features", "label"))
    masked = data.batch.tail == "pad"
    if masked and MASK in columns:
        raise ConfigError(
            f"data.batch.tail is pad, but data.batch.columns has a column named {MASK} of its own",
            remedy="leave the column out, or choose another tail",
        )
    finish = replace(finish, masked=masked)
    shuffle = _shuffles(config, train=train)
    if data.batch.pack is not None:
        _check_packable(config, finish, train=train, borrow=borrow)
        packed = PackedDataset(sources, split, pack=data.batch.pack, finish=finish, hold=hold)
        orders = _orders(config, packed, train=train)
        packed_kind = DistributedPackedSampler if ranks.world_size > 1 else PackedSampler
        plan = _plan(config, packed.epoch(orders.order(0)).rows, ranks, train=train)
        return packed, packed_kind(
            packed, plan, seed=config.seed, shuffle=shuffle, lane=ranks.lane, orders=orders
        )
    dataset = ShardDataset(
        sources,
        split,
        columns=columns,
        as_dict=data.batch.as_dict,
        augment=batch_augmentor(config, _classes(sources)) if train else None,
        finish=finish,
        hold=hold,
        convert=data.batch.convert,
        ragged=data.batch.ragged,
        residual=data.batch.residual,
        borrow=borrow,
        direct=_direct(config, ranks, train=train),
    )
    orders = _orders(config, dataset, train=train)
    kind = DistributedShardSampler if ranks.world_size > 1 else ShardSampler
    plan = _plan(config, orders.order(0).records, ranks, train=train)
    return dataset, kind(dataset, plan, seed=config.seed, shuffle=shuffle, lane=ranks.lane, orders=orders)


def _classes(sources: Sequence[ShardSource]) -> int | None:
    """Return the number of classes that the sources' artifacts say they have, the most of them."""
    return max(filter(None, (class_count(source.folder) for source in sources)), default=None)


def _check_packable(config: Config, finish: Finish, *, train: bool, borrow: bool) -> None:
    data = config.data
    if borrow or (train and data.augmentations):
        raise ConfigError(
            f"{config.origin}: packed rows are neither borrowed nor augmented",
            remedy="leave borrow and data.augmentations out, or data.batch.pack",
        )
    if finish.by_record:
        raise ConfigError(
            f"{config.origin}: packed rows are no records, to be transformed one by one",
            remedy="leave sample_transform and collate_fn out, or data.batch.pack",
        )
    if data.order.balance is not None:
        raise ConfigError(
            f"{config.origin}: a packed row holds sequences of several classes, which balance none",
            remedy="leave data.order.balance out, or data.batch.pack",
        )


def _plan(config: Config, records: int, ranks: Ranks, *, train: bool) -> BatchPlan:
    batch = _global_batch(config, ranks)
    tail = config.data.batch.tail or ("drop" if train and records >= batch else "keep")
    return BatchPlan(records, batch, ranks.rank, ranks.world_size, tail, group=ranks.lane[1])


def _shuffles(config: Config, *, train: bool) -> bool:
    return train and config.data.shuffle and config.data.order.mode != "none"


def _direct(config: Config, ranks: Ranks, *, train: bool) -> bool | None:
    """Return whether blocks are read past the page cache; None: if the dataset is beyond memory."""
    order = config.data.order
    if order.mode != "block" or not _shuffles(config, train=train):
        return False
    if order.direct != "auto":
        return order.direct
    # Each rank's batches take from all blocks: ranks that map them share what each of them would read.
    return False if ranks.distributed or ranks.lane[1] > 1 else None


def _orders(config: Config, dataset: ShardDataset, *, train: bool) -> Orders:
    """Return what decides the orders of a split: only train is mixed, balanced or shuffled."""
    order, shuffle = config.data.order, _shuffles(config, train=train)
    if train and config.data.mixture is not None:
        mixed = recipe(config.data.mixture, config.data.mixture.sources, dataset.source_records)
        return MixedOrders(
            [
                f"{named.artifact} ({source.split})"
                for named, source in zip(config.data.mixture.sources, dataset.sources, strict=True)
            ],
            [source.fingerprint for source in dataset.sources],
            dataset.source_records,
            mixed,
            seed=config.seed,
            shuffle=shuffle,
        )
    if train and order.balance == "classes":
        return BalancedOrders(tuple(dataset.classes[1]), config.seed, shuffle=shuffle)
    if order.mode != "block" or not shuffle:
        return PlainOrders(len(dataset), config.seed, shuffle)
    block = order.block or block_records(dataset.record_bytes)
    return PlainOrders(len(dataset), config.seed, shuffle, block, order.window)


def _global_batch(config: Config, ranks: Ranks) -> int:
    """Return the records of a batch over the ranks that we cut for; whole ones may be dealt out by somebody else."""
    data, lanes = config.data, ranks.lane[1]
    if data.global_batch_size is None:
        return data.batch_size * ranks.world_size
    if data.global_batch_size % lanes:
        raise ConfigError(
            f"data.global_batch_size {data.global_batch_size} can't be dealt out to {lanes} processes by {ranks.source}",
            remedy="make it a multiple",
        )
    return data.global_batch_size // lanes
