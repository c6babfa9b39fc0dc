"""A control group (version 2) with a bound on memory, in which a child process runs as on a machine that has no more."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class NoMemoryGroupError(RuntimeError):
    """This process may not bound a child's memory; the message says why."""


@contextmanager
def memory_group(max_bytes: int) -> Iterator[Path]:
    """Make a group that takes no more than `max_bytes`, and remove it at the end.

    Its folder is beside this process's own group, or below it at the root, wherever the kernel lets us.

    Yields:
        The group's folder; `join` is how a command gets in.

    Raises:
        NoMemoryGroupError: There are no such groups here, or they aren't ours to make.
    """
    folder = _parent() / f"nexa-bench-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        raise NoMemoryGroupError(f"{folder} can't be made: {error.strerror}") from error
    try:
        try:
            (folder / "memory.max").write_text(str(max_bytes))
            if (folder / "memory.swap.max").exists():
                (folder / "memory.swap.max").write_text("0")
        except OSError as error:
            raise NoMemoryGroupError(f"{folder}/memory.max can't be set: {error.strerror}") from error
        yield folder
    finally:
        folder.rmdir()


def join(folder: Path, command: list[str]) -> list[str]:
    """Return the command that does as `command`, inside of the group."""
    return ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(folder), *command]


def _parent() -> Path:
    root = next(
        (
            Path(line.split()[4])
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if line.partition(" - ")[2].startswith("cgroup2 ")
        ),
        None,
    )
    if root is None:
        raise NoMemoryGroupError("control groups of version 2 aren't mounted")
    own = next(
        line.removeprefix("0::/")
        for line in Path("/proc/self/cgroup").read_text().splitlines()
        if line.startswith("0::")
    )
    # A group with processes can't bound its children, but for the root.
    parent = (root / own).parent if own else root
    if "memory" not in (parent / "cgroup.subtree_control").read_text().split():
        raise NoMemoryGroupError(f"{parent} doesn't let its children's memory be bounded")
    return parent
