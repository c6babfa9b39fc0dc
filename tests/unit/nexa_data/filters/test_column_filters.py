from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nexa_data.errors import ConfigError
from nexa_data.filters.columns import parse_filters, select_rows


@given(
    st.lists(st.integers(0, 12) | st.integers(0, 2**63 - 1), max_size=60),
    st.lists(st.tuples(st.booleans(), st.lists(st.integers(-2, 12), max_size=6)), min_size=1, max_size=3),
)
def test_rows_are_those_of_the_obvious_python(labels: list[int], rules: list[tuple[bool, list[int]]]) -> None:
    parsed = parse_filters([{"label": {"deny" if deny else "allow": wanted}} for deny, wanted in rules])
    found = select_rows(np.array(labels, np.int64), parsed, None)
    assert found is not None
    assert found.tolist() == [
        at for at, label in enumerate(labels) if all((label in wanted) != deny for deny, wanted in rules)
    ]


def test_without_a_rule_nothing_is_selected_and_nothing_copied() -> None:
    assert select_rows(np.array([1, 2]), [], None) is None


def test_names_are_looked_up_among_the_classes() -> None:
    rules = parse_filters([{"label": {"allow": ["dog", 2]}}])
    found = select_rows(np.array([0, 1, 2, 1]), rules, ("cat", "dog", "eel"))
    assert found is not None
    assert found.tolist() == [1, 2, 3]


def test_a_name_that_is_no_class_is_refused_with_the_nearest() -> None:
    rules = parse_filters([{"label": {"allow": ["dgo"]}}])
    with pytest.raises(ConfigError, match="no class 'dgo'; did you mean 'dog'"):
        select_rows(np.array([0]), rules, ("cat", "dog"))
    with pytest.raises(ConfigError, match="integers only"):
        select_rows(np.array([0]), rules, None)


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
    ],
)
def test_a_malformed_filter_is_refused_with_its_number(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"data\.filters\[1\].*"):
        parse_filters([{"label": {"allow": [1]}}, wrong])
