"""A fresh interpreter that stages one catalog as a user does, and says what the call took inside."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path


def _status_bytes(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return 0


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    catalog, destination, algorithm = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    import nexa_data

    stage = nexa_data.stage_catalog_to_nvme
    try:
        Path("/proc/self/clear_refs").write_text("5")
        peak_reset = True
    except OSError:
        peak_reset = False
    resident, cpu, started = _status_bytes("VmRSS"), _cpu_seconds(), time.perf_counter()
    stage(catalog, destination, algorithm=algorithm)
    seconds, used = time.perf_counter() - started, _cpu_seconds() - cpu
    peak = _status_bytes("VmHWM") - resident
    print(json.dumps({"seconds": seconds, "cpu_seconds": used, "peak_bytes": peak, "peak_reset": peak_reset}))


main()
