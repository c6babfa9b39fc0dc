"""One contestant in a fresh interpreter: prepares, warms up, counts batches for some seconds, says what it found."""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from benches.loaders import data
from benches.loaders.contestants import CONTESTANTS


def _resident() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def _rows(batch: Any) -> int:
    """Return the records of a batch, and touch it so that it is there."""
    values = list(batch.values()) if hasattr(batch, "keys") else batch
    first = values[0] if isinstance(values, list | tuple) else values
    if not isinstance(first, int) and hasattr(first, "__len__"):
        return len(first)
    return len(batch)


def main() -> None:
    """Measure `argv`: name, workload, part, folder, seconds."""
    name, key, part, folder, seconds = sys.argv[1:6]
    warnings.simplefilter("ignore")
    from benches.loaders import by_packages, by_torch  # noqa: F401 (they enter their contestants)

    work = data.WORKLOADS[key].smaller(int(part))
    begin = CONTESTANTS[name].start(Path(folder), work)
    if seconds == "prepare":
        return
    gc.collect()
    before = _resident()
    started = time.perf_counter()
    batches = begin()
    records = _rows(next(batches))
    first_batch = time.perf_counter() - started
    if records != work.batch:
        raise RuntimeError(f"{name}: the first batch has {records} records, not {work.batch}")
    window = float(seconds)
    for _ in range(50):  # what a first epoch pays once: threads, maps, pools
        next(batches)
        if time.perf_counter() - started > window:
            break
    usage = resource.getrusage(resource.RUSAGE_SELF)
    count, began, cpu = 0, time.perf_counter(), usage.ru_utime + usage.ru_stime
    while True:
        next(batches)
        count += 1
        took = time.perf_counter() - began
        if took >= window:
            break
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found = {
        "records_per_s": count * work.batch / took,
        "cpu_per_s": (usage.ru_utime + usage.ru_stime - cpu) / took,
        "first_batch_s": first_batch,
        "memory_bytes": _resident() - before,
    }
    print(json.dumps(found), flush=True)
    # Worker processes and threads of some peers outlive a polite end.
    sys.stdout.flush()
    import os

    os._exit(0)


main()
