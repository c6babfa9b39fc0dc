"""The order of an epoch is a permutation that can be asked at any place, and inverted."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nexa_data._core import Order

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
