"""`prepare` end to end beside its three parts alone: decoding, the digest of what it writes, the durable write."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benches.decode import prepare_sources
from benches.decode.cached import read_files
from benches.decode.prepare_child import PARTS
from benches.staging.cache import drop, files_under

if TYPE_CHECKING:
    from pathlib import Path

SOURCE_BYTES, QUICK_BYTES, LARGE_BYTES = 1 << 29, 1 << 24, 20 * 10**9
FORMS = {"parquet": "Parquet", "jsonl": "JSONL"}
_SMALL_ROWS = 5_000
_TIMEOUT_S = 3600
_SPACE = {"parquet": 2.05, "jsonl": 1.65}
"""Free bytes that are wanted for each byte of the source: it, the shards, and one shard again."""

Found = dict[str, Any]
"""Of one source: its records and bytes, whether it was cold, and part → what each round said."""


def _run(root: Path, part: str, form: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benches.decode.prepare_child", part, form, str(folder)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode:
        sys.exit(f"prepare, {form}, {part}: {done.stderr}")
    said: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return said


def _cached(folder: Path, part: str, *, cold: bool) -> None:
    """Empty the page cache of what the part reads, or fill it; the bytes that are written again come from memory."""
    files = files_under(folder / ("source" if part in {"decode", "prepare"} else "output"))
    if not cold:
        read_files(files)
    elif stayed := drop(files):
        print(f"{part}: {stayed / 1e6:.0f} MB of what it reads stayed in the page cache", file=sys.stderr)


def measure(root: Path, place: Path, form: str, source_bytes: int, rounds: int, *, cold: bool) -> Found:
    """Measure one source, in a folder of its own that is gone afterwards.

    Args:
        root: Where children start.
        place: Folder on the disk that is measured.
        form: `parquet` or `jsonl`.
        source_bytes: Size of the source, about.
        rounds: Passes over all parts.
        cold: Empty the page cache of the source before each part that reads it.
    """
    wanted = _SPACE[form] * source_bytes
    if shutil.disk_usage(place).free < wanted:
        sys.exit(f"{place}: {wanted / 1e9:.0f} GB of free space are wanted for {form}; see --source-bytes")
    folder = place / f"prepare-{form}"
    shutil.rmtree(folder, ignore_errors=True)
    rows = source_bytes // prepare_sources.RECORD_BYTES[form]
    try:
        prepare_sources.write(folder / "source", form, rows)
        prepare_sources.write(folder / "small", form, _SMALL_ROWS)
        parts: dict[str, list[dict[str, float]]] = {part: [] for part in PARTS}
        for _ in range(rounds):
            for part, said in parts.items():
                _cached(folder, part, cold=cold)
                said.append(_run(root, part, form, folder))
                seconds = said[-1]["seconds"]
                print(f"prepare {form:8} {part:8} {rows / seconds / 1e6:8.3f} M records/s", file=sys.stderr)
            shards = sum(path.stat().st_size for path in files_under(folder / "output"))
            for output in ("output", "output-small"):
                shutil.rmtree(folder / output)
        size = sum(path.stat().st_size for path in files_under(folder / "source"))
        return {"rows": rows, "bytes": size, "shard_bytes": shards, "cold": cold, "parts": parts}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def table(found: dict[str, Found]) -> str:
    """Return a row a source: ours, its parts alone, ours by the slowest of them, and the process's peak of memory."""
    head = ["`prepare` from", "M records/s", "MB/s of source", "decoding alone", "digest alone"]
    head += ["durable write alone", "ours by the slowest part", "peak memory"]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    for form, of in found.items():
        parts = of["parts"]
        seconds = {part: statistics.median(each["seconds"] for each in said) for part, said in parts.items()}
        alone = [part for part in parts if part != "prepare"]
        ratio = statistics.median(
            max(each["seconds"] for each in others) / whole["seconds"]
            for whole, *others in zip(parts["prepare"], *(parts[part] for part in alone), strict=True)
        )
        peak = max(each["peak_bytes"] for each in parts["prepare"])
        rates = {part: f"{of['rows'] / taken / 1e6:.3g}" for part, taken in seconds.items()}
        what = f"{FORMS[form.removesuffix('-large')]}, {of['bytes'] / 1e9:.3g} GB, {'cold' if of['cold'] else 'cached'}"
        cells = [
            f"**{what}**",
            rates["prepare"],
            f"{of['bytes'] / seconds['prepare'] / 1e6:,.0f}",
            rates["decode"],
            rates["digest"],
            rates["write"],
            f"{ratio:.2f}",
            f"{peak / 2**20:,.0f} MiB",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
