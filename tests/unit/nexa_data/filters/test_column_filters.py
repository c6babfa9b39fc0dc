from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nexa_data.errors import ConfigError
from nexa_data.filters.columns import parse_filters, parse_label_filters, select_rows

NO_COLUMNS = pa.RecordBatch.from_arrays([], [])


@given(
    st.lists(st.integers(0, 12) | st.integers(0, 2**63 - 1), max_size=60),
    st.lists(st.tuples(st.booleans(), st.lists(st.integers(-2, 12), max_size=6)), min_size=1, max_size=3),
)
def test_rows_are_those_of_the_obvious_python(labels: list[int], rules: list[tuple[bool, list[int]]]) -> None:
    parsed = parse_filters([{"label": {"deny" if deny else "allow": wanted}} for deny, wanted in rules])
    found = select_rows(NO_COLUMNS, np.array(labels, np.int64), parsed, None)
    assert found is not None
    assert found.tolist() == [
        at for at, label in enumerate(labels) if all((label in wanted) != deny for deny, wanted in rules)
    ]


def test_without_a_rule_nothing_is_selected_and_nothing_copied() -> None:
    assert select_rows(NO_COLUMNS, np.array([1, 2]), [], None) is None


def test_names_are_looked_up_among_the_classes() -> None:
    rules = parse_filters([{"label": {"allow": ["dog", 2]}}])
    found = select_rows(NO_COLUMNS, np.array([0, 1, 2, 1]), rules, ("cat", "dog", "eel"))
    assert found is not None
    assert found.tolist() == [1, 2, 3]


def test_a_name_that_is_no_class_is_refused_with_the_nearest() -> None:
    rules = parse_filters([{"label": {"allow": ["dgo"]}}])
    with pytest.raises(ConfigError, match="no class 'dgo'; did you mean 'dog'"):
        select_rows(NO_COLUMNS, np.array([0]), rules, ("cat", "dog"))
    with pytest.raises(ConfigError, match="integers only"):
        select_rows(NO_COLUMNS, np.array([0]), rules, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"size": {"allow": [1]}},
        {"label": {}},
        {"label": {"allow": [1], "deny": [2]}},
        {"label": {"permit": [1]}},
        {"label": {"allow": 1}},
        {"label": {"allow": [1.5]}},
        {"label": {"allow": [True]}},
        {"label": [1]},
        {"label": {"allow": [1]}, "length": {"column": "x", "min": 1}},
        {"length": {"column": "x"}},
        {"length": {"column": "x", "min": -1}},
        {"length": {"column": "x", "min": 2, "max": 1}},
        {"length": {"column": "x", "max": True}},
        {"length": {"min": 1}},
        {"length": 3},
        {"length": {"colunm": "x", "min": 1}},
        {"where": {"column": "x"}},
        {"where": {"column": "x", "op": "=", "value": 1}},
        {"where": {"column": "x", "op": "in", "value": 1}},
        {"where": {"column": "x", "op": "in", "value": [[1]]}},
        {"where": {"column": "x", "op": "<", "value": [1]}},
        {"where": {"column": "x", "op": "=="}},
        {"where": {"column": "x", "op": "is_null", "value": 1}},
        {"where": {"column": 3, "op": "is_null"}},
        {"where": {"column": "x", "op": "==", "valeu": 1}},
    ],
)
def test_a_malformed_filter_is_refused_with_its_number(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"data\.filters\[1\].*"):
        parse_filters([{"label": {"allow": [1]}}, wrong])


def _where(column: pa.Array, op: str, value: Any = None) -> list[int]:
    batch = pa.RecordBatch.from_arrays([column], ["x"])
    said = {"column": "x", "op": op} | ({} if op.endswith("null") else {"value": value})
    found = select_rows(batch, np.zeros(len(column), np.int64), parse_filters([{"where": said}]), None)
    assert found is not None
    return found.tolist()


OPS = {
    "==": lambda one, two: one == two,
    "!=": lambda one, two: one != two,
    "<": lambda one, two: one < two,
    "<=": lambda one, two: one <= two,
    ">": lambda one, two: one > two,
    ">=": lambda one, two: one >= two,
}


@given(
    st.sampled_from([pa.int8(), pa.int64(), pa.uint16(), pa.float32(), pa.float64()]),
    st.lists(st.none() | st.integers(0, 5), max_size=40),
    st.integers(0, 5) | st.sampled_from([0.5, 2.5, 300, -1]),
    st.sampled_from(list(OPS)),
)
def test_a_comparison_is_pythons_and_no_null_passes(
    kind: pa.DataType, values: list[int | None], value: float, op: str
) -> None:
    expected = [at for at, each in enumerate(values) if each is not None and OPS[op](each, value)]
    assert _where(pa.array(values, kind), op, value) == expected


def test_texts_dates_and_booleans_compare_too() -> None:
    assert _where(pa.array(["a", "c", None]), ">=", "b") == [1]
    assert _where(pa.array(["a", "c", None]).dictionary_encode(), "==", "c") == [1]
    assert _where(pa.array([dt.date(2026, 1, 1), dt.date(2026, 5, 1)]), "<", dt.date(2026, 2, 1)) == [0]
    assert _where(pa.array([True, False, None]), "==", True) == [0]


@given(
    st.lists(st.none() | st.integers(-3, 3), max_size=40),
    st.lists(st.integers(-3, 3) | st.just(1.0), max_size=4),
)
def test_in_and_not_in_are_pythons_and_no_null_passes(values: list[int | None], wanted: list[float]) -> None:
    column = pa.array(values, pa.int16())
    assert _where(column, "in", wanted) == [at for at, each in enumerate(values) if each in wanted]
    others = [at for at, each in enumerate(values) if each is not None and each not in wanted]
    assert _where(column, "not_in", wanted) == others
    assert _where(column, "is_null") == [at for at, each in enumerate(values) if each is None]
    assert _where(column, "not_null") == [at for at, each in enumerate(values) if each is not None]


@given(
    st.lists(st.none() | st.text("aä🦉", max_size=6), max_size=40),
    st.integers(0, 6),
    st.none() | st.integers(0, 6),
)
def test_a_length_is_that_of_characters_bytes_or_items(
    values: list[str | None], least: int, more: int | None
) -> None:
    most = None if more is None else least + more
    bytes_of = [None if each is None else each.encode() for each in values]
    lists = [None if each is None else list(each) for each in values]
    said = {"column": "x", "min": least} | ({} if most is None else {"max": most})
    rules = parse_filters([{"length": said}])
    for kind, plain in (
        (pa.string(), values),
        (pa.large_string(), values),
        (pa.binary(), bytes_of),
        (pa.list_(pa.string()), lists),
        (pa.large_list(pa.string()), lists),
    ):
        batch = pa.RecordBatch.from_arrays([pa.array(plain, kind)], ["x"])
        found = select_rows(batch, np.zeros(len(plain), np.int64), rules, None)
        assert found is not None
        assert found.tolist() == [
            at
            for at, each in enumerate(plain)
            if each is not None and least <= len(each) and (most is None or len(each) <= most)
        ]


def test_rules_of_all_kinds_hold_together_and_name_their_columns() -> None:
    rules = parse_filters(
        [
            {"where": {"column": "score", "op": ">=", "value": 0.5}},
            {"label": {"deny": [2]}},
            {"length": {"column": "text", "min": 1}},
        ]
    )
    batch = pa.RecordBatch.from_pydict({"score": [0.5, 0.4, 0.9, 0.9], "text": ["a", "b", "", "d"]})
    found = select_rows(batch, np.array([1, 1, 1, 0]), rules, None)
    assert found is not None
    assert found.tolist() == [0, 3]
    assert [rule.columns() for rule in rules] == [{"score"}, set(), {"text"}]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (
            {"where": {"column": "scroe", "op": "==", "value": 1}},
            r"data\.filters\[0\]\.where.*did you mean 'score'",
        ),
        ({"length": {"column": "score", "min": 1}}, r"data\.filters\[0\]\.length: a double has no length"),
        (
            {"where": {"column": "score", "op": "==", "value": "high"}},
            r"\[0\]\.where: column 'score' is double",
        ),
        (
            {"where": {"column": "score", "op": "in", "value": ["high"]}},
            r"\[0\]\.where: column 'score' is double",
        ),
        ({"where": {"column": "score", "op": "<", "value": True}}, r"\[0\]\.where: column 'score'"),
    ],
)
def test_a_rule_that_the_columns_cannot_answer_names_its_place(rule: dict[str, Any], says: str) -> None:
    batch = pa.RecordBatch.from_pydict({"score": [0.5]})
    with pytest.raises(ConfigError, match=says):
        select_rows(batch, np.array([1]), parse_filters([rule]), None)


def test_misspelt_keys_are_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown filter lenght; did you mean 'length'"):
        parse_filters([{"lenght": {"column": "x", "min": 1}}])
    with pytest.raises(ConfigError, match=r"unknown key 'colunm'.*did you mean 'column'"):
        parse_filters([{"where": {"colunm": "x", "op": "is_null"}}])


def test_prepared_data_is_filtered_by_label_alone() -> None:
    assert parse_label_filters([{"label": {"allow": [1]}}])[0].labels == (1,)
    with pytest.raises(ConfigError, match=r"filters\[1\]: prepared data is filtered by label alone"):
        parse_label_filters([{"label": {"allow": [1]}}, {"where": {"column": "x", "op": "is_null"}}])
