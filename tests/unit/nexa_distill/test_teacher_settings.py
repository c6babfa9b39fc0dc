"""Impossible settings don't construct, and what identifies a request is what the endpoint sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from nexa_data.errors import ConfigError, RecordError
from nexa_distill.budget import Bounds, Budget, Price
from nexa_distill.classify import redact, retry_after_s
from nexa_distill.plan import Plan
from nexa_distill.request import TeacherRequest, clean_endpoint, request_key
from nexa_distill.settings import TeacherSettings

if TYPE_CHECKING:
    from pathlib import Path


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
        ({"extra_body": {"n": 2}}, "extra_body.n"),
        ({"n": 0}, "n is 0"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"resend_unknown": "perhaps"}, "resend_unknown"),
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


def test_a_budget_that_could_not_hold_is_refused_before_anything_is_sent() -> None:
    price = Price(prompt=1.0, completion=2.0)
    with pytest.raises(ConfigError, match="needs the price of m"):
        TeacherSettings(model="m", max_tokens=5, budget=Budget(max_cost=1.0))
    with pytest.raises(ConfigError, match="needs max_tokens"):
        TeacherSettings(model="m", budget=Budget(max_cost=1.0), price=price)
    with pytest.raises(ConfigError, match=r"budget\.max_requests is 0"):
        Budget(max_requests=0)
    with pytest.raises(ConfigError, match="prompt price"):
        Price(prompt=-1.0, completion=0.0)
    bounded = TeacherSettings(
        model="m", budget=Budget(max_cost=1.0), price=price, extra_body={"max_completion_tokens": 9}, n=2
    )
    assert bounded.bounds(100) == Bounds(100, 18)


def test_a_request_is_identified_by_what_is_asked_of_whom_and_by_its_sample() -> None:
    first = request_key("http://a/v1", b"{}", b"[1]")
    others = [
        request_key("http://b/v1", b"{}", b"[1]"),
        request_key("http://a/v1", b"{1}", b"[1]"),
        request_key("http://a/v1", b"{}1", b"[]"),
        request_key("http://a/v1", b"{}", b"[1]", 1),
    ]
    assert len({first, *others}) == 5
    assert len(first) == 16


def test_the_order_of_keys_in_messages_is_no_other_request(tmp_path: Path) -> None:
    turned = [{"role": "user", "content": "x"}, {"content": "x", "role": "user"}]
    requests = (TeacherRequest(row, [message]) for row, message in enumerate(turned))
    with Plan(requests, TeacherSettings(model="m"), "http://a/v1", spool_dir=tmp_path) as plan:
        second = request_key(plan.endpoint, b'{"model":"m"}', plan.request(0).asked, 1)
        assert plan.key(1) == second  # the same question, asked a second time
        assert plan.request(0).asked == plan.request(1).asked


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
