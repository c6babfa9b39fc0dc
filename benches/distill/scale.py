"""What many rows cost: a million prompts planned, answered, resumed and published, and a journal of a million answers opened.

- Each step is a process of its own; its peak of memory is the kernel's (`getrusage`), everything in it.
- Planned and answered: `Plan` over prompts of some 150 bytes, then an intent and an answer of some 800 bytes for each row but the last few, written to the
  run's journal straight, 1,024 rows a sync: asking for them takes no other memory, but time.
- Resumed: `collect_teacher` with the same prompts. It plans, finds what is answered, asks the server for the few, writes and publishes all.
- Opened: a journal of answers of 2 KB that compression makes no smaller, its pages dropped from the page cache before (cold) or just read (warm).

By default a tenth of the million; `--large` is all of it, and needs 6 GB of disk.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benches.distill import server
from benches.filter.table import rows as markdown

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

ROWS = 1_000_000
SAID = {
    "answer": "planned and answered",
    "resume": "resumed and published",
    "cold": "journal of 2 KB bodies opened, cold",
    "warm": "the same, warm",
}


def measure(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return rows, and step → what its runs found."""
    rows = ROWS if chosen.large else ROWS // (200 if chosen.quick else 10)
    found: dict[str, Any] = {"rows": rows, "steps": {step: [] for step in SAID}}
    for number in range(1 if chosen.large else chosen.rounds):
        for steps in (("answer", "resume"), ("fill", "cold", "warm")):
            work = folder / "work"
            shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
            work.mkdir(parents=True)
            try:
                with server.running("small") as url:
                    for step in steps:
                        told = _run(step, rows, url, work)
                        found["steps"].setdefault(step, []).append(told)
                        print(f"round {number + 1}, {step}: {told}", file=sys.stderr)
            finally:
                shutil.rmtree(work)
    return found


def _run(step: str, rows: int, url: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benches.distill.scale_child", step, str(rows), url, str(folder)]
    done = subprocess.run(command, cwd=server.ROOT, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, float] = json.loads(done.stdout)
    return told


def table(found: dict[str, Any]) -> str:
    """Return a row a step."""
    head = [f"{found['rows']:,} rows", "s", "peak memory, MiB", "of it before, MiB"]
    lines = []
    for step, said in SAID.items():
        runs = found["steps"][step]
        cells = [
            f"{statistics.median(run[name] for run in runs):,.1f}"
            for name in ("seconds", "peak_mib", "before_mib")
        ]
        lines.append([f"**{said}**", *cells])
    return markdown(head, lines)
