from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from nexa_data.errors import ConfigError
from nexa_data.loaders.plan import BatchPlan

TAILS = st.sampled_from(["drop", "keep", "repeat"])


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
    expected = {"drop": left // batch * batch, "keep": left, "repeat": -(-left // batch) * batch}[tail]
    assert len(alone) == expected
    if tail != "repeat":
        assert alone == list(range(first, first + expected))


@given(records=st.integers(1, 99), batch=st.integers(1, 30), done=st.integers(0, 99))
def test_what_is_consumed_and_what_is_left_is_all(records: int, batch: int, done: int) -> None:
    plan = BatchPlan(records, batch, 0, 1, "keep")
    assume(done <= plan.batches())
    consumed = plan.consumed(0, done)
    assert plan.batches() == done + plan.batches(consumed)


def test_a_batch_that_no_rank_can_share_is_refused() -> None:
    with pytest.raises(ConfigError, match="global_batch_size"):
        BatchPlan(100, 3, 0, 4, "keep")


def test_dropping_all_is_refused_with_the_option() -> None:
    with pytest.raises(ConfigError, match=r"data\.batch\.tail"):
        BatchPlan(100, 128, 0, 1, "drop")
