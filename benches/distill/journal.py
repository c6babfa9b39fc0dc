"""The journal beside SQLite and the bare disk: answers of 2 KB made durable in groups of 32.

- Ours appends an answer's body and its 36 bytes of key, attempt and latency, syncs after 32, and reads each answer once it is durable (is it one, what
  did it use?), as the collector does. By default bodies are compressed.
- SQLite: a table with the key as its primary key, WAL, `synchronous=FULL`, `executemany` of 32 and a commit. It reads nothing.
- The limit: the bodies' bytes alone, written 32 at a time, each time with `fdatasync`.
- Bodies are answers as a server writes them, of words, or of letters in no order. All files are new; a round is a run of each contestant in one process.
"""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexa_data._core import TeacherJournal
from nexa_distill.keeper import Kind

from benches.distill import bodies
from benches.filter.table import rows as markdown

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

OURS, RAW, SQLITE, DISK = (
    "nexa-data",
    "nexa-data, bodies as they are",
    "SQLite, WAL, FULL",
    "write + fdatasync",
)
KINDS = {"words": True, "letters in no order": False}
GROUP, BODY_BYTES, RECORDS = 32, 2048, 8192
_DISTINCT = 256

Records = list[tuple[bytes, bytes]]
"""Keys and bodies."""


def measure(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return kind of body → contestant → records a second of each round."""
    records = RECORDS // (8 if chosen.quick else 1)
    found: dict[str, Any] = {}
    for kind, packable in KINDS.items():
        made = _records(records, packable=packable)
        rates = found[kind] = {name: [] for name in CONTESTANTS}
        for number in range(chosen.rounds + 1):
            for name, run in CONTESTANTS.items():
                # A folder of its own: SQLite leaves files beside its file.
                with tempfile.TemporaryDirectory(dir=folder) as work:
                    seconds = run(Path(work) / "journal", made)
                if number:  # the first round has everything loaded
                    rates[name].append(records / seconds)
                    print(
                        f"round {number}, {kind}, {name}: {rates[name][-1]:,.0f} records/s", file=sys.stderr
                    )
    return found


def _records(count: int, *, packable: bool) -> Records:
    chance = random.Random(bodies.SEED)  # noqa: S311 (nothing is secret here)
    made = [bodies.of_bytes(chance, BODY_BYTES, packable=packable) for _ in range(_DISTINCT)]
    keys = [hashlib.sha256(str(number).encode()).digest()[:16] for number in range(count)]
    return [(key, made[number % _DISTINCT]) for number, key in enumerate(keys)]


def _ours(path: Path, records: Records, *, compress: bool) -> float:
    journal = TeacherJournal(path, compress=compress)
    begun = time.perf_counter()
    for start in range(0, len(records), GROUP):
        for key, body in records[start : start + GROUP]:
            journal.append(Kind.ANSWER, key, 1, 1000, body)
        assert len(journal.sync()) == GROUP
    seconds = time.perf_counter() - begun
    assert journal.totals()["answered"] == len(records)
    journal.close()
    return seconds


def _sqlite(path: Path, records: Records) -> float:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute(
        "CREATE TABLE answers (key BLOB PRIMARY KEY, attempt INTEGER, latency INTEGER, body BLOB)"
    )
    begun = time.perf_counter()
    for start in range(0, len(records), GROUP):
        rows = [(key, 1, 1000, body) for key, body in records[start : start + GROUP]]
        database.execute("BEGIN")
        database.executemany("INSERT INTO answers VALUES (?, ?, ?, ?)", rows)
        database.execute("COMMIT")
    seconds = time.perf_counter() - begun
    database.close()
    return seconds


def _disk(path: Path, records: Records) -> float:
    groups = [
        b"".join(body for _, body in records[start : start + GROUP])
        for start in range(0, len(records), GROUP)
    ]
    with path.open("wb", buffering=0) as file:
        begun = time.perf_counter()
        for group in groups:
            file.write(group)
            os.fdatasync(file.fileno())
        return time.perf_counter() - begun


CONTESTANTS: dict[str, Callable[[Path, Records], float]] = {
    OURS: lambda path, records: _ours(path, records, compress=True),
    RAW: lambda path, records: _ours(path, records, compress=False),
    SQLITE: _sqlite,
    DISK: _disk,
}


def table(found: dict[str, Any]) -> str:
    """Return a row a contestant: records a second for each kind of body, and how many times ours is."""
    head = [f"records/s, {GROUP} at a time"]
    for kind in found:
        head += [kind, "ours is"]
    lines = []
    for name in CONTESTANTS:
        line = [f"**{name}**" if name == OURS else f"{name} (limit)" if name == DISK else name]
        for rates in found.values():
            pairs = [mine / theirs for mine, theirs in zip(rates[OURS], rates[name], strict=True)]
            shown = f"{statistics.median(pairs):.2f} × ({min(pairs):.2f}–{max(pairs):.2f})"
            line += [f"{statistics.median(rates[name]):,.0f}", "" if name == OURS else shown]
        lines.append(line)
    return markdown(head, lines)
