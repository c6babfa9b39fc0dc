"""One part of `prepare`, or the whole, in a process of its own: `python -m benches.decode.prepare_child PART FORM FOLDER`.

The folder has `source`, `small` (a source of a few records, to load libraries and start threads with) and `output`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benches.decode.prepare_sources import config
from benches.staging.cache import files_under

if TYPE_CHECKING:
    from collections.abc import Callable


def _shards(folder: Path) -> list[Path]:
    return [path for path in files_under(folder / "output") if path.suffix == ".arrow"]


def _prepare(folder: Path, form: str) -> float:
    from nexa_data.prepare import prepare_from_config

    prepare_from_config(config(folder / "small", folder / "output-small"))
    begun = time.perf_counter()
    prepare_from_config(config(folder / "source", folder / "output"))
    taken = time.perf_counter() - begun
    assert "torch" not in sys.modules, form
    return taken


def _decode(folder: Path, form: str) -> float:
    from nexa_data import _core

    def read(source: Path) -> float:
        begun = time.perf_counter()
        for path in sorted(files_under(source)):
            for _, _, bad in _core.SourceReader(path, form).batches():
                assert not bad
        return time.perf_counter() - begun

    read(folder / "small")
    return read(folder / "source")


def _digest(folder: Path, _: str) -> float:
    begun = time.perf_counter()
    for path in _shards(folder):
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")
    return time.perf_counter() - begun


def _write(folder: Path, _: str) -> float:
    """Write each shard's bytes again, from memory, and make it durable; one at a time, so that the disk need hold no more."""
    taken, again = 0.0, folder / "again"
    for path in _shards(folder):
        data = path.read_bytes()
        begun = time.perf_counter()
        with again.open("wb", buffering=0) as file:
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        taken += time.perf_counter() - begun
        again.unlink()
    return taken


PARTS: dict[str, Callable[[Path, str], float]] = {
    "decode": _decode,
    "prepare": _prepare,
    "digest": _digest,
    "write": _write,
}
"""In the order in which they can run: what is hashed and written again is what `prepare` made."""


def _peak_bytes() -> int:
    """Return the most memory that the process had; its `ru_maxrss` would begin with what its parent had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    part, form, folder = sys.argv[1:]
    seconds = PARTS[part](Path(folder), form)
    print(json.dumps({"seconds": seconds, "peak_bytes": _peak_bytes()}))


if __name__ == "__main__":
    main()
