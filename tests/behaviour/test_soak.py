"""Loaders made and dropped at random for a long time leave nothing behind: no memory, no thread, no descriptor."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import time
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from nexa_data.loaders.torch_loader import build_loader
from nexa_data.prepare import prepare_from_config

SECONDS = float(os.environ.get("NEXA_SOAK_SECONDS", "600"))
MOST_GROWTH = 16 << 20


def standing() -> tuple[int, int]:
    """Return threads and descriptors of this process."""
    threads, descriptors = (len(list(Path("/proc/self", each).iterdir())) for each in ("task", "fd"))
    return threads, descriptors


def private_bytes() -> int:
    """Return the memory of this process that no file stands behind."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("this kernel doesn't tell RssAnon")


class Strike(Exception):  # noqa: N818 (it strikes)
    """What a transform raises."""


def one_life(config: dict[str, Any], chance: random.Random) -> None:
    """Make a loader, use it in one way or another, and drop it."""

    def transform(batch: Any) -> Any:
        if chance.random() < 0.02:
            raise Strike
        return batch

    data = config["data"] | {
        "batch_size": chance.choice([1, 7, 64, 512]),
        "batch": {
            "tail": chance.choice(["drop", "keep", "repeat", "pad"]),
            "as": chance.choice(["tuple", "dict"]),
        },
        "shuffle": chance.random() < 0.7,
    }
    loader = build_loader(
        config | {"data": data},
        "train",
        transform=chance.choice([None, transform]),
        sample_transform=chance.choice([None, None, None, lambda record: record]),
    )
    loader.set_epoch(chance.randrange(1000))
    with contextlib.suppress(Strike):
        for _ in range(chance.randrange(3)):
            kept = list(islice(loader, chance.randrange(20)))
            if chance.random() < 0.3:
                loader.load_state_dict(loader.state_dict())
            del kept
        if chance.random() < 0.2:
            other = iter(loader)
            cycle: list[Any] = [other, next(other)]
            cycle.append(cycle)


@pytest.mark.slow
def test_loaders_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "data": {
            "dataset_name": "synthetic",
            "split": {"train": 1, "validation": 0, "test": 0},
            "preprocessing": {"num_samples": 6000, "num_features": 64},
            "shards": {"rows": 500},
        },
        "experiment": {"output_dir": str(tmp_path)},
    }
    prepare_from_config(config)
    chance = random.Random(0)  # noqa: S311 (a test's dice)
    started = time.monotonic()
    lives, first = 0, None
    while time.monotonic() < started + SECONDS:
        one_life(config, chance)
        lives += 1
        # By then every size of batch has been seen, and the allocator has what it keeps.
        if first is None and time.monotonic() > started + SECONDS / 4:
            gc.collect()
            first = standing(), private_bytes()
    gc.collect()
    assert first is not None
    assert standing() == first[0]
    growth = private_bytes() - first[1]
    print(f"{lives} loaders, {growth / 2**20:+.1f} MiB")  # noqa: T201 (a soak says how long and how much)
    assert growth < MOST_GROWTH
