"""Staging beside what the disk allows and what people use: one program, one run, one table.

The method:

- Everything lies on one file system, in a work folder that is removed at the end. The shards are Arrow files of
  random bytes (`--plain`: the bytes alone), with a catalog for each digest.
- Before each run, the file system is synced and the sources' pages are dropped (posix_fadvise; mincore counts what
  stayed, and it is said). Dentries and inodes stay warm unless `--drop-caches`, which needs root.
- A run ends when the copy is durable. fio, ours and the threads sync their files; the others are followed by one
  `sync -f` of the file system, within their time. Their checkers read the copy right after it was written, from the
  page cache, while the kernel writes it back: the fast way for them, and as much as our digest in the pass proves.
- The ceiling is fio: a reader of the sources and a writer of new files side by side, O_DIRECT, blocks of 4 MiB,
  depth 8 (`--depth`), fsync at the end; for small shards the same bytes in one file. Its time is the slower job's,
  from its own report: start-up and the allocation of its files are not in it, the fsync is. It runs right before and
  right after each of ours, and only the ratio of our rate to the mean of those two counts: a shared disk drifts by
  more than what is measured. Peers are compared with ours of the same round; their share of the ceiling is of the
  round's mean.
- Each contestant runs in its own child process. CPU is user and system time of it and of all that it waited for;
  for Python contestants (ours, the threads) time and CPU are those around the call, without start and imports. What
  the kernel's own threads do (writing the page cache back) is on nobody's account, in favour of the buffered peers.
- Page cache is what mincore finds of source and copy after the run. Peak memory is VmHWM above what was resident
  before the call. The bare digest is our hasher over a warm file of 64 MiB in memory, as often as the bytes need, less
  the CPU of reading it; measured in each round.
- Figures are medians of the rounds. In the first round our copies are read back from disk and compared with hashlib.

    make bench-staging
    make bench-staging BENCH_ARGS='--quick'
    make bench-staging BENCH_ARGS='--only A --algorithms sha256,xxh3 --peers none'

Results: `runs/bench-staging/results.json` and `results.md` (`results-A` with `--only A`, `quick` with `--quick`).
A whole run takes about 40 minutes where the disk copies 500 MB/s. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches.staging import corpus, machine, peers, table, workloads
from benches.staging.ceiling import Ceiling
from benches.staging.corpus import MIB
from benches.staging.measure import ROOT, Bench
from benches.staging.workloads import Copied, Restaged, WarmFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

RESULTS = ROOT / "runs" / "bench-staging"
ALGORITHMS = ("sha256", "blake3", "xxh3", "crc32c")
SMALL_ALGORITHMS = ("sha256", "xxh3")
SPARE_BYTES = 1 << 30


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benches.staging", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--only", choices=("A", "B", "C"), help="one workload: large, small, again")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large-files", type=int, default=8)
    parser.add_argument("--large-mib", type=int, default=512)
    parser.add_argument("--small-files", type=int, default=2000)
    parser.add_argument("--algorithms", default=",".join(ALGORITHMS), help="of ours, comma separated")
    parser.add_argument("--peers", default="all", help="all, none, or parts of their names, comma separated")
    parser.add_argument("--depth", type=int, default=8, help="blocks of 4 MiB that fio keeps in flight")
    parser.add_argument("--plain", action="store_true", help="shards of random bytes alone, not Arrow files")
    parser.add_argument(
        "--dir", type=Path, default=RESULTS / "work", help="work folder, on the disk to measure"
    )
    parser.add_argument(
        "--drop-caches", action="store_true", help="/proc/sys/vm/drop_caches before runs; root"
    )
    parser.add_argument(
        "--quick", action="store_true", help="8 × 16 MiB, 100 × 1 MiB, one round: a smoke test"
    )
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.large_files, chosen.large_mib, chosen.small_files = 1, 8, 16, 100
    chosen.algorithms = tuple(chosen.algorithms.split(","))
    if unknown := set(chosen.algorithms) - set(ALGORITHMS):
        parser.error(f"unknown algorithms: {', '.join(sorted(unknown))}; known: {', '.join(ALGORITHMS)}")
    if min(chosen.rounds, chosen.large_files) < 1 or min(chosen.large_mib, chosen.small_files) < 4:
        parser.error("at least 1 round, 1 large file of 4 MiB (one block of the ceiling) and 4 small files")
    if chosen.drop_caches and not os.access("/proc/sys/vm/drop_caches", os.W_OK):
        parser.error("--drop-caches writes to /proc/sys/vm/drop_caches, which needs root")
    chosen.results = "quick" if chosen.quick else f"results-{chosen.only}" if chosen.only else "results"
    return chosen


def _require_space(folder: Path, chosen: argparse.Namespace) -> None:
    """Refuse before anything is written."""
    large = 2 * chosen.large_files * chosen.large_mib * MIB
    # Source, its twin for fio, a copy; the second version of workload C links, but its copy stands beside the first.
    small = 3 * chosen.small_files * MIB
    needed = {"A": large, "B": small, "C": small}.get(chosen.only, max(large, small)) + SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        sys.exit(
            f"{folder}: the bench needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
            "name another disk with --dir, or shrink it with --large-mib, --large-files, --small-files"
        )


def _chosen_peers(chosen: argparse.Namespace, bench: Bench, *, large: bool) -> tuple[peers.Peer, ...]:
    if chosen.peers == "none":
        return ()
    parts = None if chosen.peers == "all" else chosen.peers.split(",")
    found = []
    for peer in peers.known():
        if not (peer.large if large else peer.small):
            continue
        if parts is not None and not any(part in peer.name for part in parts):
            continue
        if lacking := peers.missing(peer):
            bench.note(f"skipped: {peer.name}, for want of {lacking}")
            continue
        found.append(peer)
    return tuple(found)


def _run(bench: Bench, chosen: argparse.Namespace, warm: WarmFile) -> list[Copied | Restaged]:
    done: list[Copied | Restaged] = []
    only, plain = chosen.only, chosen.plain
    if only in {None, "A"}:
        print(f"writing {chosen.large_files} × {chosen.large_mib} MiB", flush=True)
        large = corpus.make(
            bench.folder / "large",
            chosen.large_files,
            chosen.large_mib,
            chosen.algorithms,
            plain=plain,
            seed=1,
        )
        work = Copied(
            "A",
            chosen.large_files,
            chosen.large_mib,
            large.bytes,
            chosen.algorithms,
            _chosen_peers(chosen, bench, large=True),
        )
        workloads.copy(bench, Ceiling(bench, chosen.depth), work, large, large.files, warm, chosen.rounds)
        bench.free(large.root)
        done.append(work)
    if only == "A":
        return done
    print(f"writing {chosen.small_files:,} × 1 MiB", flush=True)
    small = corpus.make(bench.folder / "small", chosen.small_files, 1, SMALL_ALGORITHMS, plain=plain, seed=2)
    if only in {None, "B"}:
        algorithms = tuple(name for name in SMALL_ALGORITHMS if name in chosen.algorithms) or SMALL_ALGORITHMS
        few = _chosen_peers(chosen, bench, large=False)
        work = Copied("B", chosen.small_files, 1, small.bytes, algorithms, few)
        twin = workloads.one_file(small, bench.folder / "one-file")
        workloads.copy(bench, Ceiling(bench, chosen.depth), work, small, [twin], warm, chosen.rounds)
        twin.unlink()
        done.append(work)
    if only in {None, "C"}:
        again = Restaged(chosen.small_files, min(workloads.N_CHANGED, chosen.small_files // 2), 1)
        workloads.restage(bench, again, small, chosen.rounds, plain=plain)
        done.append(again)
    return done


def _plain_values(work: Copied | Restaged) -> dict[str, Any]:
    if isinstance(work, Copied):
        return {
            "workload": work.letter,
            "n_files": work.n_files,
            "bytes": work.bytes,
            "peers": {peer.name: peer.command for peer in work.peers},
            "rounds": [this.as_dict() for this in work.rounds],
        }
    runs = {
        "again": work.again,
        "again_warm": work.again_warm,
        "changed": work.changed,
        "changed_only": work.changed_only,
    }
    listed = {name: [run.as_dict() for run in some] for name, some in runs.items()}
    return {"workload": "C", "n_files": work.n_files, "n_changed": work.n_changed, **listed}


def _save(name: str, facts: dict[str, str], notes: Sequence[str], done: Sequence[Copied | Restaged]) -> None:
    parts = [table.copied(work) if isinstance(work, Copied) else table.restaged(work) for work in done]
    text = table.machine(facts, notes) + "".join(parts) + table.commands(done)
    values = {
        "schema_version": 1,
        "machine": facts,
        "notes": list(notes),
        "workloads": [_plain_values(work) for work in done],
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(values, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(text)
    print(f"\n{text}\nsaved: {RESULTS.relative_to(ROOT)}/{name}.md and {name}.json")


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Measure, print, save, clean up."""
    if sys.platform != "linux":
        sys.exit("the staging bench reads /proc, mincore and fio's io_uring: it runs on Linux only")
    chosen = _arguments()
    signal.signal(signal.SIGTERM, _stop)
    chosen.dir.mkdir(parents=True, exist_ok=True)
    _require_space(chosen.dir, chosen)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=chosen.dir.resolve()))
    bench = Bench(folder, drop_caches=chosen.drop_caches)
    warm = None
    try:
        facts = machine.facts(folder)
        facts["ceiling"] = f"fio reads and writes side by side, O_DIRECT, 4 MiB × {chosen.depth}"
        warm = WarmFile(bench)
        done = _run(bench, chosen, warm)
        facts["load after"] = " ".join(f"{load:.2f}" for load in os.getloadavg())
        _save(chosen.results, facts, bench.notes, done)
    except KeyboardInterrupt:
        sys.exit("stopped; the work folder is removed")
    except RuntimeError as error:
        sys.exit(f"the bench has stopped: {error}")
    finally:
        if warm is not None:
            warm.close()
        shutil.rmtree(folder, ignore_errors=True)


main()
