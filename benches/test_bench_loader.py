"""Shuffled batches of fixed-width records: our loader beside what people use and what the machine allows.

The data is 400,000 records of 32 float32 and an int64, in one artifact and one `.npy` file. Before timing, both are
read once, so that all read from the page cache. Each round is one pass over 200 batches of 1,024 records; the rounds
of all contestants lie in one run, so that ratios hold where seconds drift. The limit is `np.take` by a ready
permutation from the mapped array into a reused buffer: a copy of the same bytes without a loader.

    make bench
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from nexa_data.loaders.torch_loader import build_loader
from torch.utils.data import DataLoader, Dataset, TensorDataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RECORDS, FEATURES, BATCH, BATCHES = 400_000, 32, 1024, 200


class _ByHand(Dataset[Any]):
    """The best that a user writes: whole batches by fancy indexing from a mapped file."""

    def __init__(self, features: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> None:
        self.features, self.labels = features, labels
        self.order = np.random.default_rng(0).permutation(len(labels))

    def __len__(self) -> int:
        return len(self.labels) // BATCH

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows = self.order[number * BATCH : (number + 1) * BATCH]
        return torch.from_numpy(self.features[rows]), torch.from_numpy(self.labels[rows])


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    folder = tmp_path_factory.mktemp("arrays")
    random = np.random.default_rng(0)
    np.save(folder / "features.npy", random.standard_normal((RECORDS, FEATURES), np.float32))
    np.save(folder / "labels.npy", random.integers(0, 10, RECORDS))
    features = np.load(folder / "features.npy", mmap_mode="r")
    return features, np.load(folder / "labels.npy", mmap_mode="r")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("store")
    return {
        "data": {
            "dataset_name": "synthetic",
            "batch_size": BATCH,
            "split": {"train": 1.0, "validation": 0.0, "test": 0.0},
            "preprocessing": {"num_samples": RECORDS, "num_features": FEATURES},
        },
        "experiment": {"output_dir": str(folder)},
    }


def _forever(loader: Any) -> Iterator[Any]:
    return itertools.chain.from_iterable(itertools.repeat(loader))


def _measure(benchmark: Any, name: str, draw: Callable[[], Any], batches: int = BATCHES) -> None:
    def one_round() -> None:
        for _ in range(batches):
            draw()

    one_round()
    benchmark.group = f"{RECORDS:,} x ({FEATURES} f32 + i64), shuffled, batch {BATCH}"
    benchmark.name = name
    benchmark.pedantic(one_round, rounds=7, warmup_rounds=1)
    records = batches * BATCH / benchmark.stats.stats.median
    benchmark.extra_info["records_per_s"] = records
    print(f"\n{name}: {records / 1e6:.2f} M records/s")


def test_limit_take_into_reused_buffer(benchmark: Any, arrays: Any) -> None:
    features, labels = arrays
    order = np.random.default_rng(0).permutation(RECORDS)
    out, named = np.empty((BATCH, FEATURES), np.float32), np.empty(BATCH, np.int64)
    starts = itertools.cycle(range(0, RECORDS - BATCH, BATCH))

    def draw() -> None:
        rows = order[(start := next(starts)) : start + BATCH]
        np.take(features, rows, axis=0, out=out, mode="clip")
        np.take(labels, rows, out=named, mode="clip")

    _measure(benchmark, "limit: np.take, reused buffer", draw)


def test_ours(benchmark: Any, config: dict[str, Any]) -> None:
    batches = _forever(build_loader(config, "train"))
    _measure(benchmark, "nexa-data build_loader", lambda: next(batches))


def test_batched_indexing_by_hand(benchmark: Any, arrays: Any) -> None:
    batches = _forever(DataLoader(_ByHand(*arrays), batch_size=None, shuffle=True))
    _measure(benchmark, "DataLoader(batch_size=None), batched memmap by hand", lambda: next(batches))


def test_dataloader_as_people_use_it(benchmark: Any, arrays: Any) -> None:
    dataset = TensorDataset(*(torch.from_numpy(np.array(array)) for array in arrays))
    batches = _forever(DataLoader(dataset, batch_size=BATCH, shuffle=True))
    _measure(benchmark, "DataLoader(TensorDataset)", lambda: next(batches), batches=20)
