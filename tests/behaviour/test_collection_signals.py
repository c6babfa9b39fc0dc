"""Ctrl-C and a scheduler's stop end a collection at once, keep what arrives in time, and the same command goes on."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest
from collection_job import CollectionJob, prompts, run_here
from fault_proxy import HANG, HELD, SOUND, faulty

if TYPE_CHECKING:
    from pathlib import Path

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_stop_ends_hanging_requests_at_once_and_the_next_run_goes_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    with faulty() as proxy:
        proxy.script.extend([SOUND] * 6)
        proxy.default = HANG
        job = CollectionJob(tmp_path, proxy.url, prompts(20), concurrency=3)
        reached = proxy.reached(9)
        with job.start("--json") as process:
            assert reached.wait(60)
            began = time.monotonic()
            process.send_signal(number)
            _, err = process.communicate(timeout=30)
            took_s = time.monotonic() - began
        print(f"{number.name}: ended after {took_s:.2f} s")  # noqa: T201 (shown with -s)
        assert took_s < 5
        assert process.returncode == 4
        assert "interrupted: what was answered is kept" in err
        assert "Traceback" not in err
        proxy.default = SOUND
        ended = run_here(job, "--json", "--resend-unknown", "always")
        assert ended.code == 0
        assert ended.report["session"]["reused"] == 6
        assert proxy.asked == 20 + 3
        assert ended.report["spend"]["unknown_completion_tokens"] == 3 * 8


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_answers_that_arrive_within_the_second_of_grace_are_kept(
    tmp_path: Path, number: signal.Signals
) -> None:
    with faulty() as proxy:
        proxy.script.extend([SOUND] * 6)
        proxy.default = HELD
        job = CollectionJob(tmp_path, proxy.url, prompts(20), concurrency=3)
        reached = proxy.reached(9)
        with job.start() as process:
            assert reached.wait(60)
            process.send_signal(number)
            proxy.release()
            process.communicate(timeout=30)
        assert process.returncode == 4
        ended = run_here(job, "--json")
        assert ended.code == 0, ended.err
        assert ended.report["session"]["reused"] >= 9
        assert proxy.asked == 20
