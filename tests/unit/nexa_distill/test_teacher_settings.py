"""Impossible settings don't construct, and what identifies a request is what the endpoint sees."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from nexa_data.errors import ConfigError, RecordError
from nexa_distill.answer import BrokenAnswerError, parse_answer
from nexa_distill.classify import redact, retry_after_s
from nexa_distill.request import TeacherRequest, clean_endpoint, request_key
from nexa_distill.settings import TeacherSettings


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": ""}, "model"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"concurrency": 0}, "concurrency"),
        ({"timeout_s": 0.0}, "timeout_s"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"labels": ("A", " A")}, "labels"),
        ({"labels": ("A",)}, "labels"),
        ({"labels": ("A", " ")}, "labels"),
        ({"labels": "AB"}, "labels"),
        ({"labels": ("A", "B"), "top_logprobs": 0}, "top_logprobs"),
        ({"extra_body": {"stream": True}}, "extra_body.stream"),
        ({"extra_body": {"temperature": 1}}, "extra_body.temperature"),
    ],
)
def test_an_impossible_setting_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        TeacherSettings(**{"model": "m", **changes})


def test_labels_ask_for_all_alternatives_unless_told_otherwise() -> None:
    assert TeacherSettings(model="m", labels=("A", "B")).parameters() == {
        "logprobs": True,
        "top_logprobs": 20,
    }
    assert TeacherSettings(model="m", labels=("A", "B"), top_logprobs=5).parameters()["top_logprobs"] == 5


def test_a_request_is_identified_by_its_content_not_by_the_order_of_its_keys() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    same = {"messages": [{"content": "x", "role": "user"}], "model": "m"}
    assert request_key("http://a/v1", body) == request_key("http://a/v1", same)
    others = [
        request_key("http://b/v1", body),
        request_key("http://a/v1", {**body, "seed": 1}),
        request_key("http://a/v1", body, 1),
    ]
    assert len({request_key("http://a/v1", body), *others}) == 4


@pytest.mark.parametrize("messages", [[], "text", [{"content": "x"}], [["user", "x"]], {"role": "user"}])
def test_what_is_no_list_of_messages_is_refused_with_its_row(messages: Any) -> None:
    with pytest.raises(RecordError, match="row 7"):
        TeacherRequest(7, messages)


def test_credentials_in_the_endpoint_are_not_part_of_it() -> None:
    assert clean_endpoint("https://me:secret@host/v1/?key=secret#x") == "https://host/v1"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
def test_a_wait_is_read_from_either_header(headers: dict[str, str], wait: float | None) -> None:
    assert retry_after_s(headers) == wait


def test_keys_are_hidden_by_value_and_by_look_but_placeholders_are_no_secret() -> None:
    assert redact("key abcdefgh12 used", ["abcdefgh12"]) == "key [redacted] used"
    assert redact("Incorrect key: sk-proj-abc123def456", []) == "Incorrect key: [redacted]"
    assert redact("none of them", ["none"]) == "none of them"


def test_the_sampled_token_counts_among_the_alternatives_though_the_endpoint_leaves_it_out() -> None:
    logprobs = {
        "content": [{"token": "B", "logprob": -3.0, "top_logprobs": [{"token": "A", "logprob": -0.125}]}]
    }
    body = orjson.dumps({"choices": [{"message": {"content": "B"}, "logprobs": logprobs}]})
    assert parse_answer(body, latency_ms=1.0, attempt=1).first_token() == [("A", -0.125), ("B", -3.0)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"choices": 3}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": {"content": [1]}}]}',
    ],
)
def test_a_body_that_is_no_answer_is_broken_not_a_crash(body: bytes) -> None:
    with pytest.raises(BrokenAnswerError):
        parse_answer(body, latency_ms=1.0, attempt=1)
