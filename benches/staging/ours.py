"""nexa-data as a contestant: staged by a fresh child, its copy proven by somebody else's digest in the first round."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benches.staging import cache
from benches.staging.measure import Run

if TYPE_CHECKING:
    from pathlib import Path

    from benches.staging.corpus import Corpus
    from benches.staging.measure import Bench


def name(algorithm: str) -> str:
    """Return the contestant's name."""
    return f"nexa-data, {algorithm}"


def run(bench: Bench, corpus: Corpus, algorithm: str, *, prove: bool) -> Run:
    """Stage a corpus from cold to a new folder, and remove the copy.

    Args:
        bench: Where it runs.
        corpus: What is staged.
        algorithm: Digest of the catalog.
        prove: Read the copy back from disk afterwards and compare it with hashlib's SHA-256.
    """
    destination = bench.fresh_folder()
    bench.make_cold(corpus.files)
    try:
        result = stage(bench, corpus.catalog(algorithm), destination, algorithm, corpus.bytes)
        result.cached_bytes = cache.resident_bytes([*corpus.files, *cache.files_under(destination)])
        if prove:
            _prove(corpus, destination)
    finally:
        bench.free(destination)
    return result


def stage(bench: Bench, catalog: Path, destination: Path, algorithm: str, n_bytes: int) -> Run:
    """Stage one catalog in a fresh child; `seconds` and `cpu_seconds` are those around the call."""
    child = bench.python("child_ours.py", catalog, destination, algorithm)
    inside = child.inside()
    started = time.perf_counter()
    # What the call left to be written would show here.
    cache.sync_filesystem(bench.folder)
    left = time.perf_counter() - started
    if not inside["peak_reset"]:
        bench.note("/proc/self/clear_refs is refused: our peak memory counts from the process's start")
    facts = {
        "outside_seconds": child.seconds,
        "outside_cpu_seconds": child.cpu_seconds,
        "peak_bytes": inside["peak_bytes"],
        "sync_after_seconds": left,
    }
    return Run(name(algorithm), inside["seconds"], inside["cpu_seconds"], n_bytes, facts=facts)


def _prove(corpus: Corpus, destination: Path) -> None:
    copies = [destination / "shards" / path.name for path in corpus.files]
    cache.drop(copies)

    def digest(path: Path) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    with ThreadPoolExecutor(2) as pool:
        found = tuple(pool.map(digest, copies))
    if found != corpus.digests["sha256"]:
        raise RuntimeError("nexa-data's copy differs from its source: the figures are void")
