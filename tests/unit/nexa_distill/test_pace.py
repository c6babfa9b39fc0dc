"""How fast requests go out: by the endpoint's word, the user's limits, and what comes back. The clock is a number."""

from __future__ import annotations

import pytest
from nexa_distill.breaker import Breaker
from nexa_distill.concurrency import Concurrency
from nexa_distill.rate_limits import RateLimits, reset_s
from nexa_distill.rows import Rows


def test_a_limit_per_minute_is_held_over_any_minute() -> None:
    limits = RateLimits(120, None, now=0.0)
    sent = []
    now = 0.0
    while len(sent) < 500:
        wait_s = limits.wait_s(10, now)
        if wait_s == 0.0:
            limits.take(10, now)
            sent.append(now)
        now += max(wait_s, 1e-3)
    most = max(sum(at <= other < at + 60 for other in sent) for at in sent)
    assert 118 <= most <= 123


def test_tokens_are_held_too_and_given_back_where_they_were_not_used() -> None:
    limits = RateLimits(None, 600, now=0.0)
    assert limits.wait_s(10, 0.0) == 0.0
    limits.take(10, 0.0)
    assert limits.wait_s(10, 0.0) == pytest.approx(1.0)
    limits.settle(8, 0.0)
    assert limits.wait_s(10, 0.0) == pytest.approx(0.2)
    assert limits.wait_s(10_000, 0.0) == pytest.approx(
        0.2
    )  # larger than a burst: as soon as the bucket is full


def test_the_endpoints_headers_are_a_bucket_of_their_own() -> None:
    limits = RateLimits(None, None, now=0.0)
    limits.hear(
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "30s",
        },
        0.0,
    )
    assert 0.0 < limits.wait_s(1, 0.0) <= 1.0
    assert limits.wait_s(1, 2.0) == 0.0


@pytest.mark.parametrize("limit", ["-1", "0", "", "many", "nan", None])
def test_a_limit_that_says_nothing_limits_nothing(limit: str | None) -> None:
    limits = RateLimits(None, None, now=0.0)
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1h"}
    if limit is not None:
        headers["x-ratelimit-limit-requests"] = limit
    limits.hear(headers, 0.0)
    limits.hear({"x-ratelimit-limit-tokens": "100", "x-ratelimit-remaining-tokens": "-1"}, 0.0)
    assert limits.wait_s(1e9, 0.0) == 0.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0),
        ("1h2m3.5s", 3600.0),
        ("20ms", 0.02),
        ("0", 0.0),
        ("-5", None),
        ("x", None),
        (None, None),
    ],
)
def test_durations_are_read_as_endpoints_write_them(text: str | None, seconds: float | None) -> None:
    assert reset_s(text) == seconds


def test_concurrency_grows_to_its_cap_and_halves_once_per_complaint_of_a_round() -> None:
    limit = Concurrency(64)
    for _ in range(200):
        limit.success()
    assert limit.limit == 64
    sent = [limit.send(1.0) for _ in range(10)]
    assert limit.in_flight == 10
    for at in sent:
        limit.complaint(at, now=2.0)
        limit.done()
    assert (limit.limit, limit.in_flight) == (32, 0)
    limit.complaint(limit.send(3.0), now=4.0)
    assert limit.limit == 16
    for _ in range(16):
        limit.success()
    assert limit.limit in {16, 17}  # about one more per round
    for _ in range(20):
        limit.complaint(limit.send(limit.in_flight + 5.0), now=limit.in_flight + 5.5)
    assert limit.limit == 1


def test_the_breaker_probes_less_and_less_often_and_gives_up() -> None:
    breaker = Breaker(3, 60.0)
    breaker.success(sent_at=-1.0)
    for at in (0.0, 0.1, 0.2):
        assert not breaker.open
        breaker.failure(at)
    assert breaker.open
    assert breaker.wait_s(0.2, in_flight=1) is None
    now, probes = 0.2, []
    while breaker.gave_up(now) is None:
        wait_s = breaker.wait_s(now, in_flight=0)
        assert wait_s is not None
        now += max(wait_s, 0.01)
        probes.append(now)
        breaker.failure(now)
    assert 60 <= now < 80
    assert len(probes) < 12
    breaker.success(sent_at=now)
    assert not breaker.open
    assert breaker.gave_up(1e9) is None


def test_an_answer_to_what_was_sent_before_a_failure_is_no_sign_that_it_is_over() -> None:
    breaker = Breaker(3, 60.0)
    assert not breaker.failing
    breaker.failure(1.0)
    breaker.success(sent_at=0.5)
    assert breaker.failing
    breaker.success(sent_at=1.5)
    breaker.success(sent_at=0.6)  # a late one takes nothing back
    assert not breaker.failing


def test_an_endpoint_that_never_answered_is_given_up_soon() -> None:
    breaker = Breaker(1, 600.0)
    breaker.failure(0.0)
    assert breaker.gave_up(9.0) is None
    assert "hasn't answered a single request" in str(breaker.gave_up(11.0))


def test_rows_that_wait_come_before_fresh_ones_when_they_are_due() -> None:
    rows = Rows(iter(range(3)), most_waiting=2)
    first = rows.peek(0.0)
    assert first is not None
    rows.take(first)
    rows.again(first.index, 1, due=5.0)
    second = rows.peek(1.0)
    assert second is not None
    assert (second.index, rows.wait_s(1.0)) == (1, 4.0)
    due = rows.peek(5.0)
    assert due is not None
    assert (due.index, due.tries) == (0, 1)
    rows.again(7, 1, due=9.0)
    assert rows.peek(1.0) is None  # two wait: no fresh row is begun
    rows.take(due)
    assert not rows.empty
