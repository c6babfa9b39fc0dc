"""Decoding of source files beside what people use: one program, one run, one table.

The method:

- Every format holds the same records: {id int64, label int64, 32 floats of six digits, a text of about 100 characters}; 400,000 of them, made from a
  seed. Nobody is told types: all find them in the records.
- Every reading happens in a fresh process with the file in the page cache; the second one counts. All columns are made, in Arrow's form or the
  peer's own; orjson makes Python objects and stands there as a reference.
- A round is one pass over all contestants; they are compared within the round, and figures are medians of the rounds.
- The limits: plain text with its lines counted by the C library, packed text unpacked alone, on one thread.

    make bench-decode
    make bench-decode BENCH_ARGS='--quick'
    make bench-decode BENCH_ARGS='--only JSONL,CSV --rounds 3'
    make bench-decode BENCH_ARGS='--readme'

Results: `runs/bench-decode/results.json` and `results.md`; `--readme` writes the last run's table into the README, between its marks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from benches.decode import table
from benches.decode.data import QUICK_ROWS, ROWS
from benches.decode.formats import FORMS

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "runs" / "bench-decode"
_TIMEOUT_S = 600
_MARKS = ("<!-- bench-decode: table -->", "<!-- bench-decode: end -->")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benches.decode", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--only", default="", help="formats, comma separated; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--quick", action="store_true", help="a twentieth of the records, one round: a smoke test"
    )
    parser.add_argument(
        "--readme", action="store_true", help="write the last run's table into the README, and run nothing"
    )
    return parser.parse_args()


def _into_readme(shown: str) -> None:
    readme = ROOT / "README.md"
    before, begin, rest = readme.read_text().partition(_MARKS[0])
    _, end, after = rest.partition(_MARKS[1])
    if not (begin and end):
        sys.exit(f"{readme}: has no {_MARKS[0]} … {_MARKS[1]} to write between")
    readme.write_text(f"{before}{begin}\n{shown}{end}{after}")


def _prepared(form: str, rows: int) -> Path:
    folder = RESULTS / f"work-{rows}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FORMS[form].file
    if not path.exists():
        # The suffixes say how it is packed, so they stay at the end.
        partial = path.with_name("partial-" + path.name)
        FORMS[form].write(partial, rows)
        partial.rename(path)
    return path


def _read(form: str, name: str, threads: int, path: Path) -> float:
    """Return records a second of one reading in a process of its own."""
    command = [sys.executable, "-m", "benches.decode.child", form, name, str(threads), str(path)]
    limits = {"POLARS_MAX_THREADS": str(threads), "NEXA_THREADS": str(threads)}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | limits,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{form}, {name}: {done.stderr}")
    said = json.loads(done.stdout.splitlines()[-1])
    return float(said["rows"] / said["seconds"])


def _round(found: table.Rates, paths: dict[str, Path]) -> None:
    for form, path in paths.items():
        for name, contestant in FORMS[form].contestants.items():
            for threads in contestant.threads:
                rates = found.setdefault(form, {}).setdefault(name, {}).setdefault(threads, [])
                rates.append(_read(form, name, threads, path))
                print(
                    f"{form:10} {name:28} {threads} threads {rates[-1] / 1e6:8.3f} M records/s",
                    file=sys.stderr,
                )


def main() -> None:
    """Run the rounds and write what they found."""
    chosen = _arguments()
    if chosen.readme:
        _into_readme((RESULTS / "results.md").read_text())
        return
    rows, rounds = (QUICK_ROWS, 1) if chosen.quick else (ROWS, chosen.rounds)
    forms = [form for form in chosen.only.split(",") if form] or list(FORMS)
    paths = {form: _prepared(form, rows) for form in forms}
    found: table.Rates = {}
    for _ in range(rounds):
        _round(found, paths)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "results.json").write_text(
        json.dumps({"rows": rows, "rounds": rounds, "rates": found}, indent=1)
    )
    (RESULTS / "results.md").write_text(table.table(found))
    print(table.table(found), end="")


if __name__ == "__main__":
    main()
