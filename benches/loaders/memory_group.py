"""A control group with a bound on memory, in which a child process runs as on a machine that has no more."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_BOUNDS = {"memory": ("memory.limit_in_bytes", None), "": ("memory.max", "memory.swap.max")}
"""Controller as `/proc/self/cgroup` names it (version 1, version 2) → the file of its bound, and that of its swap."""


class NoMemoryGroupError(RuntimeError):
    """This process may not bound a child's memory; the message says why."""


@contextmanager
def memory_group(max_bytes: int) -> Iterator[Path]:
    """Make a group that takes no more than `max_bytes`, and remove it at the end.

    Of version 1, its folder is below this process's own group; of version 2, beside it, or below it at the root, wherever the
    kernel lets us.

    Yields:
        The group's folder; `join` is how a command gets in.

    Raises:
        NoMemoryGroupError: There are no such groups here, or they aren't ours to make.
    """
    parent, (bound, swap) = _parent()
    folder = parent / f"nexa-bench-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        raise NoMemoryGroupError(f"{folder} can't be made: {error.strerror}") from error
    try:
        try:
            (folder / bound).write_text(str(max_bytes))
            if swap and (folder / swap).exists():
                (folder / swap).write_text("0")
        except OSError as error:
            raise NoMemoryGroupError(f"{folder / bound} can't be set: {error.strerror}") from error
        yield folder
    finally:
        _remove(folder)


def join(folder: Path, command: list[str]) -> list[str]:
    """Return the command that does as `command`, inside of the group."""
    return ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(folder), *command]


def _remove(folder: Path) -> None:
    # A process that has ended leaves its group a moment later.
    for _ in range(100):
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.05)
        else:
            return
    folder.rmdir()


def _parent() -> tuple[Path, tuple[str, str | None]]:
    groups = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        groups[controllers] = own.lstrip("/")
    mounts = [line.partition(" - ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount, _, kind in mounts:
        folder = Path(mount.split()[4])
        if kind.startswith("cgroup ") and "memory" in kind.split()[-1].split(",") and "memory" in groups:
            return folder / groups["memory"], _BOUNDS["memory"]
        if kind.startswith("cgroup2 ") and "" in groups:
            # A group with processes can't bound its children, but for the root.
            parent = (folder / groups[""]).parent if groups[""] else folder
            if "memory" in (parent / "cgroup.subtree_control").read_text().split():
                return parent, _BOUNDS[""]
    raise NoMemoryGroupError("no control group of this process lets its children's memory be bounded")
