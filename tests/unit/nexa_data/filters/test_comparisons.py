from __future__ import annotations

import datetime as dt
import operator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nexa_data.errors import ConfigError
from nexa_data.filters.rules import WhereRule

ORDERS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]


def kept(rule: WhereRule, column: pa.Array) -> list[bool]:
    found = rule.rows(pa.record_batch([column], ["c"]))
    assert found.dtype == np.bool_
    return found.tolist()  # type: ignore[no-any-return]


def bounds(kind: pa.DataType) -> tuple[int, int]:
    bits = kind.bit_width
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if pa.types.is_signed_integer(kind) else (0, 2**bits - 1)


@given(st.data(), st.sampled_from(INTEGERS), st.sampled_from(list(ORDERS)))
def test_integers_are_compared_as_python_compares_them(
    data: st.DataObject, kind: pa.DataType, op: str
) -> None:
    low, high = bounds(kind)
    values = data.draw(
        st.lists(st.none() | st.integers(low, high) | st.sampled_from([low, high]), max_size=20)
    )
    near = st.sampled_from(
        [low - 1, low, high, high + 1, 2**64, 2.0**63, 2.0**64, float("inf"), -float("inf")]
    )
    wanted = data.draw(near | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.integers(-3, 3))
    for column in (pa.array(values, kind), pa.array([None, *values, None], kind).slice(1, len(values))):
        assert kept(WhereRule("here", "c", op, wanted), column) == [
            value is not None and ORDERS[op](value, wanted) for value in values
        ]


@given(
    st.lists(st.none() | st.floats(width=32)),
    st.floats(allow_nan=False) | st.integers(-9, 9),
    st.sampled_from(list(ORDERS)),
)
@example([0.1, 0.2], 0.1, "==")
def test_floats_are_compared_with_the_value_as_the_column_would_hold_it(
    values: list[float | None], wanted: float, op: str
) -> None:
    assert kept(WhereRule("here", "c", op, wanted), pa.array(values, pa.float64())) == [
        value is not None and ORDERS[op](value, wanted) for value in values
    ]
    with np.errstate(over="ignore"):
        narrow = float(np.float32(wanted))
    assert kept(WhereRule("here", "c", op, wanted), pa.array(values, pa.float32())) == [
        value is not None and ORDERS[op](float(np.float32(value)), narrow) for value in values
    ]


@given(
    values=st.lists(st.none() | st.text(max_size=3)),
    wanted=st.text(max_size=3),
    op=st.sampled_from(list(ORDERS)),
    dictionary=st.booleans(),
)
def test_text_is_compared_in_every_form(
    values: list[str | None], wanted: str, op: str, *, dictionary: bool
) -> None:
    for kind in (pa.string(), pa.large_string()):
        column = pa.array(values, kind)
        expected = [value is not None and ORDERS[op](value, wanted) for value in values]
        assert (
            kept(WhereRule("here", "c", op, wanted), column.dictionary_encode() if dictionary else column)
            == expected
        )


@given(
    st.lists(st.none() | st.integers(-4, 4)),
    st.lists(st.integers(-5, 5) | st.just(300) | st.floats(-2, 2), max_size=5),
)
def test_in_and_not_in_leave_null_out_as_sql_does(values: list[int | None], wanted: list[float]) -> None:
    column = pa.array(values, pa.int8())
    is_in = [value is not None and value in wanted for value in values]
    assert kept(WhereRule("here", "c", "in", wanted), column) == is_in
    assert kept(WhereRule("here", "c", "not_in", wanted), column) == [
        value is not None and value not in wanted for value in values
    ]


@pytest.mark.parametrize("kind", [pa.int64(), pa.string(), pa.list_(pa.int8()), pa.null()])
def test_null_is_asked_for_by_name_in_any_column(kind: pa.DataType) -> None:
    column = pa.array([None, None], kind)
    assert kept(WhereRule("here", "c", "is_null"), column) == [True, True]
    assert kept(WhereRule("here", "c", "not_null"), column) == [False, False]


@pytest.mark.parametrize("wanted", ["2026-01-02", dt.date(2026, 1, 2)])
def test_dates_and_times_are_iso_text_or_what_yaml_makes_of_it(wanted: Any) -> None:
    days = [dt.date(2026, 1, day) for day in (1, 2, 3)]
    for column in (pa.array(days), pa.array(days).cast(pa.timestamp("us"))):
        assert kept(WhereRule("here", "c", ">=", wanted), column) == [False, True, True]


def test_booleans_equal_but_have_no_order() -> None:
    column = pa.array([True, False, None])
    assert kept(WhereRule("here", "c", "==", value=True), column) == [True, False, False]
    assert kept(WhereRule("here", "c", "not_in", value=[True]), column) == [False, True, False]
    with pytest.raises(ConfigError, match="no order"):
        kept(WhereRule("here", "c", "<", value=True), column)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (pa.array([1]), "1"),
        (pa.array([1]), True),
        (pa.array([1.0]), "a"),
        (pa.array(["1"]), 1),
        (pa.array([True]), 1),
        (pa.array([[1]]), 1),
        (pa.array([dt.date(2026, 1, 1)]), "soon"),
        (pa.array([dt.date(2026, 1, 1)]), 3),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_place(column: pa.Array, value: Any) -> None:
    with pytest.raises(ConfigError, match=r"data\.filters\[3\]\.where: column 'c' is .* compare"):
        kept(WhereRule("data.filters[3].where", "c", "==", value), column)
