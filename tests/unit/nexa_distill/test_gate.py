"""Which answers pass, and why the others don't."""

from __future__ import annotations

from typing import Any

import pytest
from nexa_data.errors import ConfigError
from nexa_distill.gate import Gate

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.parametrize(
    ("gate", "text", "reason"),
    [
        ({}, "", None),
        ({"min_chars": 3}, " ab ", "shorter than 3"),
        ({"min_chars": 3}, None, "shorter than 3"),
        ({"max_chars": 3}, "abcd", "longer than 3"),
        ({"refuse_refusals": True}, "I'm sorry, but I can't help with that.", "refusal"),
        ({"refuse_refusals": True}, "As an AI language model, I have no opinion.", "refusal"),
        ({"refuse_refusals": True}, "He said he was sorry.", None),
        ({"refuse_refusals": True, "refusals": "^NEIN"}, "nein, danke", "refusal"),
        ({"must_match": r"\d"}, "none", "doesn't match"),
        ({"must_match": [r"\d", "a"]}, "a1", None),
        ({"must_not_match": ["<think>"]}, "<think>x", "matches '<think>'"),
        ({"json_schema": SCHEMA}, "{", "not JSON"),
        ({"json_schema": SCHEMA}, '{"n": "1"}', "n breaks 'type'"),
        ({"json_schema": SCHEMA}, "{}", "the document breaks 'required'"),
        ({"json_schema": SCHEMA}, '{"n": 1}', None),
    ],
)
def test_a_filter_says_why(gate: dict[str, Any], text: str | None, reason: str | None) -> None:
    found = Gate(**gate).keeper().judge(text)
    assert (found is None) if reason is None else (found is not None and reason in found)


def test_the_first_of_equal_answers_passes() -> None:
    keeper = Gate(unique=True).keeper()
    assert [keeper.judge(text) is None for text in ("a", "b", "a", "a ", "b")] == [
        True,
        True,
        False,
        True,
        False,
    ]


def test_cut_answers_and_the_apis_own_word_of_a_refusal() -> None:
    keeper = Gate(reject_cut=True, refuse_refusals=True).keeper()
    assert keeper.judge("half", finish_reason="length") == "cut at max_tokens"
    assert keeper.judge("", refusal="I won't") == "refusal"


@pytest.mark.parametrize(
    "wrong", [{"must_match": "("}, {"refusals": "["}, {"json_schema": {"type": "nothing"}}]
)
def test_what_is_no_pattern_or_schema_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Gate(**wrong)


def test_a_gate_that_does_nothing_is_idle_and_says_nothing() -> None:
    assert Gate().idle
    assert Gate().as_dict() == {}
    assert Gate(unique=True).as_dict() == {"unique": True}
