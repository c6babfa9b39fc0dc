"""A run that is stopped and resumed sees exactly what a run without a stop sees."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from nexa_data import _core
from nexa_data.datasets.shards import ShardDataset
from nexa_data.loaders.plan import BatchPlan
from nexa_data.loaders.sampler import DistributedShardSampler
from nexa_data.loaders.torch_loader import ShardLoader

if TYPE_CHECKING:
    from pathlib import Path

MOST = 40


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Return a folder per number of records, each with a catalog of shards of seven."""
    made = {}
    for n in range(1, MOST + 1):
        folder = made[n] = tmp_path_factory.mktemp(f"n{n}")
        lines = []
        for at in range(0, n, 7):
            values = np.arange(at, min(at + 7, n), dtype=np.int64)
            columns = [("features", "float32", [1], values.astype(np.float32).view(np.uint8))]
            columns.append(("label", "int64", [], values.view(np.uint8)))
            _core.write_shard(folder / f"{at}.arrow", columns, len(values))
            lines.append(f'{{"uri": "{at}.arrow", "split": "train", "records": {len(values)}}}\n')
        (folder / "catalog.jsonl").write_text("".join(lines))
    return made


def loader(folder: Path, batch: int, world: int, rank: int, tail: str, *, shuffle: bool) -> ShardLoader:
    dataset = ShardDataset(folder, "train")
    plan = BatchPlan(len(dataset), batch, rank, world, tail)
    return ShardLoader(dataset, DistributedShardSampler(dataset, plan, seed=3, shuffle=shuffle))


def records(batches: Any) -> list[list[int]]:
    found = [(features[:, 0].tolist(), labels.tolist()) for features, labels in batches]
    assert all(features == labels for features, labels in found)
    return [labels for _, labels in found]


@settings(max_examples=120)
@given(
    n=st.integers(1, MOST),
    batch=st.integers(1, 12),
    world=st.integers(1, 4),
    tail=st.sampled_from(["drop", "keep", "repeat", "pad"]),
    shuffle=st.booleans(),
    epoch=st.integers(0, 3),
    stops=st.lists(st.integers(0, 12), min_size=1, max_size=3),
    data=st.data(),
)
def test_resuming_is_as_if_nothing_had_stopped(  # noqa: PLR0913 (what hypothesis draws)
    folders: dict[int, Path],
    *,
    n: int,
    batch: int,
    world: int,
    tail: str,
    shuffle: bool,
    epoch: int,
    stops: list[int],
    data: Any,
) -> None:
    assume(batch >= world and (tail != "drop" or n >= batch))
    rank = data.draw(st.integers(0, world - 1))

    def made() -> ShardLoader:
        return loader(folders[n], batch, world, rank, tail, shuffle=shuffle)

    straight = made()
    straight.set_epoch(epoch)
    expected = [records(straight) for _ in range(len(stops) + 2)]
    wanted = [each for one in expected for each in one]

    running = made()
    running.set_epoch(epoch)
    seen: list[list[int]] = []
    for stop in stops:
        seen += records(islice(running, stop))
        state = running.state_dict()
        running = made()
        running.load_state_dict(state)
        assert len(running) == straight.sampler.plan.batches(state["consumed"]) or len(running) == len(
            expected[0]
        )  # type: ignore[attr-defined]
    while len(seen) < len(wanted):
        seen += records(running)
    assert seen[: len(wanted)] == wanted


@settings(max_examples=60)
@given(
    n=st.integers(1, MOST),
    before=st.tuples(st.integers(1, 9), st.integers(1, 3)),
    after=st.tuples(st.integers(1, 9), st.integers(1, 3)),
    stop=st.integers(0, 9),
)
def test_no_record_is_lost_or_seen_twice_when_world_and_batch_change(
    folders: dict[int, Path], n: int, before: tuple[int, int], after: tuple[int, int], stop: int
) -> None:
    assume(before[0] >= before[1] and after[0] >= after[1])
    first = [loader(folders[n], *before, rank, "keep", shuffle=True) for rank in range(before[1])]
    assume(stop < len(first[0]))
    seen = [at for each in first for batch in records(islice(each, stop)) for at in batch]
    rest = []
    for rank in range(after[1]):
        resumed = loader(folders[n], *after, rank, "keep", shuffle=True)
        resumed.load_state_dict(first[0].state_dict())
        rest += [at for batch in records(resumed) for at in batch]
    assert set(seen) | set(rest) == set(range(n))
    assert not set(seen) & set(rest)
