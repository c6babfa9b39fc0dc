"""How fast and how patiently a collection asks: limits that are found, pauses that are kept, outages that are waited for."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from collection_job import CollectionJob, prompts, run_here
from fault_proxy import DOWN, RESET_BEFORE, SOUND, EchoUpstream, Fault, faulty, refused
from nexa_distill.rate_limits import RateLimits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fault_proxy import FaultProxy


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    with faulty() as running:
        yield running


def assert_all_right(job: CollectionJob) -> None:
    assert [row["teacher_output"] for row in job.rows()] == [prompt.upper() for prompt in job.prompts]


@pytest.mark.parametrize("most", [3, 12])
def test_the_number_of_requests_in_flight_settles_near_what_the_endpoint_bears(
    proxy: FaultProxy, tmp_path: Path, most: int
) -> None:
    proxy.most_at_once = most
    proxy.work_s = 0.02
    job = CollectionJob(tmp_path, proxy.url, prompts(200), retries=20)
    ended = run_here(job, "--json")
    assert ended.code == 0, ended.err
    assert_all_right(job)
    assert proxy.asked == 200
    second_half = proxy.calls[len(proxy.calls) // 2 :]
    refusals = sum(not call.asked for call in second_half) / len(second_half)
    print(f"at most {most}: {len(proxy.calls) - 200} refusals, {refusals:.0%} of the second half")  # noqa: T201
    assert refusals < 0.25
    assert proxy.most_working >= most - 1


def test_nothing_is_sent_while_the_endpoint_asks_to_wait(proxy: FaultProxy, tmp_path: Path) -> None:
    proxy.gather = 4
    proxy.script.extend([refused(429, retry_after="1"), *[refused(429, retry_after_ms="1000")] * 3])
    job = CollectionJob(tmp_path, proxy.url, prompts(30), concurrency=4)
    ended = run_here(job, "--json")
    assert ended.code == 0, ended.err
    assert_all_right(job)
    assert (len(proxy.calls), proxy.asked) == (34, 30)
    first, then = proxy.calls[:4], proxy.calls[4:]
    assert min(call.arrived_at for call in then) - max(call.arrived_at for call in first) >= 0.99


def test_a_pause_holds_for_all_rows_even_if_the_row_that_was_told_so_has_no_attempt_left(
    proxy: FaultProxy, tmp_path: Path
) -> None:
    proxy.script.extend([SOUND, refused(429, retry_after="1")])
    job = CollectionJob(tmp_path, proxy.url, prompts(4), concurrency=1, retries=0)
    assert run_here(job).code == 0
    assert [row["status"] for row in job.rows()] == ["ok", "failed", "ok", "ok"]
    assert proxy.calls[2].arrived_at - proxy.calls[1].arrived_at >= 0.99


def test_a_pause_that_is_too_long_stops_the_run_which_goes_on_later(
    proxy: FaultProxy, tmp_path: Path
) -> None:
    proxy.script.extend([SOUND, refused(429, retry_after="3600")])
    job = CollectionJob(tmp_path, proxy.url, prompts(4), concurrency=1)
    ended = run_here(job)
    assert ended.code == 4
    assert "it asks to wait 3600 s" in ended.err
    assert len(proxy.calls) == 2
    assert run_here(job).code == 0
    assert proxy.asked == 4


def test_a_window_that_is_a_fixed_one_is_used_again_when_it_begins_anew() -> None:
    # 60 requests a minute, told as "so many left, and so long until the window ends".
    limits = RateLimits(None, None, now=0.0)
    now = 0.0
    for number in range(300):
        now += limits.wait_s(1.0, now)
        limits.take(1.0, now)
        left = max(0, 59 - number % 60)
        headers = {"limit": "60", "remaining": str(left), "reset": f"{max(1.0, 60 - now % 60):.0f}s"}
        limits.hear({f"x-ratelimit-{name}-requests": value for name, value in headers.items()}, now)
    assert now < 600


@pytest.mark.parametrize(
    ("rows", "patience"), [(2, {"outage_s": 1}), pytest.param(50, {}, marks=pytest.mark.slow)]
)
def test_an_endpoint_that_is_not_there_ends_the_run_soon_and_resumably(
    tmp_path: Path, rows: int, patience: dict[str, int]
) -> None:
    upstream = EchoUpstream()
    upstream.vanish()
    try:
        job = CollectionJob(tmp_path, upstream.url, prompts(rows), **patience)
        began = time.monotonic()
        ended = run_here(job)
        took_s = time.monotonic() - began
        assert ended.code == 4, ended.err
        assert "the endpoint hasn't answered a single request" in ended.err
        assert "connection failed (Connection refused)" in ended.err
        print(f"{rows} rows: stopped after {took_s:.1f} s")  # noqa: T201 (shown with -s)
        assert took_s < 20
        upstream.listen()
        assert run_here(job).code == 0
        assert len(upstream.calls) == rows
    finally:
        upstream.stop()


@pytest.mark.parametrize("retries", [0, 5])
def test_an_endpoint_that_vanishes_and_comes_back_costs_no_row(
    proxy: FaultProxy, tmp_path: Path, retries: int
) -> None:
    job = CollectionJob(tmp_path, proxy.url, prompts(200), retries=retries, concurrency=4)

    def outage() -> None:
        assert gone.wait(60)
        proxy.vanish()
        assert back.wait(2) is False  # the outage itself: longer than all waits of a row together
        proxy.listen()

    gone, back = proxy.reached(60), threading.Event()
    thread = threading.Thread(target=outage)
    thread.start()
    ended = run_here(job, "--json", "--resend-unknown", "always")
    thread.join()
    assert ended.code == 0, ended.err
    statuses = [row["status"] for row in job.rows()]
    # Without attempts left, what was in flight when the connections broke stays unknown; no row fails.
    assert statuses.count("ok") >= (200 if retries else 196)
    assert "failed" not in statuses


@pytest.mark.parametrize("fault", [DOWN, RESET_BEFORE], ids=lambda fault: fault.name)
@pytest.mark.parametrize("work_s", [0.0, 0.3])
def test_a_gateway_that_fails_for_a_while_costs_no_row(
    proxy: FaultProxy, tmp_path: Path, fault: Fault, work_s: float
) -> None:
    proxy.work_s = work_s  # what is under way then is answered long after the first refusals
    # A few more than make it count as down: from then on one probe at a time goes out, at growing distances.
    proxy.script.extend([*[SOUND] * 50, *[fault] * 24])
    job = CollectionJob(tmp_path, proxy.url, prompts(200), retries=2)
    ended = run_here(job, "--json", "--resend-unknown", "always")
    assert ended.code == 0, ended.err
    assert_all_right(job)
    assert (len(proxy.calls), proxy.asked) == (224, 200)


def test_an_outage_that_lasts_ends_the_run_with_its_length_and_the_first_fault(
    proxy: FaultProxy, tmp_path: Path
) -> None:
    proxy.script.extend([SOUND] * 30)
    proxy.default = DOWN
    job = CollectionJob(tmp_path, proxy.url, prompts(200), outage_s=2)
    ended = run_here(job)
    assert ended.code == 4
    assert "the run stopped after 30 of 200 rows: the endpoint hasn't answered for" in ended.err
    assert "the first: status 503" in ended.err
    assert not job.output.exists()
    proxy.default = SOUND
    assert run_here(job).code == 0
    assert_all_right(job)
    assert proxy.asked == 200
