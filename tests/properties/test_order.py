"""The order of an epoch is a permutation that can be asked at any place, and inverted."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from nexa_data._core import MIXTURE_WINDOW, Mixture, Order

SEEDS = st.integers(0, 2**64 - 1)


@given(n=st.integers(1, 600), seed=SEEDS, epoch=SEEDS)
def test_it_is_a_permutation(n: int, seed: int, epoch: int) -> None:
    order = Order(n, seed=seed, epoch=epoch)
    found = order.records(0, n)
    assert sorted(found) == list(range(n))
    assert [order.record(at) for at in range(n)] == found


@given(n=st.integers(1, 2**63), seed=SEEDS, epoch=SEEDS, data=st.data())
def test_position_is_the_inverse_of_record(n: int, seed: int, epoch: int, data: st.DataObject) -> None:
    order = Order(n, seed=seed, epoch=epoch)
    at = data.draw(st.integers(0, n - 1))
    record = order.record(at)
    assert 0 <= record < n
    assert order.position(record) == at


@given(n=st.integers(1, 50), start=st.integers(0, 200), length=st.integers(0, 120))
def test_a_range_beyond_the_end_begins_again(n: int, start: int, length: int) -> None:
    order = Order(n, seed=1)
    assert order.records(start, length) == [order.record((start + at) % n) for at in range(length)]


def test_another_seed_or_epoch_gives_another_order() -> None:
    orders = {
        tuple(Order(100, seed=seed, epoch=epoch).records(0, 100)) for seed in range(5) for epoch in range(5)
    }
    assert len(orders) == 25


def test_every_record_comes_first_about_as_often() -> None:
    counts = [0] * 8
    for epoch in range(4000):
        counts[Order(8, seed=0, epoch=epoch).record(0)] += 1
    # 500 each on average; the standard deviation is 21.
    assert all(abs(count - 500) < 5 * 21 for count in counts)


def test_neighbours_do_not_stay_neighbours() -> None:
    found = Order(10_000, seed=0).records(0, 10_000)
    together = sum(abs(left - right) == 1 for left, right in pairwise(found))
    assert together < 20


def test_without_shuffle_it_is_the_identity() -> None:
    assert Order(9, seed=5, epoch=7, shuffle=False).records(0, 9) == list(range(9))


def test_places_outside_are_refused() -> None:
    order = Order(9)
    for ask in (order.record, order.position):
        with pytest.raises(IndexError, match="9 is out of range"):
            ask(9)
    with pytest.raises(ValueError, match=r"2\*\*63"):
        Order(2**63 + 1)
    with pytest.raises(IndexError, match="no records"):
        Order(0).records(0, 1)


BLOCKS = st.tuples(st.integers(1, 2**64 - 1), st.integers(1, 2**64 - 1)) | st.tuples(
    st.integers(1, 40), st.integers(1, 9)
)


@given(n=st.integers(1, 600), blocks=BLOCKS, seed=SEEDS, epoch=SEEDS)
def test_blocks_are_a_permutation_whatever_their_size(
    n: int, blocks: tuple[int, int], seed: int, epoch: int
) -> None:
    order = Order(n, seed=seed, epoch=epoch, block=blocks[0], window=blocks[1])
    found = order.records(0, n)
    assert sorted(found) == list(range(n))
    assert [order.record(at) for at in range(n)] == found
    assert [order.position(record) for record in found] == list(range(n))


@given(n=st.integers(1, 2**63), blocks=BLOCKS, seed=SEEDS, data=st.data())
def test_blocks_of_huge_data_are_undone(
    n: int, blocks: tuple[int, int], seed: int, data: st.DataObject
) -> None:
    order = Order(n, seed=seed, block=blocks[0], window=blocks[1])
    at = data.draw(st.integers(0, n - 1))
    assert order.position(order.record(at)) == at


@given(
    n=st.integers(1, 600),
    block=st.integers(1, 40),
    window=st.integers(1, 9),
    seed=SEEDS,
    data=st.data(),
)
def test_positions_lie_in_the_ranges_that_are_told_beforehand(
    n: int, block: int, window: int, seed: int, data: st.DataObject
) -> None:
    order = Order(n, seed=seed, block=block, window=window)
    start = data.draw(st.integers(0, n - 1))
    rows = data.draw(st.integers(1, n - start))
    told = {record for first, end in order.ranges(start, rows) for record in range(first, end)}
    assert set(order.records(start, rows)) <= told
    assert len(told) <= rows + 2 * block * window


SOURCES = st.lists(
    st.tuples(st.integers(1, 60), st.integers(1, 20), st.none() | st.integers(1, 90)), min_size=1, max_size=5
)
STOPS: Any = st.sampled_from(["first", "all"]) | st.integers(1, 400)


def mixture(sources: list[tuple[int, int, int | None]], stop: int | str) -> Mixture:
    records, weights, most = zip(*sources, strict=True)
    assume(not isinstance(stop, int) or None in most or sum(most) >= stop)
    return Mixture(records, [(0, weights, most, stop)])


@given(sources=SOURCES, stop=STOPS, seed=SEEDS, epoch=st.integers(0, 5), shuffle=st.booleans())
def test_each_source_of_a_mixture_is_gone_through_in_turns(
    *, sources: list[tuple[int, int, int | None]], stop: int | str, seed: int, epoch: int, shuffle: bool
) -> None:
    plan = mixture(sources, stop)
    each = plan.counts(len(plan))
    done = [epoch * count for count in each]
    order = Order.mixed(plan, done, seed=seed, epoch=epoch, shuffle=shuffle)
    found = order.records(0, len(order))
    assert [order.record(at) for at in range(len(order))] == found
    counts = Counter(found)
    first = 0
    for (records, _, _), count, before in zip(sources, each, done, strict=True):
        times = [counts[record] for record in range(first, first + records)]
        assert sum(times) == count
        # Whole passes hold each record once; the first and the last may be parts.
        whole = max((before + count) // records - -(-before // records), 0)
        assert all(whole <= time <= whole + 2 for time in times)
        first += records
    assert sum(counts.values()) == len(plan)


@given(sources=SOURCES, seed=SEEDS)
def test_windows_of_a_mixture_have_their_shares(
    sources: list[tuple[int, int, int | None]], seed: int
) -> None:
    plan = mixture([(records, weight, None) for records, weight, _ in sources], 3 * MIXTURE_WINDOW)
    order = Order.mixed(plan, [0] * len(sources), seed=seed)
    total = sum(weight for _, weight, _ in sources)
    bounds = [sum(records for records, _, _ in sources[:at]) for at in range(len(sources) + 1)]
    for window in range(3):
        found = order.records(window * MIXTURE_WINDOW, MIXTURE_WINDOW)
        for (_, weight, _), low, high in zip(sources, bounds, bounds[1:], strict=False):
            count = sum(low <= record < high for record in found)
            assert abs(count - MIXTURE_WINDOW * weight / total) < 6


@given(classes=st.integers(1, 200), rounds=st.integers(0, 50), extra=st.integers(0, 199))
def test_equal_weights_are_equal_to_one(classes: int, rounds: int, extra: int) -> None:
    slots = rounds * classes + extra % classes
    assume(slots)
    counts = Mixture([9] * classes, [(0, [1] * classes, [None] * classes, slots)]).counts(slots)
    assert set(counts) <= {rounds, rounds + 1}
