"""What the alternatives of a teacher's tokens say of each label."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nexa_distill.label_mass import label_mass


def said(*steps: dict[str, float]) -> tuple[list[list[tuple[bytes, float]]], list[bytes]]:
    """Return alternatives, and as sampled the first of each step."""
    top = [[(token.encode(), math.log(share)) for token, share in step.items()] for step in steps]
    return top, [step[0][0] for step in top]


CASES = {
    "one token": ([{"A": 0.6, "B": 0.3, "x": 0.1}], ["A", "B"], [0.6, 0.3]),
    "spaces add up": ([{"A": 0.6, " A": 0.2, "B": 0.1}], ["A", "B"], [0.8, 0.1]),
    "a beginning stands for its label": ([{"pos": 0.7, "neg": 0.2}], ["positive", "negative"], [0.7, 0.2]),
    "the label goes on": ([{"A\n": 0.5, "A.": 0.1, "Ab": 0.1}], ["A", "B"], [0.6, 0.0]),
    "a shared beginning is decided by the next token": (
        [{"A": 0.6, "B": 0.3}, {"1": 0.5, "2": 0.4}],
        ["A1", "A2", "B"],
        [0.3, 0.24, 0.3],
    ),
    "a shared beginning off the path is residual": ([{"B": 0.3, "A": 0.6}], ["A1", "A2", "B"], [0, 0, 0.3]),
    "three tokens deep": (
        [{"lab": 0.9}, {"el": 1.0}, {"1": 0.25, "2": 0.5}],
        ["label1", "label2"],
        [0.225, 0.45],
    ),
    "a label that begins another": ([{"no": 0.6, "yes": 0.3}], ["no", "none", "yes"], [0.6, 0, 0.3]),
    "the same, decided": (
        [{"no": 0.6, "yes": 0.3}, {"ne": 0.2, "\n": 0.8}],
        ["no", "none", "yes"],
        [0.48, 0.12, 0.3],
    ),
    "white space first": ([{" ": 0.9, "yes": 0.05}, {"no": 0.7, "yes": 0.3}], ["no", "yes"], [0.63, 0.32]),
    "none of them": ([{"x": 0.9}], ["A", "B"], [0.0, 0.0]),
    "labels beyond ASCII": ([{"é": 0.5, "è": 0.25}], ["été", "ère"], [0.5, 0.25]),
    "empty": ([], ["A", "B"], [0.0, 0.0]),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_each_label_gets_the_mass_that_is_its_own(
    case: tuple[list[dict[str, float]], list[str], list[float]],
) -> None:
    steps, labels, expected = case
    mass, residual = label_mass(*said(*steps), labels)
    assert mass == pytest.approx(expected)
    assert residual == pytest.approx(1.0 - sum(expected))


def test_a_label_cut_within_a_character_is_found_by_its_bytes() -> None:
    mass, _ = label_mass([[(b"\xc3", math.log(0.75))]], [b"\xc3"], ["é", "B"])
    assert mass == pytest.approx([0.75, 0.0])


@given(st.lists(st.tuples(st.binary(max_size=4), st.floats(-30, 0)), max_size=20), st.data())
def test_probabilities_and_residual_are_a_distribution(
    top: list[tuple[bytes, float]], data: st.DataObject
) -> None:
    sampled = data.draw(st.sampled_from([token for token, _ in top])) if top else b""
    steps, path = ([top], [sampled]) if top else ([], [])
    mass, residual = label_mass(steps, path, ["A", "AB", "b"])
    assert all(value >= 0.0 for value in mass)
    assert sum(mass) <= 1.0 + 1e-9
    assert 0.0 <= residual <= 1.0
    assert residual == pytest.approx(max(0.0, 1.0 - sum(mass)), abs=1e-9)
