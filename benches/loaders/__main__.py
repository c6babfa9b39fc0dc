"""Loaders beside what the memory allows and what people use: one program, one run, one table.

The method:

- W1 is 4,000,000 records of 32 float32 and an int64, batch 1,024; W2 is 200,000 records of 2,048 uint16, batch 32. Both are
  made from a seed, once as arrays and once as our Arrow shards; a peer with a format of its own gets it written from
  the arrays. Peers that work record by record get fewer records (200,000 and 20,000): it changes nothing for them.
- Every contestant runs in a fresh process. Before each round all files that are read are read once, so that they come from the page cache.
- A contestant yields its first batch (that time is the first batch's), 50 more, and is then counted for at least two seconds, running
  from one epoch into the next. The consumer takes a batch and drops it.
- A round is one pass over all contestants; they are compared within the round, and figures are medians of the rounds.
- The limits: `np.take` by a ready permutation from the mapped array into a reused buffer; and our own bare gather in the calling
  thread into a ring of eight buffers, by a ready permutation too, and with the order computed in it.
- Memory is the growth of anonymous pages from before the first batch to the end.
- Data beyond memory are another matter: cold, beside fio, in a process with less memory than data (`beyond.py`).

    make bench-loaders
    make bench-loaders BENCH_ARGS='--quick'
    make bench-loaders BENCH_ARGS='--only W1 --contestants nexa,np.take --rounds 3'
    make bench-loaders BENCH_ARGS='--only beyond'

Results: `runs/bench-loaders/results.json`, `results.md` and `results.svg`. A whole run takes about 25 minutes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benches.loaders import beyond, data, table
from benches.loaders.contestants import CONTESTANTS
from benches.staging import machine

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "runs" / "bench-loaders"
_TIMEOUT_S = 900


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benches.loaders", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--only", choices=(*data.WORKLOADS, "beyond"), help="one workload")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="least time that a contestant is counted")
    parser.add_argument("--contestants", default="all", help="all, or parts of their names, comma separated")
    parser.add_argument(
        "--dir", type=Path, default=RESULTS / "work", help="where the data lies; kept for the next run"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a fiftieth of the data, one round: a smoke test"
    )
    chosen = parser.parse_args()
    chosen.part = 50 if chosen.quick else 1
    if chosen.quick:
        chosen.rounds, chosen.seconds = 1, 0.2
    return chosen


def _chosen(names: str, key: str) -> list[str]:
    from benches.loaders import by_packages, by_torch  # noqa: F401 (they enter their contestants)

    parts = None if names == "all" else names.split(",")
    found = []
    for name, each in CONTESTANTS.items():
        if each.only not in {None, key} or (parts and not any(part in name for part in parts)):
            continue
        if each.needs and importlib.util.find_spec(each.needs) is None:
            print(f"skipped: {name}, for want of {each.needs}", flush=True)
            continue
        found.append(name)
    return found


def _child(name: str, key: str, chosen: argparse.Namespace, seconds: str) -> dict[str, Any] | None:
    folder = chosen.dir / f"{key}-{chosen.part}"
    command = [
        sys.executable,
        "-m",
        "benches.loaders.child",
        name,
        key,
        str(chosen.part),
        str(folder),
        seconds,
    ]
    # One intra-op thread: what the loaders are measured by is their own threads.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        print(f"{name}: no result after {_TIMEOUT_S} s; left out", flush=True)
        return None
    if done.returncode:
        print(f"{name}: failed and is left out\n{done.stderr[-1500:]}", flush=True)
        return None
    return {} if seconds == "prepare" else dict(json.loads(done.stdout.strip().splitlines()[-1]))


def _measure(key: str, chosen: argparse.Namespace) -> table.Runs:
    work = data.WORKLOADS[key].smaller(chosen.part)
    folder = chosen.dir / f"{key}-{chosen.part}"
    print(f"{key}: making {work.records:,} records", flush=True)
    data.make(folder, work)
    names = [
        name for name in _chosen(chosen.contestants, key) if _child(name, key, chosen, "prepare") is not None
    ]
    runs: table.Runs = {name: [] for name in names}
    for number in range(chosen.rounds):
        data.preread(folder)
        for name in names:
            found = _child(name, key, chosen, str(chosen.seconds))
            if found is None:
                continue
            runs[name].append(found)
            print(
                f"{key} {number + 1}/{chosen.rounds}  {name:55} {found['records_per_s'] / 1e6:9.3f} M/s  first batch "
                f"{1000 * found['first_batch_s']:8.1f} ms  +{found['memory_bytes'] / 2**20:.0f} MiB",
                flush=True,
            )
    return {name: each for name, each in runs.items() if each}


def _costs(chosen: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return what our loader costs beside its rate, by its number of threads: medians of three processes each."""
    folder = chosen.dir / f"W1-{chosen.part}"
    found = {}
    for threads in ("1", "2", "8"):
        runs = []
        for _ in range(1 if chosen.quick else 3):
            data.preread(folder)
            command = [sys.executable, "-m", "benches.loaders.costs", str(folder), str(chosen.part), threads]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            runs.append(json.loads(done.stdout.strip().splitlines()[-1]))
        found[threads] = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        print(f"costs, {threads} threads: {json.dumps(found[threads])}", flush=True)
    return found


def main() -> None:
    """Run the bench."""
    chosen = _arguments()
    chosen.dir.mkdir(parents=True, exist_ok=True)
    facts = machine.facts(chosen.dir)
    facts["peers"] = _versions()
    keys = [key for key in data.WORKLOADS if chosen.only in {None, key}]
    found = {key: _measure(key, chosen) for key in keys}
    without = chosen.only not in {None, "beyond"}
    cold = (
        None
        if without
        else beyond.run(chosen.dir, rounds=chosen.rounds, **(beyond.SMALL if chosen.quick else {}))
    )
    lines = "".join(f"- {name}: {value}\n" for name, value in facts.items() if name != "disk scheduler")
    shown = {key: runs for key, runs in found.items() if table.OURS in runs}
    text = (
        f"# Loaders beside the memory's limit and the peers\n\n{lines}\n{table.summary(shown) if shown else ''}"
        + "".join(table.workload(key, runs, part=chosen.part) for key, runs in shown.items())
    )
    costs = _costs(chosen) if "W1" in found else None
    text += table.costs(costs) if costs else ""
    text += beyond.text(cold) if cold else ""
    RESULTS.mkdir(parents=True, exist_ok=True)
    name = "quick" if chosen.quick else f"results-{chosen.only}" if chosen.only else "results"
    (RESULTS / f"{name}.md").write_text(text)
    (RESULTS / f"{name}.json").write_text(
        json.dumps({"machine": facts, "beyond": cold, "costs": costs} | table.plain(found), indent=2)
    )
    if found:
        (RESULTS / f"{name}.svg").write_text(table.plot(found, part=chosen.part))
    print(f"\n{text}\nwritten to {RESULTS / name}.md, .json{' and .svg' if found else ''}")


def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    lines = (Path(__file__).parent / "requirements.txt").read_text().splitlines()
    found = []
    for package in [
        "torch",
        "numpy",
        "mosaicml-streaming",
        *(line.partition("=")[0] for line in lines if "=" in line),
    ]:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


main()
