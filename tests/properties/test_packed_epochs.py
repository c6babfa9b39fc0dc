"""Packed epochs hold every token once, whatever the ranks, and resume as if nothing had stopped."""

from __future__ import annotations

from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from nexa_data.datasets.packed import PackedDataset, PackedRequest
from nexa_data.datasets.shards import EpochOrder
from nexa_data.loaders.orders import PlainOrders
from nexa_data.loaders.packed import DistributedPackedSampler
from nexa_data.loaders.plan import BatchPlan
from nexa_data.loaders.torch_loader import ShardLoader

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a catalog of sequences of 0 to 40 tokens, each token different from all others."""
    folder = tmp_path_factory.mktemp("packed")
    random = np.random.default_rng(5)
    rows, first, lines = [], 1, []
    for length in random.integers(0, 41, RECORDS):
        rows.append(list(range(first, first + length)))
        first += length
    for at in range(0, RECORDS, 25):
        part = pa.record_batch([pa.array(rows[at : at + 25], pa.list_(pa.uint16()))], names=["tokens"])
        with pa.OSFile(str(folder / f"{at}.arrow"), "wb") as sink, pa.ipc.new_file(sink, part.schema) as file:
            file.write_table(pa.Table.from_batches([part]), max_chunksize=10)
        lines.append(f'{{"uri": "{at}.arrow", "split": "train", "records": {part.num_rows}}}\n')
    (folder / "catalog.jsonl").write_text("".join(lines))
    return folder


BLOCKS = st.sampled_from([0, 4, 7])
"""Records of a block of the order; 0 mixes all."""


def loader(
    folder: Path, length: int, lookahead: int, cut: tuple[int, int, int, str], block: int = 0
) -> ShardLoader:
    batch, world, rank, tail = cut
    pack = {"length": length, "lookahead": lookahead}
    dataset = PackedDataset(folder, "train", pack=pack)
    orders = PlainOrders(RECORDS, 3, shuffle=True, block=block, window=2)
    plan = BatchPlan(dataset.epoch(orders.order(0)).rows, batch, rank, world, tail)
    return ShardLoader(dataset, DistributedPackedSampler(dataset, plan, seed=3, shuffle=True, orders=orders))


def seen(batches: Any) -> list[list[list[int]]]:
    """Return the rows of each batch, after a check of what must agree within it."""
    found = []
    for batch in batches:
        ids, labels, positions = (batch[key].numpy() for key in ("input_ids", "labels", "position_ids"))
        ends = batch["cu_seqlens"].tolist()
        assert ends[0] == 0
        assert ends[-1] == ids.size
        assert np.array_equal(np.flatnonzero(positions.ravel() == 0), ends[:-1])
        for start, end in pairwise(ends):
            document, label = ids.ravel()[start:end], labels.ravel()[start:end]
            assert start // ids.shape[1] == (end - 1) // ids.shape[1]
            assert np.array_equal(positions.ravel()[start:end], np.arange(end - start))
            padded = document[0] == 0
            assert np.array_equal(
                document, np.zeros(end - start) if padded else np.arange(end - start) + document[0]
            )
            assert np.array_equal(label, np.full(end - start, -100) if padded else document)
        found.append(ids.tolist())
    return found


def tokens(batches: list[list[list[int]]]) -> list[int]:
    return [token for batch in batches for row in batch for token in row if token]


@settings(max_examples=30, deadline=None)
@given(
    length=st.integers(5, 70),
    lookahead=st.integers(1, 80),
    world=st.integers(1, 3),
    batch=st.integers(1, 9),
    epoch=st.integers(0, 2),
    block=BLOCKS,
)
def test_every_token_of_an_epoch_comes_once_over_all_ranks(
    folder: Path, length: int, lookahead: int, world: int, batch: int, epoch: int, block: int
) -> None:
    assume(batch >= world)
    rows = []
    for rank in range(world):
        each = loader(folder, length, lookahead, (batch, world, rank, "keep"), block)
        each.set_epoch(epoch)
        expected = len(each)
        batches = seen(each)
        assert len(batches) == expected
        rows += [tuple(row) for made in batches for row in made]
    # A rank for which the last batch has no row gets one of them again.
    found = sorted(token for row in set(rows) for token in row if token)
    total = sum(len(record["tokens"]) for record in (each.dataset[at] for at in range(RECORDS)))
    assert found == list(range(1, total + 1))


@settings(max_examples=30, deadline=None)
@given(
    length=st.integers(5, 70),
    lookahead=st.integers(1, 80),
    batch=st.integers(1, 6),
    tail=st.sampled_from(["drop", "keep", "repeat"]),
    stops=st.lists(st.integers(0, 9), min_size=1, max_size=3),
    block=BLOCKS,
)
def test_resuming_packed_rows_is_as_if_nothing_had_stopped(
    folder: Path, length: int, lookahead: int, batch: int, tail: str, stops: list[int], block: int
) -> None:
    cut = (batch, 1, 0, tail)
    straight = loader(folder, length, lookahead, cut, block)
    wanted = [each for _ in range(len(stops) + 2) for each in seen(straight)]
    running = loader(folder, length, lookahead, cut, block)
    found: list[list[list[int]]] = []
    for stop in stops:
        found += seen(islice(running, stop))
        state = running.state_dict()
        running = loader(folder, length, lookahead, cut, block)
        running.load_state_dict(state)
    while len(found) < len(wanted):
        found += seen(running)
    assert found[: len(wanted)] == wanted


@settings(max_examples=30, deadline=None)
@given(
    length=st.integers(5, 70),
    lookahead=st.integers(1, 80),
    window=st.integers(0, 59),
    epoch=st.integers(0, 2),
    block=BLOCKS,
)
def test_the_rows_of_a_window_follow_from_its_positions_alone(
    folder: Path, length: int, lookahead: int, window: int, epoch: int, block: int
) -> None:
    window %= -(-RECORDS // lookahead)
    order = EpochOrder(RECORDS, 3, epoch, shuffle=True, block=block, window=2)
    dataset = PackedDataset(folder, "train", pack={"length": length, "lookahead": lookahead})
    rows = dataset.epoch(order)
    mine = [at for at in range(rows.rows) if rows.place(at)[0] == window]
    assume(mine)  # a window of empty sequences has no row
    found = dataset[PackedRequest(order, mine[0], len(mine))]["input_ids"]
    native = order.native()
    held = native.records(window * lookahead, min(lookahead, RECORDS - window * lookahead))
    wanted = sorted(token for record in held for token in dataset[record]["tokens"].tolist())
    assert sorted(token for token in found.ravel().tolist() if token) == wanted


@settings(max_examples=20, deadline=None)
@given(
    before=st.tuples(st.integers(3, 7), st.integers(1, 3)),
    after=st.tuples(st.integers(3, 7), st.integers(1, 3)),
    stop=st.integers(0, 5),
)
def test_no_token_is_lost_or_seen_twice_when_world_and_batch_change(
    folder: Path, before: tuple[int, int], after: tuple[int, int], stop: int
) -> None:
    first = [loader(folder, 20, 16, (*before, rank, "keep")) for rank in range(before[1])]
    assume(stop < len(first[0]))
    early = tokens([made for each in first for made in seen(islice(each, stop))])
    late: list[int] = []
    for rank in range(after[1]):
        resumed = loader(folder, 20, 16, (*after, rank, "keep"))
        resumed.load_state_dict(first[0].state_dict())
        late += tokens(seen(resumed))
    assert not set(early) & set(late)
    whole = tokens(seen(loader(folder, 20, 16, (4, 1, 0, "keep"))))
    assert sorted(set(early) | set(late)) == sorted(whole)
