from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nexa_data.datasets.synthetic import SyntheticClassificationDataset
from nexa_data.filters.basic import filter_by_label

if TYPE_CHECKING:
    from collections.abc import Iterator

LABELS = (
    st.integers(-3, 3)
    | st.integers(-(2**70), 2**70)
    | st.booleans()
    | st.sampled_from([1.0, 0.0, -0.0, 2.5, float("nan"), float("inf"), 1e300])
    | st.sampled_from([np.int64(1), np.uint8(2), np.float32(1.0), np.True_, np.int64(-3)])
    | st.sampled_from(["1", "", None, b"1", (1,), complex(1, 0)])
)


class Odd:
    """Equal to 1 by its own word, as a label class of somebody's framework may be."""

    def __eq__(self, other: object) -> bool:
        return other == 1

    def __hash__(self) -> int:
        return hash(1)


@given(st.lists(LABELS), st.sets(LABELS | st.just(Odd())))
@example([True, 1.0, 2**64 + 1, -1, -2], {1, 2**64 + 1, -2})
@example([Odd(), 1], {1})
@example([-(2**63), 2**63, 2**63 - 1], {2**63 - 1, -(2**63)})
def test_it_answers_as_the_obvious_python(labels: list[Any], allowed: set[Any]) -> None:
    records = [(object(), label) for label in labels]
    for container in (allowed, frozenset(allowed), list(allowed), dict.fromkeys(allowed)):
        found = list(filter_by_label(records, container))  # type: ignore[arg-type]
        expected = [record for record in records if record[-1] in container]
        assert [id(record) for record in found] == [id(record) for record in expected]


@given(st.lists(st.integers(0, 9)), st.integers(0, 9), st.integers(1, 9))
def test_any_container_that_answers_in_is_asked(labels: list[int], low: int, width: int) -> None:
    records = [(label,) for label in labels]
    assert list(filter_by_label(records, range(low, low + width))) == [  # type: ignore[arg-type]
        record for record in records if low <= record[0] < low + width
    ]


def test_a_record_keeps_its_identity_and_its_type() -> None:
    class Record(tuple[Any, ...]):
        __slots__ = ()

    record = Record(("a", 1))
    assert next(filter_by_label([record], {1})) is record


def test_nothing_is_read_before_it_is_asked_for_nor_ahead() -> None:
    read: list[int] = []

    def source() -> Iterator[tuple[int, int]]:
        for at in range(10):
            read.append(at)
            yield at, at % 2

    found = filter_by_label(source(), {1})
    assert read == []
    assert next(found) == (1, 1)
    assert read == [0, 1]
    assert next(found) == (3, 1)
    assert read == [0, 1, 2, 3]


def test_an_endless_source_is_filtered_as_it_comes() -> None:
    found = filter_by_label(((at, at % 5) for at in itertools.count()), {3})
    assert [record[0] for record in itertools.islice(found, 4)] == [3, 8, 13, 18]


def test_it_is_an_iterator_that_stays_exhausted() -> None:
    found = filter_by_label([(1,)], {1})
    assert iter(found) is found
    assert [*found, *found] == [(1,)]


@pytest.mark.parametrize("others", [[], [None, "1"], [2.5], [2**63, 2**70]])
def test_of_many_allowed_labels_the_first_records_are_answered_as_the_later_ones(others: list[Any]) -> None:
    allowed: set[Any] = {*range(0, 2000, 2), *others}
    odd = [True, False, 4.0, 2.5, None, "1", 2**63, -(2**63), 2**70, -2, 1999, 1998, 10**6]
    records = [(at, odd[at // 3 % len(odd)] if at % 3 == 0 else at % 2100) for at in range(5000)]
    found = filter_by_label(records, allowed)
    first = [next(found) for _ in range(10)]
    snapshot = frozenset(allowed)
    allowed.clear()
    assert first + list(found) == [record for record in records if record[-1] in snapshot]


def test_a_set_is_copied_at_the_call() -> None:
    allowed = {1}
    found = filter_by_label([(1,), (2,)], allowed)
    allowed.clear()
    assert list(found) == [(1,)]


@pytest.mark.parametrize("label", [[1], {1: 2}, np.array([1])])
def test_a_label_that_cannot_be_hashed_is_a_type_error(label: Any) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        list(filter_by_label([("a", label)], {1}))


def test_a_set_as_label_is_compared_as_a_frozenset_as_python_does() -> None:
    assert list(filter_by_label([({1},), ({2},)], {frozenset({1})})) == [({1},)]  # type: ignore[arg-type]


def test_exceptions_of_the_source_pass_and_what_came_before_is_kept() -> None:
    def source() -> Iterator[tuple[int]]:
        yield (1,)
        raise LookupError("mine")

    found = filter_by_label(source(), {1})
    assert next(found) == (1,)
    with pytest.raises(LookupError, match="mine"):
        next(found)


def test_an_exception_of_a_labels_comparison_passes() -> None:
    class Angry:
        def __hash__(self) -> int:
            return hash(1)

        def __eq__(self, other: object) -> bool:
            raise LookupError("no comparison")

    with pytest.raises(LookupError, match="no comparison"):
        list(filter_by_label([(Angry(),)], {1}))


def test_an_empty_record_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        list(filter_by_label([()], {1}))


@pytest.mark.parametrize("records", [3, None])
def test_what_cannot_be_iterated_is_a_type_error_at_the_call(records: Any) -> None:
    with pytest.raises(TypeError):
        filter_by_label(records, {1})


def test_no_label_allowed_gives_nothing_and_no_record_gives_nothing() -> None:
    assert list(filter_by_label([(1,)], set())) == []
    assert list(filter_by_label([], {1})) == []


@pytest.mark.parametrize(
    "data",
    [
        pa.table({"label": [1]}),
        pa.record_batch({"label": [1]}),
        pa.table({"label": [1]}).to_reader(),
        SyntheticClassificationDataset(10, 2, 2),
    ],
    ids=lambda data: type(data).__name__,
)
def test_a_table_is_refused_with_the_function_that_filters_it(data: Any) -> None:
    with pytest.raises(TypeError, match="filter_table_by_label"):
        filter_by_label(data, {1})
