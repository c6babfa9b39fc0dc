"""The CPU of a bare digest: our hasher over a warm file again and again, and what reading that file costs alone."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path

from nexa_data import _core

READ_BYTES = 256 << 10  # as `digest_file` reads


def main() -> None:
    file, algorithm, total = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    size = file.stat().st_size
    passes = max(1, round(total / size))
    scale = total / (passes * size)
    digested = _timed(lambda: _core.digest_file(file, algorithm), passes) * scale
    block = bytearray(READ_BYTES)
    descriptor = os.open(file, os.O_RDONLY)
    read = _timed(lambda: _read(descriptor, block, size), passes) * scale
    result = {"with_reading": digested, "reading": read}
    if algorithm == "sha256":
        buffer = file.read_bytes()
        result["hashlib"] = _timed(lambda: hashlib.sha256(buffer).digest(), passes) * scale
    print(json.dumps(result))


def _read(descriptor: int, block: bytearray, size: int) -> None:
    for offset in range(0, size, READ_BYTES):
        os.preadv(descriptor, [block], offset)


def _timed(work: object, passes: int) -> float:
    assert callable(work)
    work()
    started = time.process_time()
    for _ in range(passes):
        work()
    return time.process_time() - started


main()
