"""Those that hand over batches: each a function of (folder, workload) that returns an endless iterator of batches.

A contestant prepares its own format below the folder if it has one, outside of the timed part; what it returns starts the
first epoch when it is first asked. Every one of them shuffles, unless its name says that it doesn't.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.loaders.data import arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benches.loaders.data import Workload

    Start = Callable[[Path, Workload], Callable[[], Iterator[Any]]]

CONTESTANTS: dict[str, Contestant] = {}
SEED = 7


@dataclass(frozen=True)
class Contestant:
    """One of those that are compared.

    Args:
        name: What the table calls it.
        start: Prepares, and returns what begins to yield batches.
        kind: `limit`, `ours`, `hand` or `peer`.
        few: Whether it gets fewer records: it works record by record.
        only: The one workload that it is for.
        needs: Module that must be there.
    """

    name: str
    start: Start
    kind: str
    few: bool = False
    only: str | None = None
    needs: str | None = None


def contestant(name: str, kind: str, **options: Any) -> Callable[[Start], Start]:
    """Enter a function under a name."""

    def enter(start: Start) -> Start:
        CONTESTANTS[name] = Contestant(name, start, kind, **options)
        return start

    return enter


def forever(loader: Any) -> Iterator[Any]:
    """Return the epochs of a loader, one after the other."""
    return itertools.chain.from_iterable(itertools.repeat(loader))


@contestant("np.take, ready permutation, reused buffer", "limit")
def take(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """Copy rows from the mapped array: what the memory allows to numpy."""
    columns = arrays(folder)
    order = np.random.default_rng(SEED).permutation(work.records)
    outputs = [np.empty((work.batch, *column.shape[1:]), column.dtype) for column in columns]

    def batches() -> Iterator[Any]:
        while True:
            for start in range(0, work.records - work.batch + 1, work.batch):
                rows = order[start : start + work.batch]
                for column, out in zip(columns, outputs, strict=True):
                    np.take(column, rows, axis=0, out=out, mode="clip")
                yield outputs

    return batches


def _assembler(folder: Path, work: Workload) -> Any:
    from nexa_data import _core

    each = -(-work.records // 8)
    shards = [
        (path, min(each, work.records - number * each))
        for number, path in enumerate(sorted((folder / "nexa" / "shards").iterdir()))
    ]
    names = [work.column, "label"] if work.labels else [work.column]
    return _core.Assembler(shards, names)


@contestant("our bare gather, ready permutation", "limit")
def gather_ready(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """Assemble in the calling thread the records that a ready permutation names, into buffers of which eight are kept."""
    assembler = _assembler(folder, work)
    order = np.random.default_rng(SEED).permutation(work.records)

    def batches() -> Iterator[Any]:
        held: list[Any] = [None] * 8
        while True:
            for number, start in enumerate(range(0, work.records - work.batch + 1, work.batch)):
                held[number % 8] = assembler.take(order[start : start + work.batch])
                yield [range(work.batch), held[number % 8]]

    return batches


@contestant("our bare gather, order computed", "limit")
def gather(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """Assemble in the calling thread, in order of an epoch, into buffers of which eight are kept."""
    from nexa_data import _core

    assembler = _assembler(folder, work)

    def batches() -> Iterator[Any]:
        held: list[Any] = [None] * 8
        for epoch in itertools.count():
            order = _core.Order(work.records, seed=SEED, epoch=epoch)
            for number in range(work.records // work.batch):
                held[number % 8] = assembler.take_ordered(order, number * work.batch, work.batch)
                yield [range(work.batch), held[number % 8]]

    return batches


def _ours(folder: Path, work: Workload, *, threads: int, shuffle: bool = True) -> Callable[[], Iterator[Any]]:
    from nexa_data import _core
    from nexa_data.datasets.shards import ShardDataset
    from nexa_data.loaders.plan import BatchPlan
    from nexa_data.loaders.sampler import ShardSampler
    from nexa_data.loaders.torch_loader import ShardLoader

    _core.set_threads(threads)
    names = [work.column, "label"] if work.labels else [work.column]

    def batches() -> Iterator[Any]:
        dataset = ShardDataset(folder / "nexa", "train", columns=names, as_dict=not work.labels)
        plan = BatchPlan(work.records, work.batch, 0, 1, "drop")
        return forever(ShardLoader(dataset, ShardSampler(dataset, plan, seed=SEED, shuffle=shuffle)))

    return batches


@contestant("nexa-data, 1 thread", "ours")
def ours_1(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """Our loader with one thread of its own."""
    return _ours(folder, work, threads=1)


@contestant("nexa-data, 2 threads", "ours")
def ours_2(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """Our loader with two."""
    return _ours(folder, work, threads=2)


@contestant("nexa-data, 1 thread, unshuffled", "ours")
def ours_in_order(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """Our loader in the order of the shards."""
    return _ours(folder, work, threads=1, shuffle=False)
