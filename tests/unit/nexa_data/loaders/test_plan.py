from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from nexa_data.errors import ConfigError
from nexa_data.loaders.plan import BatchPlan

TAILS = st.sampled_from(["drop", "keep", "repeat", "pad"])


def positions(plan: BatchPlan, first: int = 0) -> list[int]:
    found = []
    for batch in range(plan.batches(first)):
        start, rows = plan.slice(first, batch)
        assert rows > 0
        found += [at % plan.records for at in range(start, start + rows)]
    return found


@given(
    records=st.integers(1, 60),
    batch=st.integers(1, 30),
    world=st.integers(1, 7),
    tail=TAILS,
    first=st.integers(0, 60),
)
def test_ranks_take_apart_what_one_would_take_and_all_take_as_many_batches(
    records: int, batch: int, world: int, tail: str, first: int
) -> None:
    assume(batch >= world and (tail != "drop" or records >= batch) and first <= records)
    plans = [BatchPlan(records, batch, rank, world, tail) for rank in range(world)]
    whole = BatchPlan(records, batch, 0, 1, tail)
    assert len({plan.batches(first) for plan in plans}) == 1
    alone = positions(whole, first)
    together = [at for plan in plans for at in positions(plan, first)]
    assert set(together) == set(alone)
    if (records - first) % batch == 0 or tail != "keep":
        assert sorted(together) == sorted(alone)
    left = records - first
    full = -(-left // batch) * batch
    assert len(alone) == {"drop": left // batch * batch, "keep": left, "repeat": full, "pad": full}[tail]
    if tail in {"drop", "keep"}:
        assert alone == list(range(first, first + len(alone)))


@given(records=st.integers(1, 99), batch=st.integers(1, 30), done=st.integers(0, 99))
def test_what_is_consumed_and_what_is_left_is_all(records: int, batch: int, done: int) -> None:
    plan = BatchPlan(records, batch, 0, 1, "keep")
    assume(done <= plan.batches())
    consumed = plan.consumed(0, done)
    assert plan.batches() == done + plan.batches(consumed)


@given(
    records=st.integers(1, 60), batch=st.integers(1, 12), group=st.integers(1, 5), first=st.integers(0, 60)
)
def test_padded_batches_that_are_dealt_out_go_round(records: int, batch: int, group: int, first: int) -> None:
    assume(first <= records)
    plan = BatchPlan(records, batch, 0, 1, "pad", group=group)
    slices = [plan.slice(first, number) for number in range(plan.batches(first))]
    assert len(slices) % group == 0
    assert len(slices) - -(-(records - first) // batch) < group
    assert sum(max(0, min(rows, records - start)) for start, rows in slices) == records - first


@given(st.integers(0, 60), st.integers(1, 9), st.integers(1, 4), TAILS, st.data())
def test_slices_one_after_the_other_are_each_batch_s(
    records: int, batch: int, world: int, tail: str, data: st.DataObject
) -> None:
    assume(batch >= world and (tail != "drop" or records >= batch))
    plan = BatchPlan(records, batch, data.draw(st.integers(0, world - 1)), world, tail)
    first = data.draw(st.integers(0, records + 3))
    assert list(plan.slices(first)) == [plan.slice(first, k) for k in range(plan.batches(first))]


def test_a_batch_that_no_rank_can_share_is_refused() -> None:
    with pytest.raises(ConfigError, match="global_batch_size"):
        BatchPlan(100, 3, 0, 4, "keep")


def test_dropping_all_is_refused_with_the_option() -> None:
    with pytest.raises(ConfigError, match=r"data\.batch\.tail"):
        BatchPlan(100, 128, 0, 1, "drop")
