"""What this machine, this installation and a given folder can do, and what of it will slow a run down."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexa_data import __version__
from nexa_data.console import bytes_text, show, show_table
from nexa_data.errors import ShardNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Diagnosis", "examine", "show_diagnoses"]

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_LITTLE_SPACE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at.

    Args:
        name: Stable name for machines.
        value: What was found.
        text: The same for a person.
        warning: What is wrong with it and the remedy; None if nothing is.
    """

    name: str
    value: Any
    text: str
    warning: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        return asdict(self)


def examine(folder: Path) -> list[Diagnosis]:
    """Look at the installation, the machine, and the file system of `folder`.

    Args:
        folder: Where data is to be staged or written; a trial file is written there and removed.

    Raises:
        ShardNotFoundError: There is no such folder.
    """
    if not folder.is_dir():
        raise ShardNotFoundError(
            f"{folder.absolute()} is no folder", remedy="name the folder that data will be staged to"
        )
    return [*_installation(), *_torch(), *_processors(), *_storage(folder)]


def _installation() -> Iterator[Diagnosis]:
    yield Diagnosis("nexa_data", __version__, __version__)
    yield Diagnosis("python", platform.python_version(), f"{platform.python_version()} ({sys.executable})")
    try:
        from nexa_data import _core
    except ImportError as error:
        remedy = "reinstall nexa-data, or `make build` in a clone"
        yield Diagnosis("core", None, "missing", f"the native core can't be loaded: {error}; {remedy}")
        return
    info = _core.build_info()
    slow = info["profile"] != "release"
    yield Diagnosis(
        "core",
        info,
        f"{info['version']}, {info['profile']} build for {info['target']}",
        "a debug build is many times slower; build with `maturin develop --release`" if slow else None,
    )
    yield Diagnosis("cpu_features", info["cpu_features"], ", ".join(info["cpu_features"]) or "none known")


def _torch() -> Iterator[Diagnosis]:
    try:
        import torch
    except (ImportError, OSError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        yield Diagnosis("torch", None, "missing", f"loaders won't work ({first}); pip install torch")
        return
    yield Diagnosis(
        "torch", str(torch.__version__), f"{torch.__version__}, {torch.get_num_threads()} threads"
    )
    devices = list(_devices(torch))
    yield Diagnosis("devices", devices, ", ".join(devices))


def _devices(torch: Any) -> Iterator[str]:
    yield "cpu"
    for index in range(torch.cuda.device_count()):
        yield f"cuda:{index} ({torch.cuda.get_device_name(index)})"
    if torch.backends.mps.is_available():
        yield "mps"


def _processors() -> Iterator[Diagnosis]:
    affinity = getattr(os, "sched_getaffinity", None)
    usable = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _cgroup_cpus()
    found = {"usable": usable, "machine": os.cpu_count(), "cgroup": quota}
    limited = "no cgroup limit" if quota is None else f"{quota:g} by cgroup"
    yield Diagnosis("cpus", found, f"{usable} usable of {os.cpu_count()}, {limited}")
    try:
        from nexa_data import _core
    except ImportError:
        return
    ranks = os.environ.get("LOCAL_WORLD_SIZE")
    shared = f", shared with LOCAL_WORLD_SIZE={ranks}" if ranks else ""
    yield Diagnosis(
        "threads",
        _core.default_threads(),
        f"{_core.default_threads()} in the native core (data.threads changes it){shared}",
    )


def _cgroup_cpus() -> float | None:
    """Return the CPUs that this container may use (cgroup v2), None without a limit."""
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _storage(folder: Path) -> Iterator[Diagnosis]:
    try:
        from nexa_data import _core
    except ImportError:
        return
    place = str(folder.resolve())
    yield Diagnosis("folder", place, place)
    name, network = _core.filesystem(folder)
    slow = "a network file system: files are read, not mapped; stage to a local disk (data.cache_dir)"
    yield Diagnosis("filesystem", name, name, slow if network else None)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = f"nothing can be written to {place}: {error.strerror}; name another folder"
        yield Diagnosis("writable", value=False, text="no", warning=reason)
        return
    yield Diagnosis("writable", value=True, text="yes")
    found = _core.probe(folder)
    for key, label, without in (
        ("direct_io", "O_DIRECT", "staging goes through the page cache"),
        ("io_uring", "io_uring", "staging uses threads instead"),
    ):
        reason = found[key]
        text = "yes" if reason is None else f"no: {reason}; {without}"
        yield Diagnosis(key, reason is None, f"{label} {text}")
    free, total = found["free_bytes"], found["total_bytes"]
    little = free < _LITTLE_SPACE_BYTES
    yield Diagnosis(
        "free_bytes",
        free,
        f"{bytes_text(free)} free of {bytes_text(total)}",
        "little space: free some, or name another disk" if little else None,
    )


def show_diagnoses(found: Sequence[Diagnosis]) -> None:
    """Print what was looked at, and the warnings below."""
    show_table(
        ("", "what", "found"), [("!" if each.warning else "ok", each.name, each.text) for each in found]
    )
    warnings = [each for each in found if each.warning]
    if warnings:
        show("")
    for each in warnings:
        show(f"warning: {each.name}: {each.warning}")
