"""The collector beside the official client's loop and a bare client, against a server on this machine.

- The server is a process of its own that reads a request's length and writes an answer that was ready: an answer of some 800 bytes, or one
  of 64 tokens with 20 alternatives each (some 100 KB). What server and machine can do is what a
  bare client reaches: aiohttp posts, nothing is parsed, nothing kept. Beside it one that parses with orjson.
- The loop is what most scripts are: `AsyncOpenAI`, a semaphore of 64, `gather`, answers read as objects. Nothing of it is on disk.
- Ours is the whole `collect_teacher`, 64 at once, everything on: each request written down and durable before it is sent, each answer durable
  before it is read, then the artifact written and published. "While asking" is what its manifest says of the asking alone.
- Each run is a process of its own that asked for 64 rows before time is taken. CPU is the process's, threads and kernel included. The loop asks for a
  quarter of the rows. A round is a run of each; ratios are of pairs within a round.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benches.distill import server
from benches.distill.collector_child import CONTESTANTS, LOOP, OURS, UNREAD
from benches.filter.table import rows as markdown

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

ROWS = {"small": 6000, "logprobs": 1200}
SAID = {"small": "short answers", "logprobs": "64 tokens × top 20"}
_LOOP_SHARE = 4


def measure(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return kind → contestant → what each of its runs found."""
    found: dict[str, Any] = {kind: {name: [] for name in CONTESTANTS} for kind in server.BODIES}
    for kind, runs in found.items():
        rows = ROWS[kind] // (10 if chosen.quick else 1)
        with server.running(kind) as url:
            for number in range(chosen.rounds):
                for name in runs:
                    asked = rows // (_LOOP_SHARE if name == LOOP else 1)
                    runs[name].append(_run(name, kind, url, asked, folder / "work"))
                    rate = asked / runs[name][-1]["seconds"]
                    print(f"round {number + 1}, {SAID[kind]}, {name}: {rate:,.0f} rows/s", file=sys.stderr)
    return found


def _run(name: str, kind: str, url: str, rows: int, folder: Path) -> dict[str, float]:
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    folder.mkdir(parents=True)
    command = [
        sys.executable,
        "-m",
        "benches.distill.collector_child",
        name,
        kind,
        url,
        str(rows),
        str(folder),
    ]
    try:
        done = subprocess.run(command, cwd=server.ROOT, check=True, stdout=subprocess.PIPE, text=True)
    finally:
        shutil.rmtree(folder)
    return {"rows": rows, **json.loads(done.stdout)}


def table(found: dict[str, Any]) -> str:
    """Return rates, CPU and ratios of each contestant."""
    head = ["", "rows/s", "while asking", "CPU, ms a row", f"times the rate of the {LOOP}", "of its CPU"]
    lines = []
    for kind, runs in found.items():
        for name, each in runs.items():
            label = f"{SAID[kind]}: {name}"
            asking = _median([run["rows"] / run["asking_s"] for run in each]) if "asking_s" in each[0] else 0
            cells = [f"{_median([_rate(run) for run in each]):,.0f}", f"{asking:,.0f}" if asking else ""]
            cells.append(f"{_median([_cpu_ms(run) for run in each]):.2f}")
            pairs = list(zip(each, runs[LOOP], strict=True))
            faster = [_rate(mine) / _rate(theirs) for mine, theirs in pairs]
            share = [_cpu_ms(mine) / _cpu_ms(theirs) for mine, theirs in pairs]
            if name != LOOP:
                cells += [
                    f"{_median(faster):.1f} × ({min(faster):.1f}–{max(faster):.1f})",
                    f"{_median(share):.0%}",
                ]
            else:
                cells += ["", ""]
            lines.append(
                [f"**{label}**" if name == OURS else f"{label} (limit)" if name == UNREAD else label, *cells]
            )
    return markdown(head, lines)


def _rate(run: dict[str, float]) -> float:
    return run["rows"] / run["seconds"]


def _cpu_ms(run: dict[str, float]) -> float:
    return 1000 * run["cpu_s"] / run["rows"]


def _median(figures: list[float]) -> float:
    return statistics.median(figures)
