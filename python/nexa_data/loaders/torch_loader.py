"""A `torch.utils.data.DataLoader` over an artifact, made so that it survives being taken apart."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import torch
from torch.utils.data import DataLoader

from nexa_data import _core
from nexa_data.config import SPLITS, load_config
from nexa_data.datasets.finish import Finish, collate
from nexa_data.datasets.shards import ShardDataset, ShardSource
from nexa_data.errors import ConfigError
from nexa_data.holds import hold_artifact
from nexa_data.loaders.artifact import dataset_folder
from nexa_data.loaders.mixture import mixture_sources
from nexa_data.loaders.parts import loader_parts
from nexa_data.loaders.ranks import accelerate_runs, find_ranks
from nexa_data.loaders.sampler import ShardSampler
from nexa_data.pipeline import DataPipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from torch.distributed.device_mesh import DeviceMesh

    from nexa_data.config import Config
    from nexa_data.datasets.loader_stats import LoaderStats
    from nexa_data.holds import Hold
    from nexa_data.loaders.ranks import Ranks

__all__ = ["LoaderOptions", "ShardLoader", "build_loader", "build_loaders"]

_log = logging.getLogger(__name__)


class LoaderOptions(TypedDict, total=False):
    """What may be said of a loader beside its config; see `build_loader`."""

    rank: int | None
    world_size: int | None
    shard: str | tuple[int, int]
    mesh: DeviceMesh | None
    dp_dims: Sequence[str | int] | str | int | None
    transform: Callable[[Any], Any] | None
    sample_transform: Callable[[Any], Any] | None
    collate_fn: Callable[[list[Any]], Any] | None
    borrow: bool


class ShardLoader(DataLoader[Any]):
    """A DataLoader whose dataset assembles whole batches and whose sampler yields them.

    Frameworks that rebuild a DataLoader from its parts lose only what this class adds for comfort: the state and
    the epoch, which the sampler has too.

    Several threads may draw from one iterator; each batch goes to one of them, and who gets which is theirs to settle.
    The state counts what was drawn from the iterator that was begun last.

    Args:
        dataset: The records.
        sampler: The batches.
        pin_memory: Copy each batch into page-locked memory, by torch's own means: its allocator gives such memory out
            again only when the copies from it are done. (Written by the book: no machine with a device has run it.)
        shuffle: False; here for frameworks that make a loader again from its parts and pass all that a DataLoader takes.
        batch_sampler: None; here for the same reason.
    """

    def __init__(
        self,
        dataset: ShardDataset,
        sampler: ShardSampler,
        *,
        pin_memory: bool = False,
        shuffle: Literal[False] = False,
        batch_sampler: None = None,
    ) -> None:
        if shuffle or batch_sampler is not None:
            raise ConfigError(
                "a ShardLoader's sampler yields whole batches: it takes no shuffle and no batch_sampler",
                remedy="set data.shuffle, or make a plain DataLoader of its dataset",
            )
        super().__init__(
            dataset,
            batch_size=None,
            sampler=sampler,
            num_workers=0,
            collate_fn=collate,
            pin_memory=pin_memory,
        )

    def __iter__(self) -> Any:
        """Return an iterator over an epoch's batches, or over the rest of one."""
        sampler = self.sampler
        if self.pin_memory or not isinstance(sampler, ShardSampler):
            return super().__iter__()
        # What torch's own iterator does beside asking for the next batch takes longer than asking.
        return map(self.dataset.__getitem__, iter(sampler))

    @property
    def batch_sampler(self) -> Any:
        """The sampler where Accelerate runs, which with one process looks for it here alone; else None."""
        return self.sampler if accelerate_runs() else None

    @batch_sampler.setter
    def batch_sampler(self, value: Any) -> None:
        """Let torch's own initialisation set it to None."""

    @property
    def _batches(self) -> ShardSampler:
        sampler = self.sampler
        if not isinstance(sampler, ShardSampler):
            raise ConfigError(
                f"the loader's sampler was replaced by a {type(sampler).__name__}, which has no state",
                remedy="keep the sampler that build_loader made",
            )
        return sampler

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next `iter()` yields."""
        self._batches.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader stands: a few numbers, the same on every rank."""
        return self._batches.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken: the next `iter()` yields the rest of its epoch.

        Raises:
            ConfigError: It is of another dataset or order; the message says what differs.
        """
        self._batches.load_state_dict(state)

    def stats(self) -> LoaderStats:
        """Return what was loaded in this process so far, and where the time went."""
        dataset = self.dataset
        if not isinstance(dataset, ShardDataset):
            raise ConfigError(
                f"the loader's dataset was replaced by a {type(dataset).__name__}, which has no counters",
                remedy="keep the dataset that build_loader made",
            )
        return dataset.stats()


def build_loader(  # noqa: PLR0913 (one for each option)
    config_path: Path | str | Mapping[str, Any] | Config,
    split: str,
    *,
    rank: int | None = None,
    world_size: int | None = None,
    shard: str | tuple[int, int] = "auto",
    mesh: DeviceMesh | None = None,
    dp_dims: Sequence[str | int] | str | int | None = None,
    transform: Callable[[Any], Any] | None = None,
    sample_transform: Callable[[Any], Any] | None = None,
    collate_fn: Callable[[list[Any]], Any] | None = None,
    borrow: bool = False,
) -> ShardLoader:
    """Return the loader of one split.

    A single process prepares (and with `data.cache_dir` stages) the dataset if that hasn't been done. `len(loader)`
    is the number of batches of an epoch, also of one that is resumed, `len(loader.dataset)` of records. Only train is
    shuffled, in an order that is a function of seed and epoch, and drops its last, shorter batch (unless it is the only one).

    With `data.mixture` nothing is prepared: the loader reads the artifacts that it names, train in turns by their
    weights, the other splits one after the other.

    Args:
        config_path: Path of a config, a mapping of the same form, or a config.
        split: `train`, `validation` or `test`.
        rank: Rank of this process; default: an initialised `torch.distributed`, else RANK and WORLD_SIZE.
        world_size: Number of ranks.
        shard: `"auto"`, `"none"` (every process gets all batches) or `(rank, world_size)`.
        mesh: A device mesh instead of these three: rank and world size are those of its dimensions `dp_dims`, so that
            tensor- and context-parallel peers get equal batches.
        dp_dims: The data-parallel dimensions of `mesh`, by name or number.
        transform: Function of a whole batch, last of all steps; what it returns is the batch.
        sample_transform: Function of one record, for code that exists; Python then makes objects for every record,
            which is slow, and said once in the log.
        collate_fn: Function from a list of records to a batch, instead of torch's `default_collate`; as slow.
        borrow: Hand out batches that lie together in a shard without a copy, see `ShardDataset`; wants no shuffle.

    Returns:
        A DataLoader that yields `(features, labels)`: features (B, …) float32, labels (B,) int64 for classes, in
        memory that is the caller's own. With `batch: {as: dict}`, or columns beside these two, it yields a mapping; with
        `tail: pad` a mask (B,) comes with each batch, as `mask` or as the third of the tuple.

    Raises:
        ConfigError: The config is wrong, or has no such split.
        ArtifactError: The dataset isn't prepared and this process is one of several.

    Example:
        >>> import tempfile
        >>> loader = build_loader({
        ...     "data": {"dataset_name": "synthetic", "batch_size": 64, "preprocessing": {"num_samples": 1000}},
        ...     "experiment": {"output_dir": tempfile.mkdtemp()},
        ... }, "train")
        >>> features, labels = next(iter(loader))
        >>> tuple(features.shape), tuple(labels.shape)
        ((64, 32), (64,))
    """
    options: LoaderOptions = {
        "rank": rank,
        "world_size": world_size,
        "shard": shard,
        "mesh": mesh,
        "dp_dims": dp_dims,
        "transform": transform,
        "sample_transform": sample_transform,
        "collate_fn": collate_fn,
        "borrow": borrow,
    }
    return build_loaders(config_path, (split,), **options)[split]


def build_loaders(
    config_path: Path | str | Mapping[str, Any] | Config,
    splits: Iterable[str],
    **options: Unpack[LoaderOptions],
) -> dict[str, ShardLoader]:
    """Return a loader for each split, all of one artifact (or of one mixture); see `build_loader`."""
    config = load_config(config_path)
    wanted = [splits] if isinstance(splits, str) else list(splits)
    _check_splits(config, wanted)
    finish = Finish(
        transform=options.get("transform"),
        sample_transform=options.get("sample_transform"),
        collate_fn=options.get("collate_fn"),
    )
    ranks = find_ranks(
        options.get("rank"),
        options.get("world_size"),
        options.get("shard", "auto"),
        mesh=options.get("mesh"),
        dp_dims=options.get("dp_dims"),
    )
    borrow = options.get("borrow", False)
    if finish.by_record:
        _log.warning(
            "sample_transform and collate_fn make Python objects for every record: the slow path; "
            "transform= takes a whole batch"
        )
    if config.data.n_threads is not None and not _core.set_threads(config.data.n_threads):
        _log.info(
            "the native core's threads run already; data.threads=%d has no effect", config.data.n_threads
        )
    if config.data.mixture is not None:
        return {split: _mixture_loader(config, split, ranks, finish, borrow=borrow) for split in wanted}
    folder, hold = dataset_folder(DataPipeline(config), distributed=ranks.distributed)
    return {
        split: _loader(
            config, [ShardSource(folder.resolve(), split)], hold, split, ranks, finish, borrow=borrow
        )
        for split in wanted
    }


def _check_splits(config: Config, splits: list[str]) -> None:
    for split in splits:
        if split not in SPLITS:
            raise ConfigError(f"there is no split {split!r}", remedy=f"known: {', '.join(SPLITS)}")
        if config.data.cuts_by_share and not config.data.split.shares()[split]:
            raise ConfigError(
                f"{config.origin}: data.split.{split} is 0", remedy="give it a share, or don't ask for it"
            )


def _mixture_loader(config: Config, split: str, ranks: Ranks, finish: Finish, *, borrow: bool) -> ShardLoader:
    if config.data.mixture is None:
        raise ConfigError(f"{config.origin}: there is no data.mixture")
    sources = mixture_sources(config.data.mixture, split, train=split == "train")
    hold = [hold_artifact(source.folder) for source in sources]
    return _loader(config, sources, hold, split, ranks, finish, borrow=borrow)


def _loader(
    config: Config,
    sources: Sequence[ShardSource],
    hold: Hold | Sequence[Hold | None] | None,
    split: str,
    ranks: Ranks,
    finish: Finish,
    *,
    borrow: bool,
) -> ShardLoader:
    dataset, sampler = loader_parts(config, sources, hold, split, ranks, finish, borrow=borrow)
    return ShardLoader(dataset, sampler, pin_memory=config.data.pin_memory and _has_device())


def _has_device() -> bool:
    """Say whether there is a device that page-locked memory would serve; asked first, as torch warns without one."""
    accelerator = getattr(torch, "accelerator", None)
    return bool(accelerator.is_available()) if accelerator else torch.cuda.is_available()
