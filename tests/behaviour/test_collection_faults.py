"""Each fault of an endpoint has its meaning: asked again, unknown, a failed row, or the end of the run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from collection_job import CollectionJob, prompts, run_here
from fault_proxy import (
    BAD_GZIP,
    BROKEN_JSON,
    CLOSED_UNDER_CLIENT,
    CUT_JSON,
    ENDLESS_TRICKLE,
    HANG,
    NO_HTTP,
    RESET_AFTER,
    RESET_BEFORE,
    SHORT_BODY,
    SOUND,
    TRICKLE,
    EchoUpstream,
    Fault,
    faulty,
    page,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fault_proxy import FaultProxy

FREE = [
    refused(429),
    refused(429, retry_after="0"),
    refused(429, retry_after_ms="5"),
    refused(429, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"),
    refused(429, x_ratelimit_limit_requests="-1", x_ratelimit_remaining_requests="-1"),
    refused(429, x_ratelimit_limit_requests="0", x_ratelimit_remaining_requests="0"),
    refused(
        429, x_ratelimit_limit_tokens="nan", x_ratelimit_remaining_tokens="", x_ratelimit_reset_tokens="soon"
    ),
    refused(408),
    refused(500),
    refused(503, retry_after="0"),
    page(429),
    page(500),
    page(502),
    page(503),
]
"""Faults before the endpoint did any work."""

LOST = [RESET_AFTER, CUT_JSON, SHORT_BODY, BROKEN_JSON, BAD_GZIP, NO_HTTP]
"""Faults after upstream answered, and was paid."""


def names(fault: Fault) -> str:
    extra = "".join(f" {name}={value}" for name, value in fault.headers.items() if name != "content-type")
    return fault.name + extra


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    with faulty() as running:
        yield running


@pytest.fixture
def job(proxy: FaultProxy, tmp_path: Path) -> CollectionJob:
    return CollectionJob(tmp_path, proxy.url, prompts(4), concurrency=1)


def statuses(job: CollectionJob) -> list[str]:
    return [row["status"] for row in job.rows()]


def assert_all_right(job: CollectionJob) -> None:
    assert [row["teacher_output"] for row in job.rows()] == [prompt.upper() for prompt in job.prompts]
    assert set(statuses(job)) == {"ok"}


@pytest.mark.parametrize("fault", FREE, ids=names)
def test_a_refusal_for_now_is_asked_again_and_costs_nothing(
    proxy: FaultProxy, job: CollectionJob, fault: Fault
) -> None:
    proxy.script.append(fault)
    ended = run_here(job, "--json")
    assert ended.code == 0, ended.err
    assert_all_right(job)
    assert (len(proxy.calls), proxy.asked) == (5, 4)
    assert ended.report["session"]["lost"] == 0
    assert ended.report["spend"]["unknown_completion_tokens"] == 0


@pytest.mark.parametrize("fault", [*LOST, RESET_BEFORE], ids=names)
def test_a_lost_answer_is_unknown_and_spent_until_somebody_says_to_ask_again(
    proxy: FaultProxy, job: CollectionJob, fault: Fault
) -> None:
    proxy.script.extend([SOUND, fault])
    for _ in range(2):
        ended = run_here(job, "--json")
        assert ended.code == 4
        assert "rows without an answer (from 0): 1;" in ended.err
        assert statuses(job) == ["ok", "unknown", "ok", "ok"]
        assert ended.report["spend"]["unknown_completion_tokens"] == 8
        assert len(proxy.calls) == 4
    assert run_here(job, "--resend-unknown", "never").code == 0
    assert len(proxy.calls) == 4
    assert run_here(job, "--resend-unknown", "always").code == 0
    assert_all_right(job)
    assert (len(proxy.calls), proxy.asked) == (5, 4 + proxy.lost)


@pytest.mark.parametrize("fault", [*LOST, RESET_BEFORE], ids=names)
def test_a_lost_answer_is_asked_for_again_at_once_under_always(
    proxy: FaultProxy, job: CollectionJob, fault: Fault
) -> None:
    proxy.script.extend([SOUND, fault])
    ended = run_here(job, "--json", "--resend-unknown", "always")
    assert ended.code == 0, ended.err
    assert_all_right(job)
    assert (len(proxy.calls), proxy.asked) == (5, 4 + proxy.lost)
    assert ended.report["session"]["lost"] == 1


@pytest.mark.parametrize("fault", [HANG, ENDLESS_TRICKLE], ids=names)
def test_an_answer_that_takes_too_long_is_given_up_counted_and_asked_for_again(
    proxy: FaultProxy, job: CollectionJob, fault: Fault
) -> None:
    proxy.script.extend([SOUND, fault])
    ended = run_here(job.with_settings(timeout_s=0.5), "--json")
    assert ended.code == 0, ended.err
    assert_all_right(job)
    assert (len(proxy.calls), proxy.asked) == (5, 5)
    assert ended.report["session"]["lost"] == 1
    assert ended.report["spend"]["unknown_completion_tokens"] == 8


@pytest.mark.parametrize("fault", [TRICKLE, CLOSED_UNDER_CLIENT], ids=names)
def test_slow_bodies_and_closed_connections_cost_no_answer(
    proxy: FaultProxy, job: CollectionJob, fault: Fault
) -> None:
    proxy.default = fault
    ended = run_here(job, "--json", "--resend-unknown", "always")
    assert ended.code == 0, ended.err
    assert_all_right(job)
    # A connection may be closed just as it is used again: then, and only then, its answer is lost.
    assert proxy.asked <= 4 + ended.report["session"]["lost"]


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_row_that_the_endpoint_rejects_fails_and_no_other(
    proxy: FaultProxy, job: CollectionJob, status: int
) -> None:
    proxy.rows[job.prompts[2]] = refused(status, "context too long")
    ended = run_here(job, "--json")
    assert ended.code == 0, ended.err
    assert statuses(job) == ["ok", "ok", "failed", "ok"]
    assert job.rows()[2]["error"] == f"status {status}: context too long"
    assert (len(proxy.calls), proxy.asked) == (4, 3)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (refused(401, "bad key"), "check OPENAI_API_KEY"),
        (refused(403, "no right"), "check OPENAI_API_KEY"),
        (refused(429, "quota gone", code="insufficient_quota"), "the quota is used up"),
        (refused(402, "pay"), "the quota is used up"),
        (refused(307, location="http://elsewhere/"), "redirects to http://elsewhere/"),
    ],
)
def test_a_refused_key_and_a_used_up_quota_stop_the_run_which_goes_on_later(
    proxy: FaultProxy, job: CollectionJob, fault: Fault, says: str
) -> None:
    proxy.script.extend([SOUND, SOUND])
    proxy.default = fault
    ended = run_here(job)
    assert ended.code == 1
    assert "the run stopped after 2 of 4 rows" in ended.err
    assert says in ended.err
    assert len(proxy.calls) == 3
    proxy.default = SOUND
    assert run_here(job).code == 0
    assert_all_right(job)
    assert proxy.asked == 4


def test_an_answer_cut_at_max_tokens_is_kept_and_flagged(tmp_path: Path) -> None:
    upstream = EchoUpstream(finish_reason="length")
    try:
        job = CollectionJob(tmp_path, upstream.url, prompts(3))
        ended = run_here(job, "--json")
    finally:
        upstream.stop()
    assert ended.code == 0
    assert_all_right(job)
    assert {row["finish_reason"] for row in job.rows()} == {"length"}
    assert ended.report["counts"]["length"] == 3


@pytest.mark.parametrize("fault", [refused(400), refused(500), page(503), BROKEN_JSON], ids=names)
def test_rows_that_always_fail_never_stop_the_run(tmp_path: Path, fault: Fault) -> None:
    with faulty() as proxy:
        job = CollectionJob(tmp_path, proxy.url, prompts(100), retries=4, outage_s=2)
        bad = job.prompts[5::10]
        proxy.rows.update(dict.fromkeys(bad, fault))
        ended = run_here(job, "--json", "--resend-unknown", "always")
    assert ended.code == 0, ended.err
    assert statuses(job).count("ok") == 90
    assert [row["prompt"] for row in job.rows() if row["status"] != "ok"] == bad
    assert ended.report["session"]["requests"] == 90 + sum(call.row in bad for call in proxy.calls)


def test_a_real_teacher_behind_faults_says_what_it_says_without_them(
    teacher_url: str, reference: list[dict[str, Any]], tmp_path: Path
) -> None:
    asked = [item["input"] for item in reference]
    with faulty(teacher_url, dict.fromkeys([*FREE[-3:], *LOST, RESET_BEFORE], 0.06), seed=5) as proxy:
        job = CollectionJob(
            tmp_path,
            proxy.url,
            asked,
            model="tiny",
            max_tokens=1,
            labels=["A", "B"],
            temperature=1.0,
            retries=20,
        )
        ended = run_here(job, "--json", "--resend-unknown", "always")
    assert ended.code == 0, ended.err
    assert proxy.asked == len(asked) + proxy.lost
    assert proxy.lost
    for item, row in zip(reference, job.rows(), strict=True):
        share = item["p_A_model"] / (item["p_A_model"] + item["p_B_model"])
        assert row["label_probs"][0] / sum(row["label_probs"]) == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize(
    ("rows", "hangs"), [(500, {}), pytest.param(3000, {HANG: 0.005}, marks=pytest.mark.slow)]
)
def test_many_rows_through_every_fault_end_in_one_artifact(
    tmp_path: Path, rows: int, hangs: dict[Fault, float]
) -> None:
    faults = [*LOST, RESET_BEFORE, TRICKLE, CLOSED_UNDER_CLIENT, refused(500), page(502), refused(408)]
    chances = dict.fromkeys(faults, 0.05) | {refused(429, retry_after_ms="5"): 0.05, page(503): 0.05} | hangs
    with faulty(chances=chances, seed=3) as proxy:
        job = CollectionJob(tmp_path, proxy.url, prompts(rows), retries=40, timeout_s=2)
        ended = run_here(job, "--json", "--resend-unknown", "always")
    assert ended.code == 0, ended.err[-2000:]
    assert_all_right(job)
    session = ended.report["session"]
    print(json.dumps({"upstream": proxy.asked, "lost": proxy.lost, **proxy.faults, "session": session}))  # noqa: T201
    # A request on a connection that is closed just then never arrives.
    assert (
        len(proxy.calls) <= session["requests"] <= len(proxy.calls) + proxy.faults["closed under the client"]
    )
    # What upstream was asked beyond once a row was lost on the way, and the collector knows of it.
    assert rows + proxy.lost <= proxy.asked <= rows + session["lost"]
    assert [path.name for path in job.runs()[0].parent.iterdir()] == [job.manifest()["run"]]
