"""The label filter beside what the memory allows and what people use: one program, one run, one table.

The method:

- Columns: 10,000,000 rows of an int64 label and 32 float32, as a list of 32 and as 32 columns. K labels are allowed, every other number, so that
  no contestant can answer by a range.
- Records: 1,000,000 tuples of an object and an int. A set of many labels is asked for twice: once its ints lie side by side, as they do in a
  program that has just begun, and once they are labels of the records themselves, scattered over the memory as where sets are made of data.
- Everything is in memory, in the form that each contestant likes best, and is made before time is taken. All use one thread, but for the
  line that says two. A contestant's result is dropped before the next one begins; each has run once before, so that memory that it reuses is there.
- A round is one pass over all contestants, in one process; they are compared within the round, and figures are medians of the rounds.
- The limit: a copy of as many rows as are kept, into memory that is there.

    make bench-filter
    make bench-filter BENCH_ARGS='--quick'
    make bench-filter BENCH_ARGS='--readme'

Results: `runs/bench-filter/results.json` and `results.md`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

for _threads in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[_threads] = "1"

# What they import reads these as it is imported.
from benches.filter import data, records, table, tables  # noqa: E402
from benches.staging import machine  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "runs" / "bench-filter"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benches.filter", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--only", choices=("records", "membership", "tables"))
    parser.add_argument("--quick", action="store_true", help="a hundredth of the data: a smoke test")
    parser.add_argument("--readme", action="store_true", help="put the tables into README.md")
    chosen = parser.parse_args()
    chosen.records = 1_000_000
    if chosen.quick:
        chosen.rows, chosen.records = chosen.rows // 100, chosen.records // 100
    return chosen


def _rounds(runs: dict[str, Callable[[], Any]], rounds: int) -> table.Times:
    times: table.Times = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            begun = time.perf_counter()
            result = run()
            taken = time.perf_counter() - begun
            del result
            if number:
                times[name].append(taken)
    return times


def _tables(chosen: argparse.Namespace) -> dict[str, dict[str, table.Times]]:
    vectors = data.features(chosen.rows)
    found: dict[str, dict[str, table.Times]] = {}
    for shape in tables.SHAPES:
        for question in data.QUESTIONS:
            labels = question.column(chosen.rows)
            runs = tables.contestants(shape, labels, vectors, question)
            found.setdefault(shape, {})[question.name] = _rounds(runs, chosen.rounds)
            print(f"{shape}, {question.name}", flush=True)
            del runs
            gc.collect()
    return found


def _membership(chosen: argparse.Namespace) -> dict[str, table.Times]:
    questions = [question for question in data.QUESTIONS if question.share == 0.5]
    return {
        question.name: _rounds(tables.membership(question.column(chosen.rows), question), chosen.rounds)
        for question in questions
    }


def _records(chosen: argparse.Namespace) -> dict[str, dict[str, table.Times]]:
    found: dict[str, dict[str, table.Times]] = {}
    for question in (each for each in data.QUESTIONS if each.share == 0.5):
        made = data.records(question, chosen.records)
        allowed = set(question.allowed)
        asked = {f"K={question.labels:,}": allowed}
        if question.labels > chosen.records // 100:
            asked["the same, of labels met in the records"] = {label for _, label in made if label in allowed}
        for name, labels in asked.items():
            every = records.contestants(labels)
            for source, make in records.SOURCES.items():
                iterables = make(made)
                runs = {contestant: _drained(run, iterables) for contestant, run in every.items()}
                found.setdefault(name, {})[source] = _rounds(runs, chosen.rounds)
            print(f"records, {name}", flush=True)
    return found


def _drained(run: Callable[[Any], Any], iterables: Callable[[], Any]) -> Callable[[], None]:
    def drain() -> None:
        deque(run(iterables()), maxlen=0)

    return drain


def main() -> None:
    """Run the bench."""
    import pyarrow as pa
    import torch

    chosen = _arguments()
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    facts = machine.facts(RESULTS)
    facts["peers"] = _versions()
    found: dict[str, Any] = {}
    aside = (tables.OURS_2, tables.MEMORY, "sum of the column (numpy)")
    text = ""
    if chosen.only in {None, "tables"}:
        found["tables"] = _tables(chosen)
        text += table.tables(found["tables"], tables.OURS, aside)
    if chosen.only in {None, "membership"}:
        found["membership"] = _membership(chosen)
        text += table.tables({"which rows, alone": found["membership"]}, tables.OURS, aside)
    if chosen.only in {None, "records"}:
        found["records"] = _records(chosen)
        text += table.records(found["records"], chosen.records, records.OURS, records.GENERATOR)
    lines = "".join(f"- {name}: {value}\n" for name, value in facts.items() if name != "disk scheduler")
    name = "quick" if chosen.quick else f"results-{chosen.only}" if chosen.only else "results"
    (RESULTS / f"{name}.md").write_text(f"# The label filter beside its peers\n\n{lines}\n{text}")
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": facts, **found}, indent=2))
    print(f"\n{lines}\n{text}\nwritten to {RESULTS / name}.md and .json")
    if chosen.readme:
        said = (
            f"**The label filter**, by `make bench-filter` ({chosen.rows:,} rows of an int64 label and 32 float32, or {chosen.records:,} tuples; medians of "
            f"{chosen.rounds} rounds in one process; one thread, but where two are named):\n\n"
        )
        table.into_readme(ROOT / "README.md", said + text)


def _versions() -> str:
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in ("duckdb", "numpy", "polars", "pyarrow", "torch"))


main()
