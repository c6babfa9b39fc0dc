"""The facts without which a figure says nothing: kernel, CPU, disk, versions."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import nexa_data

_VERSIONS = {
    "fio": ("--version",),
    "rclone": ("version",),
    "rsync": ("--version",),
    "b3sum": ("--version",),
    "xxhsum": ("--version",),
    "cp": ("--version",),
    "xargs": ("--version",),
}


def facts(folder: Path) -> dict[str, str]:
    """Return name → text for the machine that `folder` lies on."""
    from nexa_data import _core

    kind, options, scheduler = _disk(folder)
    build = _core.build_info()
    versions = [text for name, flags in _VERSIONS.items() if (text := _version(name, flags))]
    return {
        "kernel": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "CPU": f"{_cpu_model()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "file system": f"{kind} ({options})",
        "disk scheduler": scheduler,
        "nexa-data": f"{nexa_data.__version__}, {build['profile']} build, {', '.join(build['cpu_features'])}",
        "Python": platform.python_version(),
        "peers": "; ".join(versions),
        "load before (1, 5, 15 minutes)": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _disk(folder: Path) -> tuple[str, str, str]:
    """Return file system, mount options and the block device's scheduler."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    kind, options = "unknown", ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if fields.split()[2] == number:
            both = f"{fields.split()[5]},{rest.split()[2]}".split(",")
            kind, options = rest.split()[0], ",".join(dict.fromkeys(both))
            break
    block = Path("/sys/dev/block") / number
    # A partition has no queue of its own.
    for queue in (block / "queue", block.resolve().parent / "queue"):
        if (queue / "scheduler").is_file():
            return kind, options, (queue / "scheduler").read_text().strip()
    return kind, options, "unknown"


def _version(command: str, flags: tuple[str, ...]) -> str | None:
    found = shutil.which(command)
    if found is None:
        return None
    done = subprocess.run([found, *flags], capture_output=True, text=True, check=False)
    first = (done.stdout or done.stderr).strip().splitlines()[:1]
    return " ".join(first[0].split()[:4]) if first else None
