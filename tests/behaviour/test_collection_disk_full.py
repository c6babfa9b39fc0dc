"""A disk that is full ends a collection with a clear word; what was answered before is there, and the next run goes on."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest
from collection_job import CollectionJob, prompts
from fault_proxy import faulty
from nexa_data import _core
from nexa_distill.keeper import State

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 150


@pytest.mark.parametrize("most_kib", [1, 20])
def test_a_full_disk_ends_the_run_in_order_and_the_next_goes_on(tmp_path: Path, most_kib: int) -> None:
    def no_file_above() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_kib << 10, most_kib << 10))

    with faulty() as proxy:
        job = CollectionJob(tmp_path, proxy.url, prompts(ROWS), journal={"bodies": "raw"}, concurrency=4)
        # Without byte code: the interpreter would leave torn files of its own.
        env = {"PYTHONDONTWRITEBYTECODE": "1"}
        ended = job.run("--resend-unknown", "always", before=no_file_above, env=env)
        assert ended.code == 1, ended.err
        assert "File too large" in ended.err, ended.err
        assert str(tmp_path) in ended.err
        assert "make room" in ended.err
        assert "Traceback" not in ended.err
        assert not job.output.exists()
        answered = 0
        for run in job.runs():
            journal = _core.TeacherJournal(run / "journal.nexa", read_only=True)
            states = [State(state) for state in journal.states(job.keys())]
            journal.close()
            answered += states.count(State.ANSWERED)
        again = job.run("--json", "--resend-unknown", "always")
        assert again.code == 0, again.err
        assert again.report["session"]["reused"] == answered
        assert [row["teacher_output"] for row in job.rows()] == [prompt.upper() for prompt in job.prompts]
        said = ended.err.splitlines()[-1]
        print(f"{most_kib} KiB: {answered} answers before, {proxy.asked} upstream calls; {said}")  # noqa: T201
        assert proxy.asked <= ROWS + 8
