"""A run that is stopped and resumed sees exactly what a run without a stop sees."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from nexa_data import _core
from nexa_data.datasets.shards import ShardDataset, ShardSource
from nexa_data.loaders.mixture import MixedOrders
from nexa_data.loaders.orders import BalancedOrders, PlainOrders
from nexa_data.loaders.plan import BatchPlan
from nexa_data.loaders.sampler import DistributedShardSampler
from nexa_data.loaders.torch_loader import ShardLoader
from nexa_data.shard_output import tensor_batch

if TYPE_CHECKING:
    from pathlib import Path

    from nexa_data.loaders.orders import Orders

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
            batch = tensor_batch({"features": values.astype(np.float32).reshape(-1, 1), "label": values})
            _core.write_shard(folder / f"{at}.arrow", [batch])
            lines.append(f'{{"uri": "{at}.arrow", "split": "train", "records": {len(values)}}}\n')
        (folder / "catalog.jsonl").write_text("".join(lines))
    return made


MODES = ["none", "full", "block", "classes", "mixture"]


def loader(folders: dict[int, Path], n: int, cut: tuple[int, int, int, str], mode: str) -> ShardLoader:
    """Return a loader over the first n records; cut: global batch, world size, rank, tail."""
    sources = [ShardSource(folders[n], "train")]
    if mode == "mixture":
        sources = [ShardSource(folders[each], "train") for each in (n, max(n // 3, 1), n)]
    dataset = ShardDataset(sources)
    shuffle = mode != "none"
    orders: Orders = PlainOrders(len(dataset), 3, shuffle, block=5 if mode == "block" else 0, window=3)
    if mode == "classes":
        orders = BalancedOrders(tuple(dataset.classes[1]), 3, shuffle=shuffle)
    if mode == "mixture":
        # In rank 0's and every other's loader the same: each source once, the last with a bound and more weight.
        mixed = ((3, 1, 2), (None, None, n), "all")
        orders = MixedOrders("abc", "abc", dataset.source_records, mixed, seed=3, shuffle=shuffle)
    batch, world, rank, tail = cut
    plan = BatchPlan(orders.order(0).records, batch, rank, world, tail)
    return ShardLoader(
        dataset, DistributedShardSampler(dataset, plan, seed=3, shuffle=shuffle, orders=orders)
    )


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
    mode=st.sampled_from(MODES),
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
    mode: str,
    epoch: int,
    stops: list[int],
    data: Any,
) -> None:
    assume(batch >= world and (tail != "drop" or n >= batch))
    rank = data.draw(st.integers(0, world - 1))

    def made() -> ShardLoader:
        return loader(folders, n, (batch, world, rank, tail), mode)

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
    cuts=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 3), st.integers(0, 4)), min_size=2, max_size=4),
    mode=st.sampled_from(MODES),
)
def test_no_record_is_lost_or_seen_twice_when_world_and_batch_change(
    folders: dict[int, Path], n: int, cuts: list[tuple[int, int, int]], mode: str
) -> None:
    assume(all(batch >= world for batch, world, _ in cuts))
    expected = [at for each in records(loader(folders, n, (7, 1, 0, "keep"), mode)) for at in each]
    state: dict[str, Any] | None = None
    consumed = 0
    for batch, world, stop in cuts:
        ranks = [loader(folders, n, (batch, world, rank, "keep"), mode) for rank in range(world)]
        if state is not None:
            for each in ranks:
                each.load_state_dict(state)
        # A last batch with fewer records than ranks gives one twice: here only whole batches are taken.
        whole = min(stop, (len(expected) - consumed) // batch)
        seen = [records(islice(each, whole)) for each in ranks]
        together = [at for batches in zip(*seen, strict=True) for part in batches for at in part]
        assert together == expected[consumed : consumed + whole * batch]
        states = [each.state_dict() for each in ranks]
        assert all(each == states[0] for each in states)
        if whole and consumed + whole * batch == len(expected):
            return
        state, consumed = states[0], consumed + whole * batch
    last = loader(folders, n, (5, 1, 0, "keep"), mode)
    last.load_state_dict(state or {})
    assert [at for each in records(last) for at in each] == expected[consumed:]


@settings(max_examples=60)
@given(
    n=st.integers(1, MOST),
    batch=st.integers(1, 12),
    world=st.integers(1, 4),
    tail=st.sampled_from(["drop", "keep", "repeat"]),
    mode=st.sampled_from(["none", "full", "block"]),
    epoch=st.integers(0, 3),
)
def test_every_record_comes_once_an_epoch(
    folders: dict[int, Path], *, n: int, batch: int, world: int, tail: str, mode: str, epoch: int
) -> None:
    assume(batch >= world and (tail != "drop" or n >= batch))
    found = []
    for rank in range(world):
        each = loader(folders, n, (batch, world, rank, tail), mode)
        each.set_epoch(epoch)
        found += [at for part in records(each) for at in part]
    whole, left = divmod(n, batch)
    if tail == "drop" or not left:
        assert len(found) == len(set(found)) == whole * batch
    else:
        assert set(found) == set(range(n))
        most = batch - left if tail == "repeat" else world
        assert len(found) - n <= most


def test_the_order_is_the_same_for_any_number_of_threads(folders: dict[int, Path]) -> None:
    """The pool is made once per process: each number of threads has one of its own."""
    code = (
        "import sys; from pathlib import Path; from nexa_data import _core; "
        "assert _core.set_threads(int(sys.argv[1])); "
        "from nexa_data.datasets.shards import ShardDataset; from nexa_data.loaders.plan import BatchPlan; "
        "from nexa_data.loaders.sampler import ShardSampler; dataset = ShardDataset(Path(sys.argv[2]), 'train'); "
        "sampler = ShardSampler(dataset, BatchPlan(len(dataset), 3, 0, 1, 'keep'), seed=1, shuffle=True); "
        "print([dataset[each][1].tolist() for _ in range(3) for each in sampler])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, str(threads), str(folders[MOST])],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for threads in (1, 2, 5)
    }
    assert len(outputs) == 1
    assert len(outputs.pop()) > 3 * MOST
