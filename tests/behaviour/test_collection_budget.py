"""A budget holds by the endpoint's own count, whatever is lost, repeated or killed; and a larger one goes on."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from collection_job import CollectionJob, prompts, run_here
from fault_proxy import (
    BROKEN_JSON,
    CUT_JSON,
    HANG,
    RESET_AFTER,
    RESET_BEFORE,
    SHORT_BODY,
    SOUND,
    EchoUpstream,
    faulty,
    page,
    refused,
)
from hypothesis import strategies as st

if TYPE_CHECKING:
    from fault_proxy import FaultProxy

FAULTS = (RESET_BEFORE, RESET_AFTER, CUT_JSON, SHORT_BODY, BROKEN_JSON, refused(429), refused(500), page(503))
PRICE = {"teacher": {"prompt": 3.0, "completion": 9.0}}
ROWS = 12
STOPPED = "the budget doesn't cover the worst case of another request"

budgets = st.one_of(
    st.builds(lambda tokens: {"max_tokens": tokens}, st.integers(1, 2500)),
    st.builds(lambda requests: {"max_requests": requests}, st.integers(1, 25)),
    st.builds(lambda millionths: {"max_cost": millionths / 1e6}, st.integers(1, 8000)),
    st.builds(
        lambda tokens, requests: {"max_tokens": tokens, "max_requests": requests},
        st.integers(1, 2500),
        st.integers(1, 25),
    ),
)


def assert_within(budget: dict[str, Any], proxy: FaultProxy) -> None:
    prompt = sum(call.usage[0] for call in proxy.calls)
    completion = sum(call.usage[1] for call in proxy.calls)
    assert len(proxy.calls) <= budget.get("max_requests", len(proxy.calls))
    assert prompt + completion <= budget.get("max_tokens", prompt + completion)
    assert (prompt * 3.0 + completion * 9.0) / 1e6 <= budget.get("max_cost", float("inf"))


@hypothesis.settings(max_examples=15)
@hypothesis.given(
    budget=budgets,
    share=st.sampled_from([0.0, 0.03, 0.08]),
    seed=st.integers(0, 1000),
    policies=st.lists(st.sampled_from(["always", "never", "ask"]), min_size=1, max_size=3),
)
def test_spend_never_exceeds_the_budget_by_the_endpoints_own_count(
    budget: dict[str, Any], share: float, seed: int, policies: list[str]
) -> None:
    random_usage = random.Random(seed)  # noqa: S311 (no secret)
    upstream = EchoUpstream(
        usage=lambda prompt, most: (random_usage.randint(0, len(prompt)), random_usage.randint(0, most))
    )
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            faulty(upstream.url, dict.fromkeys(FAULTS, share), seed) as proxy,
        ):
            job = CollectionJob(
                Path(folder), proxy.url, prompts(ROWS), budget=budget, prices=PRICE, concurrency=4
            )
            for policy in policies:
                ended = run_here(job, "--resend-unknown", policy)
                assert ended.code in {0, 4}, ended.err
                assert_within(budget, proxy)
            proxy.chances.clear()
            assert run_here(job.with_settings(budget={}), "--resend-unknown", "always").code == 0
            assert {row["status"] for row in job.rows()} == {"ok"}
            assert proxy.asked == ROWS + proxy.lost
    finally:
        upstream.stop()


@pytest.mark.parametrize(
    ("budget", "answered"),
    [({"max_requests": 5}, 5), ({"max_tokens": 400}, None), ({"max_cost": 0.003}, None)],
)
def test_a_used_up_budget_stops_the_run_and_a_larger_one_goes_on(
    tmp_path: Path, budget: dict[str, Any], answered: int | None
) -> None:
    with faulty() as proxy:
        job = CollectionJob(tmp_path, proxy.url, prompts(100), budget=budget, prices=PRICE, concurrency=2)
        ended = run_here(job)
        assert ended.code == 4
        assert f"the run stopped after {len(proxy.calls)} of 100 rows: {STOPPED}" in ended.err
        assert "raise the budget, then run again" in ended.err
        assert 1 < len(proxy.calls) < 100
        assert answered is None or len(proxy.calls) == answered
        assert_within(budget, proxy)
        assert not job.output.exists()
        before = len(proxy.calls)
        assert run_here(job).code == 4
        assert len(proxy.calls) <= before + 1
        larger = job.with_settings(budget={name: 1000 * most for name, most in budget.items()})
        assert run_here(larger).code == 0
        assert proxy.asked == 100


def test_what_was_in_flight_at_a_kill_counts_against_the_budget(tmp_path: Path) -> None:
    with faulty() as proxy:
        proxy.script.extend([SOUND] * 4)
        proxy.default = HANG
        job = CollectionJob(tmp_path, proxy.url, prompts(30), budget={"max_requests": 10}, concurrency=3)
        reached = proxy.reached(7)
        with job.start("--resend-unknown", "always") as process:
            assert reached.wait(60)
            process.kill()
            process.communicate(timeout=60)
        proxy.default = SOUND
        ended = run_here(job, "--resend-unknown", "always")
        assert ended.code == 4
        assert STOPPED in ended.err
        assert len(proxy.calls) == 10


def test_an_endpoint_that_counts_more_than_there_can_be_is_believed_and_ends_the_run(tmp_path: Path) -> None:
    upstream = EchoUpstream(usage=lambda _prompt, _most: (100_000, 100_000))
    try:
        job = CollectionJob(tmp_path, upstream.url, prompts(9), budget={"max_tokens": 50_000}, concurrency=1)
        ended = run_here(job)
        assert ended.code == 4
        assert STOPPED in ended.err
        # A second request may be out before the first answer is durable, and with it its count.
        assert len(upstream.calls) <= 2
    finally:
        upstream.stop()
