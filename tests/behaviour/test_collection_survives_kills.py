"""`kill -9` at any moment of a collection: afterwards every row is there once, and nothing was paid for twice unasked."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from collection_job import CollectionJob, prompts, run_here
from fault_proxy import (
    BROKEN_JSON,
    BUSY,
    CUT_JSON,
    DOWN,
    HANG,
    RESET_AFTER,
    RESET_BEFORE,
    SHORT_BODY,
    SOUND,
    TRICKLE,
    FaultProxy,
    faulty,
    refused,
)
from nexa_data import _core
from nexa_data.artifacts import is_complete, verify_artifact
from nexa_distill.keeper import State

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

CHANCES = dict.fromkeys(
    (BUSY, DOWN, RESET_BEFORE, RESET_AFTER, CUT_JSON, SHORT_BODY, BROKEN_JSON, TRICKLE, refused(500)), 0.03
)
ROWS = 200
ALWAYS = ("--resend-unknown", "always")


def states(job: CollectionJob) -> Counter[State]:
    """Return where the requests stand, by the journal of a process that is dead."""
    run = next(iter(job.runs()), None)
    if run is None or not (run / "journal.nexa").exists():
        return Counter()
    journal = _core.TeacherJournal(run / "journal.nexa", read_only=True)
    try:
        return Counter(State(state) for state in journal.states(job.keys()))
    finally:
        journal.close()


def stage_of(job: CollectionJob, found: Counter[State]) -> str:
    """Say how far a killed run had come."""
    if found[State.PURGED]:
        return "after the purge"
    if is_complete(job.output):
        return "published, not purged"
    if not found:
        return "planning"
    if found[State.NOTHING] == len(job.prompts):
        return "before the first request"
    return "publishing" if found[State.ANSWERED] == len(job.prompts) else "in flight"


class Moments:
    """Seeded moments of a run; each is given when the run starts, and says from then on whether it has come."""

    def __init__(self, seed: int, duration_s: float) -> None:
        self._random = random.Random(seed)  # noqa: S311 (no secret)
        self._duration_s = duration_s

    def any_time(self, _job: CollectionJob, _proxy: FaultProxy) -> Callable[[], bool]:
        end = time.perf_counter() + self._random.random() * self._duration_s
        return lambda: time.perf_counter() >= end

    def run_opened(self, job: CollectionJob, _proxy: FaultProxy) -> Callable[[], bool]:
        return lambda: bool(job.runs())

    def some_call(self, job: CollectionJob, proxy: FaultProxy) -> Callable[[], bool]:
        left = len(job.prompts) - sum(call.delivered for call in proxy.calls)
        return proxy.reached(len(proxy.calls) + self._random.randrange(1, max(2, left // 2))).is_set

    def publishing(self, job: CollectionJob, _proxy: FaultProxy) -> Callable[[], bool]:
        begun = job.output.with_name(f".{job.output.name}.partial") / "teacher_outputs.parquet"
        before = begun.stat().st_mtime_ns if begun.exists() else None
        return lambda: begun.exists() and begun.stat().st_mtime_ns != before

    def published(self, job: CollectionJob, _proxy: FaultProxy) -> Callable[[], bool]:
        return (job.output / "COMPLETE").exists


def strike(process: subprocess.Popen[str], come: Callable[[], bool]) -> bool:
    """Kill a process as soon as a moment has come; returns False if it ended by itself before."""
    while not come():
        # The moment is what is tested: it can't be waited for but by looking.
        if process.poll() is not None:
            return False
    process.kill()
    return True


def comparable(job: CollectionJob) -> list[dict[str, Any]]:
    """Return what is published without what differs between two runs: addresses (in the key), times, attempts."""
    varying = {"request_key", "latency_ms", "attempt"}
    return [{name: value for name, value in row.items() if name not in varying} for row in job.rows()]


def uninterrupted(folder: Path, seed: int) -> tuple[list[dict[str, Any]], dict[str, int], float]:
    """Return rows and counts of a run that nobody kills, and how long it takes."""
    with faulty(chances=CHANCES, seed=seed) as proxy:
        job = CollectionJob(folder, proxy.url, prompts(ROWS), retries=20)
        began = time.perf_counter()
        ended = job.run(*ALWAYS, "--json")
        duration_s = time.perf_counter() - began
    assert ended.code == 0, ended.err
    return comparable(job), ended.report["counts"], duration_s


def survive(
    folder: Path, kinds: Sequence[str], moments: Moments, seed: int
) -> tuple[Counter[str], CollectionJob]:
    """Kill one collection at each of the moments, let it end, and count what upstream was asked.

    Returns:
        At which stages it was killed, and the job.
    """
    seen: Counter[str] = Counter()
    open_at_kills = 0
    with faulty(chances=CHANCES, seed=seed) as proxy:
        job = CollectionJob(folder, proxy.url, prompts(ROWS), retries=20)
        for kind in kinds:
            with job.start(*ALWAYS) as process:
                come = getattr(moments, kind)(job, proxy)
                killed = strike(process, come)
                process.communicate(timeout=60)
            if killed:
                found = states(job)
                seen[stage_of(job, found)] += 1
                open_at_kills += found[State.OPEN]
        last = job.run(*ALWAYS, "--json")
        assert last.code == 0, last.err
        asked, lost, by_row, calls = proxy.asked, proxy.lost, proxy.asked_by_row, len(proxy.calls)
        used = sum(sum(call.usage) for call in proxy.calls)
    print(f"{dict(seen)}: {asked} upstream calls <= {ROWS} rows + {open_at_kills} in flight + {lost} lost")  # noqa: T201
    assert len(by_row) == ROWS
    assert asked <= ROWS + open_at_kills + lost
    spend = job.manifest()["spend"]
    assert spend["requests"] >= calls
    assert sum(spend.values()) - spend["requests"] >= used
    assert states(job) == {State.PURGED: ROWS}
    assert [path.name for path in job.folder.iterdir() if path.name.startswith(".")] == [".teacher-runs"]
    verify_artifact(job.output)
    return seen, job


STRIKES = (
    "any_time", "any_time", "any_time", "run_opened", "some_call", "some_call", "some_call", "publishing", "publishing",
    "published",
)  # fmt: skip


def test_after_ten_kills_every_row_is_there_once_and_only_what_was_in_flight_is_asked_twice(
    tmp_path: Path,
) -> None:
    rows, counts, duration_s = uninterrupted(tmp_path / "whole", seed=1)
    seen: Counter[str] = Counter()
    for turn in range(8):  # on a busy machine a run may end before its moment has come
        stages, job = survive(tmp_path / f"killed-{turn}", STRIKES, Moments(turn, duration_s), seed=turn)
        seen += stages
        assert comparable(job) == rows
        assert job.manifest()["counts"] == counts
        if seen.total() >= 10:
            break
    assert seen.total() >= 10
    assert "in flight" in seen


@pytest.mark.slow
def test_after_fifty_kills_at_every_stage_nothing_is_lost_torn_or_asked_for_unduly(tmp_path: Path) -> None:
    rows, counts, duration_s = uninterrupted(tmp_path / "whole", seed=1)
    seen: Counter[str] = Counter()
    for turn in range(20):
        if seen.total() >= 50:
            break
        stages, job = survive(tmp_path / f"killed-{turn}", STRIKES, Moments(turn, duration_s), seed=turn)
        seen += stages
        assert comparable(job) == rows
        assert job.manifest()["counts"] == counts
    print(f"{seen.total()} kills: {dict(seen)}")  # noqa: T201 (shown with -s)
    assert seen.total() >= 50
    assert {
        "planning",
        "before the first request",
        "in flight",
        "publishing",
        "published, not purged",
    } <= set(seen)


def kill_in_flight(job: CollectionJob, proxy: FaultProxy, answered: int, *arguments: str) -> None:
    """Kill a run after so many answers, while its next requests hang."""
    proxy.script.extend([SOUND] * answered)
    proxy.default = HANG
    reached = proxy.reached(len(proxy.calls) + answered + job.settings["concurrency"])
    with job.start(*arguments) as process:
        assert reached.wait(60)
        process.kill()
        process.communicate(timeout=60)
    proxy.default = SOUND


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    with faulty() as running:
        yield running


def test_without_a_decision_what_was_in_flight_is_listed_counted_and_not_sent_again(
    proxy: FaultProxy, tmp_path: Path
) -> None:
    job = CollectionJob(tmp_path, proxy.url, prompts(20), concurrency=3)
    kill_in_flight(job, proxy, answered=5)
    hung = sorted(job.prompts.index(call.row) for call in proxy.calls if call.fault is HANG)
    ended = run_here(job, "--json")
    assert ended.code == 4
    for row in hung:
        assert str(row) in ended.err.splitlines()[-1]
    assert [row for row, told in enumerate(job.rows()) if told["status"] == "unknown"] == hung
    assert ended.report["counts"]["ok"] == 17
    assert ended.report["spend"]["unknown_completion_tokens"] == 3 * 8
    assert ended.report["spend"]["requests"] == 20
    assert proxy.asked == 20
    assert run_here(job, "--resend-unknown", "never").code == 0
    assert proxy.asked == 20
    assert run_here(job, *ALWAYS).code == 0
    assert proxy.asked == 23
    assert {row["status"] for row in job.rows()} == {"ok"}


def test_another_output_key_label_set_or_gate_goes_on_where_the_killed_run_was(
    proxy: FaultProxy, tmp_path: Path
) -> None:
    job = CollectionJob(
        tmp_path, proxy.url, prompts(40), concurrency=3, top_logprobs=20, labels=["A", "B"], output_dir=str(tmp_path / "one")
    )  # fmt: skip
    kill_in_flight(job, proxy, 5, *ALWAYS)
    job = job.with_settings(output_dir=str(tmp_path / "two"))
    kill_in_flight(job, proxy, 5, *ALWAYS)
    job = job.with_settings(labels=["A", "B", "C"])
    kill_in_flight(job, proxy, 5, *ALWAYS)
    job = job.with_settings(filters={"max_chars": 15})
    ended = run_here(job, "--json", *ALWAYS, OPENAI_API_KEY="sk-another-0123456789abcdefghijk")
    assert ended.code == 0, ended.err
    assert len(job.runs()) == 1
    assert proxy.asked == 40 + 3 * 3
    assert ended.report["session"]["reused"] == 15
    assert [row["status"] for row in job.rows()] == ["ok"] * 10 + ["rejected"] * 30


@pytest.mark.parametrize(
    "change", [{"model": "other"}, {"temperature": 0.5}, {"template": "Say {{ prompt }}"}]
)
def test_another_question_begins_a_run_of_its_own_beside_the_killed_one(
    proxy: FaultProxy, tmp_path: Path, change: dict[str, Any]
) -> None:
    job = CollectionJob(tmp_path, proxy.url, prompts(12), concurrency=3)
    kill_in_flight(job, proxy, 5)
    (first,) = job.runs()
    source = {"prompt_column": None} if "template" in change else {}
    other = job.with_settings(**change, **source)
    ended = run_here(other, "--json", *ALWAYS)
    assert ended.code == 0, ended.err
    assert ended.report["session"]["reused"] == 0
    assert proxy.asked == 8 + 12
    assert len(other.runs()) == 2
    assert first in other.runs()
    assert run_here(job.with_settings(output_dir=str(tmp_path / "first")), *ALWAYS).code == 0
    assert proxy.asked == 8 + 12 + 7
