"""The quality pass, made-up records and augmentations beside what people use: each run a process of its own, in turns, on one thread.

- `pass`: 2 M rows of 34 float32 and a label. Ours: statistics of all columns, quantiles, histograms, distinct values, equal rows. Polars: `describe`, `n_unique`
  of each column, `is_duplicated` over all. Plain: counts, extremes, mean and deviation alone; duplicates: equal rows alone.
- `synthetic`: 1 M records of 32 float32 beside scikit-learn's `make_classification` of the same shape, and Philox's words alone.
- `augment`: batches of 1,024 (and 16,384) × 32 float32, changed in place, beside torch and numpy. Ours as a train batch meets it: through the chain that a
  config makes, with the numbers of shuffled records. Mixup makes distributions of ten classes, each record with a partner and weight of its own.
- `report`: the page of 50 columns and 3 splits from its stored report; `large`: 10^8 rows through the pass, and the peak of memory (--large).

    make bench-quality
    make bench-quality BENCH_ARGS='--quick'
    make bench-quality BENCH_ARGS='--only pass,synthetic --rounds 5'
    make bench-quality BENCH_ARGS='--only large --large'
    make bench-quality BENCH_ARGS='--readme'
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benches.filter.table import rows as markdown

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "runs" / "bench-quality"
_MARKS = ("<!-- bench-quality: table -->", "<!-- bench-quality: end -->")

PARTS: dict[str, dict[str, str]] = {
    "pass": {
        "pass-ours": "**full pass: nexa-data**",
        "pass-polars": "full pass: polars, describe + n_unique + is_duplicated",
        "plain-ours": "**plain statistics: nexa-data**",
        "plain-polars": "plain statistics: polars, expressions",
        "duplicates-ours": "**equal rows: nexa-data**",
        "duplicates-polars": "equal rows: polars, is_duplicated",
    },
    "synthetic": {
        "synthetic-ours": "**records, all informative: nexa-data**",
        "synthetic-sklearn": "records, all informative: make_classification",
        "mixed-ours": "**records, 8 informative + 8 redundant: nexa-data**",
        "mixed-sklearn": "records, 8 informative + 8 redundant: make_classification",
    },
    "augment": {
        "noise-ours": "**noise, batches of 1,024: nexa-data**",
        "noise-torch": "noise, batches of 1,024: torch",
        "noise-numpy": "noise, batches of 1,024: numpy",
        "noise16k-ours": "**noise, batches of 16,384: nexa-data**",
        "noise16k-torch": "noise, batches of 16,384: torch",
        "dropout-ours": "**dropout, batches of 1,024: nexa-data**",
        "dropout-torch": "dropout: torch",
        "dropout-numpy": "dropout: numpy",
        "mixup-ours": "**mixup, batches of 1,024: nexa-data**",
        "mixup-torch": "mixup: torch",
        "mixup-numpy": "mixup: numpy",
    },
    "report": {"report-ours": "**the page of 50 columns: nexa-data**"},
    "large": {"large-ours": "**10^8 rows of 34 columns: nexa-data**"},
}
"""Part → run → what it is called."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benches.quality", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--only", default="pass,synthetic,augment,report", help="parts, comma separated")
    parser.add_argument("--rounds", type=int, help="5 by default; 1 with --quick")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows: a smoke test")
    parser.add_argument("--large", action="store_true", help="the part `large` with all its rows")
    parser.add_argument(
        "--readme", action="store_true", help="write the last runs' tables into the README alone"
    )
    chosen = parser.parse_args()
    chosen.only = chosen.only.split(",")
    unknown = [part for part in chosen.only if part not in PARTS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(PARTS)}")
    chosen.rounds = chosen.rounds or (1 if chosen.quick else 5)
    return chosen


def _run(name: str, scale: float) -> dict[str, float]:
    alone = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1"
    )
    done = subprocess.run(
        [sys.executable, "-m", "benches.quality.child", name, str(scale)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | alone,
    )
    told: dict[str, float] = json.loads(done.stdout)
    return told


def _measure(part: str, chosen: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in PARTS[part]}
    scale = 0.1 if chosen.quick or (part == "large" and not chosen.large) else 1.0
    for number in range(1 if part == "large" else chosen.rounds):
        for name, runs in found.items():
            runs.append(_run(name, scale))
            print(f"round {number + 1}, {name}: {runs[-1]}", file=sys.stderr)
    return found


def _table(part: str, found: dict[str, list[dict[str, float]]]) -> str:
    lines: list[list[Any]] = []
    for name, said in PARTS[part].items():
        runs = found[name]
        rate = statistics.median(run["rows"] / run["seconds"] for run in runs)
        ours = found[f"{name.partition('-')[0]}-ours"]
        ratios = sorted(
            theirs["seconds"] / theirs["rows"] / (mine["seconds"] / mine["rows"])
            for theirs, mine in zip(runs, ours, strict=True)
        )
        beside = (
            ""
            if name.endswith("-ours")
            else f"{statistics.median(ratios):.2f} × ({ratios[0]:.2f}–{ratios[-1]:.2f})"
        )
        if part == "report":
            lines.append([said, f"{1 / rate:.3f} s", "", f"{runs[0]['mib']:.0f} MiB"])
        else:
            lines.append([said, f"{rate / 1e6:.2f} M", beside, f"{max(run['mib'] for run in runs):.0f} MiB"])
    return markdown(["one thread", "rows/s", "ours is faster by", "peak memory"], lines)


def _into_readme() -> None:
    readme = ROOT / "README.md"
    texts = [
        _table(part, json.loads((RESULTS / f"{part}.json").read_text()))
        for part in PARTS
        if (RESULTS / f"{part}.json").is_file()
    ]
    before, begin, rest = readme.read_text().partition(_MARKS[0])
    _, end, after = rest.partition(_MARKS[1])
    if not (begin and end):
        sys.exit(f"{readme}: has no {_MARKS[0]} … {_MARKS[1]} to write between")
    shown = "\n".join(texts)
    readme.write_text(f"{before}{begin}\n{shown}{end}{after}")


def main() -> None:
    """Run the parts that were chosen."""
    chosen = _arguments()
    if chosen.readme:
        _into_readme()
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    for part in chosen.only:
        found = _measure(part, chosen)
        (RESULTS / f"{part}{'-quick' if chosen.quick else ''}.json").write_text(json.dumps(found, indent=1))
        print(_table(part, found))


if __name__ == "__main__":
    main()
