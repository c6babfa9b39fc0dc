"""What people write with torch alone, and packages that keep its DataLoader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from benches.loaders.contestants import SEED, contestant, forever
from benches.loaders.data import arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benches.loaders.data import Workload


class Records(Dataset[Any]):
    """Record by record from mapped arrays, as tutorials have it."""

    def __init__(self, folder: Path, records: int) -> None:
        self.columns = [column[:records] for column in arrays(folder)]

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, index: int) -> Any:
        return tuple(torch.as_tensor(np.array(column[index])) for column in self.columns)


class Batches(Dataset[Any]):
    """Whole batches by fancy indexing from mapped arrays: the best that a user writes by hand."""

    def __init__(self, folder: Path, work: Workload) -> None:
        self.folder, self.work = folder, work
        self.columns: list[Any] = []
        self.order = np.random.default_rng(SEED).permutation(work.records)

    def __len__(self) -> int:
        return self.work.records // self.work.batch

    def __getitem__(self, number: int) -> Any:
        if not self.columns:  # mapped by each worker for itself
            self.columns = arrays(self.folder)
        rows = self.order[number * self.work.batch : (number + 1) * self.work.batch]
        return tuple(torch.from_numpy(column[rows]) for column in self.columns)


def _loader(dataset: Any, **options: Any) -> Callable[[], Iterator[Any]]:
    return lambda: forever(DataLoader(dataset, **options))


@contestant("batched memmap by hand, DataLoader(batch_size=None)", "hand")
def by_hand(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """In the training process."""
    return _loader(Batches(folder, work), batch_size=None, shuffle=True)


@contestant("batched memmap by hand, 2 worker processes", "peer")
def by_hand_workers(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """In two worker processes."""
    return _loader(
        Batches(folder, work), batch_size=None, shuffle=True, num_workers=2, persistent_workers=True
    )


@contestant("DataLoader over memmap, record by record", "use", few=True)
def as_used(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """The tutorial's loader."""
    return _loader(Records(folder, work.few), batch_size=work.batch, shuffle=True, drop_last=True)


@contestant("DataLoader over TensorDataset", "peer", few=True)
def tensors(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """Everything in memory."""
    held = TensorDataset(*(torch.from_numpy(np.array(column[: work.few])) for column in arrays(folder)))
    return _loader(held, batch_size=work.batch, shuffle=True, drop_last=True)


@contestant("torchdata StatefulDataLoader", "peer", few=True, needs="torchdata")
def stateful(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """The tutorial's loader, with a state."""
    from torchdata.stateful_dataloader import StatefulDataLoader

    records = Records(folder, work.few)
    return lambda: forever(
        StatefulDataLoader(records, batch_size=work.batch, shuffle=True, drop_last=True)
    )


@contestant("tensordict memmap", "peer", needs="tensordict")
def tensordict(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """Indexing a memory-mapped TensorDict by a drawn permutation."""
    from tensordict import TensorDict

    held = TensorDict(
        {str(number): torch.from_numpy(np.array(column)) for number, column in enumerate(arrays(folder))},
        batch_size=[work.records],
    )
    mapped = held.memmap(str(folder / "tensordict"))

    def batches() -> Iterator[Any]:
        while True:
            order = torch.randperm(work.records)
            for start in range(0, work.records - work.batch + 1, work.batch):
                yield mapped[order[start : start + work.batch]]

    return batches
