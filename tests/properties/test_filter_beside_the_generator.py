"""`filter_by_label` is the generator expression that it stands for: what it yields, raises and reads, step by step."""

from __future__ import annotations

import collections
import copy
import gc
import itertools
import operator
import pickle
import signal
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nexa_data.filters import filter_by_label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class Failed(Exception):  # noqa: N818 (a test's own)
    """What a source raises."""


class Turned(tuple[Any, ...]):
    """A tuple whose last element is another one by its own word."""

    __slots__ = ()

    def __getitem__(self, at: Any) -> Any:
        return 1 if at == -1 else super().__getitem__(at)


LABELS = (
    st.integers(-7, 300)
    | st.integers(-(2**65), 2**65)
    | st.sampled_from([True, 1.0, 2.5, None, "1", [1], 2**63, -(2**63)])
)
RECORDS = st.one_of(
    st.tuples(st.integers(), LABELS),
    st.lists(LABELS, max_size=2),
    st.tuples(LABELS),
    st.just(()),
    st.builds(Turned, st.tuples(LABELS)),
    st.sampled_from(["ab1", b"\x01", range(3), 7, {-1: 2}, None]),
)
ALLOWED = st.sets(
    st.integers(-7, 300) | st.sampled_from([2**63, -(2**63), 2**70, None, "1", 1.0, True, 2.5]), max_size=9
)


def _plain(records: Iterable[Any], allowed: Any) -> Iterator[Any]:
    return (record for record in records if record[-1] in allowed)


def _source(records: list[Any], fails_at: int | None, read: list[int]) -> Iterator[Any]:
    for at, record in enumerate(records):
        read.append(at)
        if at == fails_at:
            raise Failed
        yield record


def _story(
    make: Callable[..., Iterator[Any]], records: list[Any], fails_at: int | None, allowed: Any
) -> list[Any]:
    """Return what each step yields or raises, and how much had been read by then."""
    read: list[int] = []
    found = make(_source(records, fails_at, read), allowed)
    told: list[Any] = [len(read)]
    for _ in range(len(records) + 2):
        try:
            told.append((id(next(found)), len(read)))
        except Exception as error:  # noqa: BLE001 (every exception is part of the story)
            told.append((type(error), str(error), len(read)))
            break
    return told


@given(
    st.lists(RECORDS, max_size=30),
    st.none() | st.integers(0, 30),
    ALLOWED,
    st.sampled_from([set, frozenset, list, tuple]),
)
def test_step_by_step_it_is_the_generator(
    records: list[Any], fails_at: int | None, allowed: set[Any], container: Callable[[set[Any]], Any]
) -> None:
    asked = container(allowed)
    assert _story(filter_by_label, records, fails_at, asked) == _story(_plain, records, fails_at, asked)


ITERABLES: dict[str, Callable[[list[Any]], Iterable[Any]]] = {
    "list": list,
    "tuple": tuple,
    "iter": iter,
    "reversed": lambda records: reversed(collections.deque(reversed(records))),
    "deque": collections.deque,
    "map": lambda records: map(operator.itemgetter(0), ((record,) for record in records)),
    "dict": lambda records: dict(enumerate(records)).values(),
    "sequence": collections.UserList,
    "list of a class": type("Own", (list,), {}),
}


@pytest.mark.parametrize("kind", list(ITERABLES))
@given(
    st.lists(st.tuples(st.integers(), st.integers(-9, 400) | st.booleans() | st.sampled_from([1.0, 2**64]))),
    ALLOWED,
)
def test_every_iterable_gives_the_same_records(kind: str, records: list[Any], allowed: set[Any]) -> None:
    found = list(filter_by_label(ITERABLES[kind](records), allowed))
    assert list(map(id, found)) == [id(record) for record in records if record[-1] in allowed]


@given(
    st.lists(st.sampled_from(["next", "append", "pop", "clear", "insert"]), max_size=30), st.integers(0, 8)
)
def test_a_list_that_changes_is_read_as_its_iterator_reads_it(steps: list[str], size: int) -> None:
    one = [(at, at % 2) for at in range(size)]
    two = list(one)
    ours, plain = filter_by_label(one, {1}), _plain(two, {1})
    for number, step in enumerate(steps):
        if step == "next":
            assert next(ours, None) == next(plain, None)
            continue
        for records in (one, two):
            if step == "append":
                records.append((number, 1))
            elif step == "insert":
                records.insert(0, (number, 1))
            elif step == "clear":
                records.clear()
            elif records:
                records.pop()
    assert list(ours) == list(plain)


def test_a_comparison_that_changes_the_list_is_survived() -> None:
    records: list[Any] = []

    class Label:
        def __hash__(self) -> int:
            records.clear()
            return 1

        def __eq__(self, other: object) -> bool:
            return other == 1

    records.extend([("a", Label()), ("b", 1)])
    assert [record[0] for record in filter_by_label(records, {1})] == ["a"]


def test_a_source_that_asks_the_filter_itself_gets_what_comes_next() -> None:
    found: Iterator[Any]

    class Source:
        def __init__(self) -> None:
            self.left = 4

        def __iter__(self) -> Source:
            return self

        def __next__(self) -> tuple[int, int]:
            self.left -= 1
            if self.left < 0:
                raise StopIteration
            if self.left == 2:
                return (next(found)[0] + 100, 1)
            return (self.left, 1)

    found = filter_by_label(Source(), {1})
    assert [record[0] for record in found] == [3, 101, 0]


def test_several_threads_take_each_record_once() -> None:
    found = filter_by_label(iter([(at, at % 2) for at in range(40_000)]), {1})
    taken: list[list[int]] = [[] for _ in range(4)]
    threads = [
        threading.Thread(target=lambda into=into: into.extend(record[0] for record in found))
        for into in taken
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(itertools.chain(*taken)) == list(range(1, 40_000, 2))


def test_a_cycle_through_the_source_is_collected() -> None:
    class Source:
        found: Any = None

        def __iter__(self) -> Source:
            return self

        def __next__(self) -> Any:
            raise StopIteration

    source = Source()
    source.found = filter_by_label(source, {1})
    gone = weakref.ref(source)
    del source
    gc.collect()
    assert gone() is None


def test_like_a_generator_it_is_neither_copied_nor_pickled_nor_measured() -> None:
    found = filter_by_label([(1,)], {1})
    for act in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            act(found)
    assert operator.length_hint(found, -1) == -1
    assert list(found) == [(1,)]


def test_ctrl_c_ends_a_search_that_finds_nothing() -> None:
    class Stopped(Exception):  # noqa: N818 (a test's own)
        pass

    def stop(*_: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with pytest.raises(Stopped):
            next(filter_by_label(itertools.repeat(("a", 0)), {1}))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
