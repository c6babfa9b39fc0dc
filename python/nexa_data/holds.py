"""That a living process reads an artifact, told to whoever would remove it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nexa_data.artifacts import MARKER_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Hold", "hold_artifact", "last_use_ns", "unheld"]


class Hold:
    """A shared `flock` on an artifact's marker: as long as this object lives, in this process or a forked one.

    Args:
        handle: Descriptor that has the lock; it is closed with the object.
    """

    def __init__(self, handle: int) -> None:
        # Closing suffices; unlocking would take the hold from a forked process too.
        self.close = weakref.finalize(self, os.close, handle)


def hold_artifact(folder: Path) -> Hold | None:
    """Hold the artifact in `folder` and note that it was used now.

    Returns:
        The hold; None if there is no artifact, or it is being removed at this moment.
    """
    marker = folder / MARKER_NAME
    try:
        handle = os.open(marker, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    hold = Hold(handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if marker.stat().st_ino != os.fstat(handle).st_ino:
            return None
    except BlockingIOError:
        return None
    except FileNotFoundError:
        return None
    except OSError:
        pass  # a file system without locks: nobody can be told
    # The time of last use orders what is evicted first; somebody else's marker can't be touched.
    with contextlib.suppress(OSError):
        os.utime(handle)
    return hold


def last_use_ns(folder: Path) -> int:
    """Return when the artifact in `folder` was last opened by a loader, or else published."""
    return (folder / MARKER_NAME).stat().st_mtime_ns


@contextmanager
def unheld(folder: Path) -> Iterator[bool]:
    """Yield whether no process holds the artifact in `folder`; inside the block none can begin to."""
    try:
        handle = os.open(folder / MARKER_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except OSError:
            free = False  # held, or it can't be known
        yield free
    finally:
        os.close(handle)
