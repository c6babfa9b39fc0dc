"""Decoding of source files beside what people use, and `prepare` beside its parts: one program, one run, one table.

The method:

- Every format holds the same records: {id int64, label int64, 32 floats of six digits, a text of about 100 characters}; 400,000 of them, made from a
  seed. Where peers make a Python object of each record there are fewer: 100,000 as TFRecord, 20,000 as WebDataset, 50,000 as MDS. Where the format
  leaves types open nobody is told them, but `tfrecord`, which can't find them.
- Before the first round a file of 1,000 records is read by ours and by a peer: what the columns add up to has to be what was written.
- Every reading happens in a fresh process with the file in the page cache; the first one loads libraries, then readings go on for half a second, five
  at most, and their median counts, with the right number of records. All columns are made, in Arrow's form or the peer's own. What makes Python
  objects where others make columns, or stops short of decoding, is marked as a reference.
- Parquet and Arrow IPC are written by pyarrow in eight row groups or batches. Readers: `SourceReader.batches`; `polars.read_parquet`;
  `pyarrow.parquet.ParquetFile(memory_map=True)`, by `read` and by `iter_batches`.
- In an Arrow IPC file nothing is to be decoded. It is mapped anew for each reading, its batches are handed out (ours checks each first, as it does for every
  source: offsets, and that text is UTF-8), and then the buffers are read: a byte a page, or every byte. The limit reads the bare mapping so.
- A round is one pass over all contestants; they are compared within the round, and figures are medians of the rounds.
- The limits, on one thread: plain text with its lines counted by the C library, packed text unpacked alone, other files read into memory that is used again.
- `prepare`: 0.5 GB of source, every column kept, all else as it is by default. Each part and the whole has a process of its own, and has run on 5,000 records
  before. Decoding alone reads the source to its end. Digest alone is hashlib's sha256 of the shards that were made, on one thread, and durable write
  alone writes the same bytes again from memory, a shard at a time, each with its fsync. `prepare` does all of it, and a sha256 of the source for the
  artifact's key. Its peak of memory is the kernel's count of the process, mapped files with it. `--large` does this alone, with 20 GB, whose pages are
  dropped from the page cache before each part.

    make bench-decode
    make bench-decode BENCH_ARGS='--quick'
    make bench-decode BENCH_ARGS='--only JSONL,CSV,prepare --rounds 3'
    make bench-decode BENCH_ARGS='--large'
    make bench-decode BENCH_ARGS='--readme'

Results: `runs/bench-decode/results.json` and `results.md`, `large.json` and `large.md`; `--readme` writes the last run's tables into the README,
between its marks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benches.decode import prepare, table
from benches.decode.data import QUICK_ROWS, ROWS
from benches.decode.formats import FORMS

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "runs" / "bench-decode"
PREPARE = "prepare"
_CHECKED_ROWS = 1_000
_TIMEOUT_S = 600
_MARKS = ("<!-- bench-decode: table -->", "<!-- bench-decode: end -->")
_LOADERS = os.environ.get("LOADERS_PYTHON", "")
"""The interpreter of the loaders' bench, which has what wants torch."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benches.decode", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--only",
        default="",
        help=f"formats, comma separated, by name or its first words (Parquet lists), or {PREPARE}; all by default",
    )
    parser.add_argument("--rounds", type=int, help="5 by default; 1 with --quick or --large")
    parser.add_argument(
        "--quick", action="store_true", help="a twentieth of the records, one round: a smoke test"
    )
    parser.add_argument("--large", action="store_true", help=f"{PREPARE} alone, from 20 GB, cold")
    parser.add_argument("--source-bytes", type=int, help=f"size of the source of {PREPARE}")
    parser.add_argument(
        "--readme", action="store_true", help="write the last run's tables into the README, and run nothing"
    )
    chosen = parser.parse_args()
    known, words = [*FORMS, PREPARE], [word for word in chosen.only.split(",") if word]
    chosen.only = [form for form in known if not words or any(_named(form, word) for word in words)]
    unknown = [word for word in words if not any(_named(form, word) for form in known)]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    chosen.rounds = chosen.rounds or (1 if chosen.quick or chosen.large else 5)
    return chosen


def _named(form: str, word: str) -> bool:
    """Tell whether a word of `--only` is a form's name, or what it begins with."""
    return form == word or form.startswith(f"{word} ")


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


def _in_process(form: str, module: str, *words: str, threads: int = 2) -> str:
    """Return what a module printed that ran in a process of its own, where the form's peers are installed."""
    python = _LOADERS if FORMS[form].loaders else sys.executable
    limits = {"POLARS_MAX_THREADS": str(threads), "NEXA_THREADS": str(threads)}
    done = subprocess.run(
        [python, "-m", f"benches.decode.{module}", form, *words],
        cwd=ROOT,
        env=os.environ | limits,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{form}, {' '.join(words)}: {done.stderr}")
    return done.stdout


def _rows(form: str, rows: int) -> int:
    return rows // FORMS[form].part


def _read(form: str, name: str, threads: int, path: Path, rows: int) -> float:
    """Return records a second of one contestant's readings."""
    words = (name, str(threads), str(path), str(rows))
    said = json.loads(_in_process(form, "child", *words, threads=threads).splitlines()[-1])
    return float(said["rows"] / said["seconds"])


def _round(found: table.Rates, paths: dict[str, Path], rows: int) -> None:
    for form, path in paths.items():
        for name, contestant in FORMS[form].contestants.items():
            for threads in contestant.threads:
                rates = found.setdefault(form, {}).setdefault(name, {}).setdefault(threads, [])
                rates.append(_read(form, name, threads, path, _rows(form, rows)))
                print(
                    f"{form:24} {name:28} {threads} threads {rates[-1] / 1e6:8.3f} M records/s",
                    file=sys.stderr,
                )


def _decoding(forms: list[str], rows: int, rounds: int) -> table.Rates:
    for form in [form for form in forms if FORMS[form].loaders and not _LOADERS]:
        print(f"{form} is left out: LOADERS_PYTHON names no interpreter that has its peer", file=sys.stderr)
        forms.remove(form)
    for form in forms:
        path = _prepared(form, _CHECKED_ROWS)
        _in_process(form, "agreement", str(path), str(_CHECKED_ROWS))
    paths = {form: _prepared(form, _rows(form, rows)) for form in forms}
    found: table.Rates = {}
    for _ in range(rounds):
        _round(found, paths, rows)
    return found


def _preparing(source_bytes: int, rounds: int, *, cold: bool) -> dict[str, prepare.Found]:
    return {
        form: prepare.measure(ROOT, RESULTS, form, source_bytes, rounds, cold=cold) for form in prepare.FORMS
    }


def _tables(found: dict[str, Any]) -> dict[str, str]:
    """Return the tables of a run by what they are called."""
    # JSON has made texts of the numbers of threads.
    rates = {
        form: {name: {int(threads): each for threads, each in of.items()} for name, of in contestants.items()}
        for form, contestants in found["rates"].items()
    }
    shown = {"summary": table.summary(rates), "details": table.details(rates)} if rates else {}
    return shown | ({PREPARE: prepare.table(found[PREPARE])} if found[PREPARE] else {})


def _into_readme() -> None:
    readme = ROOT / "README.md"
    results, large = (RESULTS / f"{name}.json" for name in ("results", "large"))
    found = json.loads(results.read_text())
    if large.exists():
        # A row for each source and size, under names that no two of them share.
        found[PREPARE] |= {f"{form}-large": of for form, of in json.loads(large.read_text())[PREPARE].items()}
    tables = _tables(found)
    shown = "\n".join(tables[name] for name in ("summary", PREPARE) if name in tables)
    before, begin, rest = readme.read_text().partition(_MARKS[0])
    _, end, after = rest.partition(_MARKS[1])
    if not (begin and end):
        sys.exit(f"{readme}: has no {_MARKS[0]} … {_MARKS[1]} to write between")
    readme.write_text(f"{before}{begin}\n{shown}{end}{after}")


def main() -> None:
    """Run the rounds and write what they found."""
    chosen = _arguments()
    if chosen.readme:
        _into_readme()
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    rows = QUICK_ROWS if chosen.quick else ROWS
    found: dict[str, Any] = {"rows": rows, "rounds": chosen.rounds, "rates": {}, PREPARE: {}}
    forms = [form for form in chosen.only if form != PREPARE]
    if forms and not chosen.large:
        found["rates"] = _decoding(forms, rows, chosen.rounds)
    if PREPARE in chosen.only:
        size = prepare.LARGE_BYTES if chosen.large else prepare.SOURCE_BYTES
        size = chosen.source_bytes or (prepare.QUICK_BYTES if chosen.quick else size)
        found[PREPARE] = _preparing(size, chosen.rounds, cold=chosen.large)
    name = "large" if chosen.large else "quick" if chosen.quick else "results"
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1))
    text = "\n".join(_tables(found).values())
    (RESULTS / f"{name}.md").write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
