"""One step with many rows, in a process of its own: `python -m benches.distill.scale_child STEP ROWS URL FOLDER`."""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import openai
from nexa_data._core import TeacherJournal
from nexa_distill.budget import Bounds
from nexa_distill.collect_teacher import TeacherRequest, TeacherSettings, collect_teacher
from nexa_distill.keeper import Kind
from nexa_distill.outputs import OUTPUT_COLUMNS
from nexa_distill.plan import Plan
from nexa_distill.run_folder import JournalPolicy, RunFolder

from benches.distill import bodies
from benches.distill.collector_child import MODEL, messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FEW, _GROUP, _BODY_BYTES, _DISTINCT = 10, 1024, 2048, 4096
_SETTINGS = TeacherSettings(model=MODEL, max_tokens=64)
_JOURNAL = "journal.nexa"


def _requests(rows: int) -> Iterator[TeacherRequest]:
    return (TeacherRequest(row, messages(row), {"id": row}) for row in range(rows))


def answer(rows: int, url: str, folder: Path) -> None:
    """Plan all rows, and write down answers to all but a few."""
    whole = bodies.small()
    before, after = whole.split(b'"content": "', 1)
    with Plan(_requests(rows), _SETTINGS, url, spool_dir=folder, reserved=OUTPUT_COLUMNS) as plan:
        bounds = Bounds(150, 64).packed()
        with RunFolder(plan, folder / "out", JournalPolicy()) as run:
            for row in range(rows - _FEW):
                run.journal.append(Kind.INTENT, plan.key(row), 1, bounds)
                body = b'%b"content": "%d: %b' % (before, row, after)
                run.journal.append(Kind.ANSWER, plan.key(row), 1, 1000, body)
                if row % _GROUP == _GROUP - 1:
                    run.journal.sync()


def resume(rows: int, url: str, folder: Path) -> None:
    """Collect: a few are asked for, all are published."""
    client = openai.AsyncOpenAI(base_url=url, api_key="no-key-is-needed-on-loopback")
    meta = collect_teacher(_requests(rows), folder / "out", client=client, settings=_SETTINGS)
    told = json.loads((meta.path / "manifest.json").read_bytes())
    assert told["counts"]["ok"] == rows
    assert told["session"]["requests"] == _FEW


def fill(rows: int, _url: str, folder: Path) -> None:
    """Write a journal of answers that compression makes no smaller."""
    chance = random.Random(bodies.SEED)  # noqa: S311 (nothing is secret here)
    made = [bodies.of_bytes(chance, _BODY_BYTES, packable=False) for _ in range(_DISTINCT)]
    journal = TeacherJournal(folder / _JOURNAL, compress=False)
    for row in range(rows):
        journal.append(Kind.ANSWER, chance.randbytes(16), 1, 1000, made[row % _DISTINCT])
        if row % _GROUP == _GROUP - 1:
            journal.sync()
    journal.close()


def opened(rows: int, _url: str, folder: Path) -> None:
    """Open that journal."""
    journal = TeacherJournal(folder / _JOURNAL)
    assert journal.totals()["answered"] == rows
    journal.close()


def _drop(file: Path) -> None:
    """Take a file's pages out of the page cache."""
    number = os.open(file, os.O_RDONLY)
    os.fsync(number)
    os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(number)


STEPS: dict[str, Callable[[int, str, Path], None]] = {
    "answer": answer,
    "resume": resume,
    "fill": fill,
    "cold": opened,
    "warm": opened,
}


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    step, rows, url, folder = sys.argv[1:]
    if step == "cold":
        _drop(Path(folder) / _JOURNAL)
    before, begun = _peak_mib(), time.perf_counter()
    STEPS[step](int(rows), url, Path(folder))
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "peak_mib": _peak_mib(), "before_mib": before}))


if __name__ == "__main__":
    main()
