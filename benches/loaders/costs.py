"""What a loader costs beside its rate: the training thread's time, waits, first batches, resuming, memory.

Run as a child by `python -m benches.loaders`, in a fresh process: `python -m benches.loaders.costs FOLDER PART THREADS` prints a
JSON object of figures. Data is W1's shards, a thousand hard links to one of 4,000 records, and a thousand to one of 1,000,000
records of a byte.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import statistics
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from benches.loaders import data

if TYPE_CHECKING:
    from collections.abc import Callable

    from nexa_data.loaders.torch_loader import ShardLoader

FIGURES: dict[str, tuple[str, float, str]] = {
    "python_us": ("the training thread's CPU time per batch that it only takes, W1, 1 thread", 10, "µs"),
    "wait_percent": ("share of time that a consumer waits for batches, busy for 1 ms with each", 1, "%"),
    "next_percent": ("share of time in `next`, Python included, of the same consumer", 5, "%"),
    "first_batch_ms": ("first shuffled batch of 1,024 over 1,000 shards, dataset opened in it", 30, "ms"),
    "next_epoch_ms": ("from an epoch's last batch to the next one's first", 1, "ms"),
    "resume_ms": ("`load_state_dict` to the middle of 1,000,000,000 records", 1, "ms"),
    "resumed_batch_ms": ("the first batch after it, of 1,024 from 1,000 shards", 30, "ms"),
    "state_bytes": ("a state as JSON", 1024, "bytes"),
    "memory_mib": ("memory beyond what is mapped after an epoch, anonymous pages", 100, "MiB"),
}
"""Figure → what it is, the most that it may be, and its unit."""

_SHARDS = 1000
_T = TypeVar("_T")


def _links(folder: Path, columns: list[tuple[str, Any]], rows: int) -> Path:
    """Write a shard, and a catalog of a thousand hard links to it."""
    from nexa_data import _core
    from nexa_data.shard_output import tensor_batch

    if (folder / "catalog.jsonl").exists():
        return folder
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    size, checksum = _core.write_shard(folder / "shards" / "0.arrow", [tensor_batch(dict(columns))])
    lines = []
    for number in range(_SHARDS):
        uri = f"shards/{number}.arrow"
        if number:
            (folder / uri).unlink(missing_ok=True)
            os.link(folder / "shards" / "0.arrow", folder / uri)
        lines.append({"uri": uri, "split": "train", "bytes": size, "records": rows, "checksum": checksum})
    (folder / "catalog.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def _loader(folder: Path, columns: tuple[str, ...], batch: int) -> ShardLoader:
    from nexa_data.datasets.shards import ShardDataset
    from nexa_data.loaders.plan import BatchPlan
    from nexa_data.loaders.sampler import ShardSampler
    from nexa_data.loaders.torch_loader import ShardLoader

    dataset = ShardDataset(folder, "train", columns=columns, as_dict=len(columns) == 1)
    plan = BatchPlan(len(dataset), batch, 0, 1, "drop")
    return ShardLoader(dataset, ShardSampler(dataset, plan, seed=7, shuffle=True))


def _median_ms(measure: Callable[[], float], times: int = 7) -> float:
    return 1000.0 * statistics.median(_alone(measure) for _ in range(times))


def _alone(measure: Callable[[], _T]) -> _T:
    """Measure when the loader before has given up its batches and closed its shards."""
    gc.collect()
    time.sleep(0.3)
    return measure()


def _python_us(folder: Path, batch: int) -> float:
    loader = _loader(folder, ("features", "label"), batch)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    deque(itertools.islice(batches, 200), maxlen=0)
    found = []
    for _ in range(5):
        count, began, cpu = 0, time.perf_counter(), time.thread_time()
        while time.perf_counter() - began < 1:
            deque(itertools.islice(batches, 50), maxlen=0)
            count += 50
        found.append((time.thread_time() - cpu) / count)
    return 1e6 * statistics.median(found)


def _wait_percent(folder: Path, batch: int) -> tuple[float, float]:
    loader = _loader(folder, ("features", "label"), batch)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    deque(itertools.islice(batches, 200), maxlen=0)
    drawing, before, began = 0.0, loader.stats().waited_s, time.perf_counter()
    for _ in range(2000):
        until = time.perf_counter() + 1e-3
        while time.perf_counter() < until:
            pass
        asked = time.perf_counter()
        next(batches)
        drawing += time.perf_counter() - asked
    took = time.perf_counter() - began
    return 100 * (loader.stats().waited_s - before) / took, 100 * drawing / took


def _first_batch(folder: Path) -> float:
    began = time.perf_counter()
    next(iter(_loader(folder, ("features", "label"), 1024)))
    return time.perf_counter() - began


def _resume(folder: Path) -> tuple[float, float, int]:
    loader = _loader(folder, ("flag",), 1024)
    state = {**loader.state_dict(), "consumed": 500_000_000}
    began = time.perf_counter()
    loader.load_state_dict(state)
    loaded = time.perf_counter()
    next(iter(loader))
    return loaded - began, time.perf_counter() - loaded, len(json.dumps(loader.state_dict()))


def _next_epoch(loader: ShardLoader) -> float:
    for _ in loader:
        began = time.perf_counter()
    next(iter(loader))
    return time.perf_counter() - began


def _anonymous() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def measure(folder: Path, part: int, threads: int) -> dict[str, float]:
    """Return all figures."""
    from nexa_data import _core

    _core.set_threads(threads)
    work = data.W1.smaller(part)
    shards = folder / "nexa"
    random = np.random.default_rng(3)
    table = _links(
        folder / "thousand",
        [("features", random.standard_normal((4000, 32), np.float32)), ("label", np.zeros(4000, np.int64))],
        4000,
    )
    billion = _links(folder / "billion", [("flag", np.zeros(1_000_000, np.uint8))], 1_000_000)
    next(
        iter(_loader(shards, ("features", "label"), 32))
    )  # what the process pays once: threads, torch's first tensor
    before = _anonymous()
    loader = _loader(shards, ("features", "label"), work.batch)
    found = {"next_epoch_ms": _median_ms(lambda: _next_epoch(loader), 3)}
    found["memory_mib"] = (_anonymous() - before) / 2**20
    found["python_us"] = _python_us(shards, work.batch)
    found["wait_percent"], found["next_percent"] = _wait_percent(shards, work.batch)
    found["first_batch_ms"] = _median_ms(lambda: _first_batch(table))
    resumed = [_alone(lambda: _resume(billion)) for _ in range(7)]
    found["resume_ms"], found["resumed_batch_ms"] = (
        1000 * statistics.median(each[at] for each in resumed) for at in (0, 1)
    )
    found["state_bytes"] = resumed[0][2]
    return found


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))), flush=True)
