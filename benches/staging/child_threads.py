"""The peer that a good user writes: threads that read, digest and write in one pass, compare, and sync each file."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

BLOCK_BYTES = 1 << 20


def _hasher(algorithm: str) -> Any:
    if algorithm == "sha256":
        return hashlib.sha256()
    import xxhash

    return xxhash.xxh3_128()


def copy(source: Path, destination: Path, wanted: str, algorithm: str) -> None:
    digest, block = _hasher(algorithm), bytearray(BLOCK_BYTES)
    view = memoryview(block)
    with source.open("rb", buffering=0) as reader, destination.open("wb", buffering=0) as writer:
        while count := reader.readinto(block):
            digest.update(view[:count])
            writer.write(view[:count])
        os.fsync(writer.fileno())
    if digest.hexdigest() != wanted:
        raise ValueError(f"{source}: the digest is {digest.hexdigest()}, the list says {wanted}")


def check(file: Path, wanted: str, algorithm: str) -> None:
    digest, block = _hasher(algorithm), bytearray(BLOCK_BYTES)
    view = memoryview(block)
    with file.open("rb", buffering=0) as reader:
        while count := reader.readinto(block):
            digest.update(view[:count])
    if digest.hexdigest() != wanted:
        raise ValueError(f"{file}: the digest is {digest.hexdigest()}, the list says {wanted}")


def main() -> None:
    verb, algorithm, threads, listed, target = sys.argv[1:6]
    jobs = [line.split() for line in Path(listed).read_text().splitlines()]
    destination = Path(target)
    cpu = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    with ThreadPoolExecutor(int(threads)) as pool:
        if verb == "copy":
            source = Path(sys.argv[6])
            done = [
                pool.submit(copy, source / name, destination / name, digest, algorithm)
                for digest, name in jobs
            ]
        else:
            done = [pool.submit(check, destination / name, digest, algorithm) for digest, name in jobs]
        for job in done:
            job.result()
    if verb == "copy":
        folder = os.open(destination, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - cpu.ru_utime - cpu.ru_stime
    print(json.dumps({"seconds": seconds, "cpu_seconds": used}))


main()
