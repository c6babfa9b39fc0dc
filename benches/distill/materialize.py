"""Soft targets on disk, beside what people write them with and what the disk can do: one program, one run, two tables.

The method:

- A tensor of 1,000 × 32,000 float32, softmax of normal numbers of deviation 3, so that its digits are as many as a model's.
- Each run is a process of its own: the tensor is made, the contestant has run once on two rows, the disk is synced; then
  time is taken from the call until everything is durable, fsync included. The peak of memory is the kernel's, reset just
  before, less what the process held then: the input isn't in it.
- A round is a run of each contestant; they are compared within the round, and figures are medians of the rounds.
- The limits: as many bytes as the tensor has, written in blocks of 8 MiB and synced, through the page cache and past it.
- Then labels are loaded as batches of 64 rows in random order from the page cache, one thread, and held against the
  tensor's shape and targets: dense ones are copied, float16 converted, sparse ones made dense.

    python -m benches.distill.materialize
    python -m benches.distill.materialize --quick

Results: `runs/bench-distill/materialize.json` and `materialize.md`. What is written to be measured is deleted at once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benches.filter.table import rows as table
from benches.staging import machine

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "runs" / "bench-distill"
OURS, SLOWEST = "nexa-data, json", "json.dump(indent=2)"
DISK = ("the disk, buffered + fsync", "the disk, O_DIRECT + fsync")
TEXT = (OURS, "orjson row by row", SLOWEST)
SHARDS = ("nexa-data, arrow", "nexa-data, arrow float16", "nexa-data, sparse top 20")
BINARY = (*SHARDS, "pyarrow IPC, one file, no digest", *DISK)

Found = dict[str, list[dict[str, float]]]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benches.distill.materialize", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--classes", type=int, default=32_000)
    parser.add_argument(
        "--quick", action="store_true", help="a twentieth of the rows, one round: a smoke test"
    )
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rows, chosen.rounds = chosen.rows // 20, 1
    return chosen


def _run(name: str, chosen: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, "-m", "benches.distill.materialize_child", name, str(chosen.rows)]
    command += [str(chosen.classes), str(RESULTS / "work")]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _median(found: Found, name: str, key: str) -> float:
    return statistics.median(each[key] for each in found[name])


def _ratio(found: Found, name: str, others: tuple[str, ...]) -> tuple[float, float, float]:
    """Return how many times the rate of the best of `others` a contestant's is: median, least, greatest of the rounds.

    Rates are of bytes that each has written: float16 and sparse forms write fewer.
    """
    rounds = zip(found[name], *(found[other] for other in others), strict=True)
    ratios = [_written(mine, name) / max(_written(other, "") for other in rest) for mine, *rest in rounds]
    return statistics.median(ratios), min(ratios), max(ratios)


def _written(run: dict[str, float], name: str) -> float:
    return (run["tensor_bytes"] if name in TEXT else run["file_bytes"]) / run["seconds"]


def _faster(found: Found, name: str, other: str) -> str:
    ratios = [two["seconds"] / one["seconds"] for one, two in zip(found[name], found[other], strict=True)]
    return f"{statistics.median(ratios):.1f} × ({min(ratios):.1f}–{max(ratios):.1f})"


def _text(found: Found) -> str:
    head = ["JSON", "MB/s of the tensor", "file, MB", "peak above the input, MiB", f"times {SLOWEST}"]
    lines = []
    for name in TEXT:
        rate = _median(found, name, "tensor_bytes") / _median(found, name, "seconds") / 1e6
        size, peak = _median(found, name, "file_bytes") / 1e6, _median(found, name, "peak_bytes") / 2**20
        shown = f"**{name}**" if name == OURS else name
        lines.append([shown, f"{rate:.1f}", f"{size:,.0f}", f"{peak:,.1f}", _faster(found, name, SLOWEST)])
    return table(head, lines)


def _binary(found: Found) -> str:
    head = [
        "Binary",
        "written, MB",
        "s",
        "MB/s written",
        "of the disk's durable rate",
        "peak, MiB",
        "labels loaded, MB/s",
    ]
    lines = []
    for name in BINARY:
        size, seconds = _median(found, name, "file_bytes"), _median(found, name, "seconds")
        middle, least, most = _ratio(found, name, DISK)
        loaded = found[name][0].get("labels_bytes_per_s")
        lines.append(
            [
                f"**{name}**" if name in SHARDS else name,
                f"{size / 1e6:,.1f}",
                f"{seconds:.2f}",
                f"{size / seconds / 1e6:,.0f}",
                f"{middle:.2f} ({least:.2f}–{most:.2f})",
                f"{_median(found, name, 'peak_bytes') / 2**20:,.1f}",
                f"{_median(found, name, 'labels_bytes_per_s') / 1e6:,.0f}" if loaded else "",
            ]
        )
    return table(head, lines)


def main() -> None:
    """Run the bench."""
    chosen = _arguments()
    RESULTS.mkdir(parents=True, exist_ok=True)
    facts: dict[str, Any] = machine.facts(RESULTS)
    found: Found = {name: [] for name in (*TEXT, *BINARY)}
    for number in range(chosen.rounds):
        for name in found:
            found[name].append(_run(name, chosen))
            print(f"round {number + 1}, {name}: {found[name][-1]['seconds']:.2f} s", flush=True)
    lines = "".join(
        f"- {name}: {value}\n" for name, value in facts.items() if name not in {"disk scheduler", "peers"}
    )
    text = f"{_text(found)}\n{_binary(found)}"
    said = f"{chosen.rows:,} × {chosen.classes:,} float32, medians of {chosen.rounds} rounds"
    name = "materialize-quick" if chosen.quick else "materialize"
    (RESULTS / f"{name}.md").write_text(f"# Soft targets on disk: {said}\n\n{lines}\n{text}")
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": facts, **found}, indent=2))
    print(f"\n{said}\n{lines}\n{text}\nwritten to {RESULTS / name}.md and .json")


main()
