"""Who may write a destination: one process at a time, while the others wait and see how far it is."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
import time
import uuid
import weakref
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from nexa_data.errors import ArtifactError, ConfigError
from nexa_data.owners import Owner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Flock", "Lease", "Lock", "lock_for"]

_log = logging.getLogger(__name__)

_POLL_S = 0.05
_TELL_S = 0.1
_BEAT_S = 2.0
_STALE_S = 60.0
_RECORD_BYTES = 1024
_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def lock_for(path: Path, kind: str = "auto") -> Lock:
    """Return the lock that holds on the file system of `path`.

    Args:
        path: The lock's file; its folder must exist.
        kind: `flock`, `lease`, or `auto`: a lease where the file system is a network's, on which flock may be
            granted to two nodes at once.

    Raises:
        ConfigError: There is no such kind.
    """
    if kind == "auto":
        from nexa_data import _core

        kind = "lease" if _core.filesystem(path.parent)[1] else "flock"
    if kind not in {"flock", "lease"}:
        raise ConfigError(f"there is no lock {kind!r}", remedy="known: auto, flock, lease")
    return Lease(path) if kind == "lease" else Flock(path)


class Lock(ABC):
    """A file that one process owns, with a record of the owner and of what it tells the waiting.

    Args:
        path: The file; it is removed on release.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.on_lost: Callable[[], object] = lambda: None
        self._handle: int | None = None
        self._owner = Owner.this_process()
        self._writing = threading.Lock()
        self._told_at = 0.0
        self._waits = False

    def acquire(self, *, wait: bool = True, listen: Callable[..., object] | None = None) -> bool:
        """Become the owner.

        Args:
            wait: Wait as long as another process is.
            listen: Called while waiting, with the numbers that the owner told.

        Returns:
            Whether this process is the owner now; always, if it waits.

        Raises:
            OSError: The file can't be made.
        """
        try:
            while not self._try():
                if not wait:
                    return False
                self._show(listen)
                time.sleep(_POLL_S)
        except BaseException:
            self.release()  # it may be ours already, but its record couldn't be written
            raise
        _held.add(self)
        return True

    def _show(self, listen: Callable[..., object] | None) -> None:
        owner = self._other()
        if not self._waits:
            _log.info("waiting for %s, which holds %s", owner or "another process", self.path)
            self._waits = True
        if listen is not None and owner is not None and owner.told:
            listen(*owner.told)

    @abstractmethod
    def _try(self) -> bool:
        """Return whether this process has become the owner."""

    def tell(self, *numbers: int) -> None:
        """Show `numbers` to those who wait; some ten times a second they are written, the others are dropped."""
        now = time.monotonic()
        if self._handle is not None and now - self._told_at >= _TELL_S:
            self._told_at = now
            with contextlib.suppress(OSError):  # a full disk: then nobody is shown anything
                self._write(told=numbers)

    @abstractmethod
    def check(self) -> None:
        """Make sure that this process still is the owner.

        Raises:
            ArtifactError: Another one has taken its place.
        """

    def release(self) -> None:
        """Let the next one in; does nothing if this process isn't the owner."""
        if self._handle is None:
            return
        self._forget_file()
        os.close(self._handle)
        self._handle = None
        _held.discard(self)

    def _forget_file(self) -> None:
        self.path.unlink(missing_ok=True)

    def _after_fork(self) -> None:
        # The child's copy of the descriptor would keep a flock alive after its owner's death.
        if self._handle is not None:
            os.close(self._handle)
        self._handle = None
        self._writing = threading.Lock()

    def _read(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except OSError:
            return None

    def _other(self) -> Owner | None:
        return Owner.parse(self._read() or b"")

    def _write(self, told: tuple[int, ...] | None = None, *, beat: int = 0) -> None:
        with self._writing:
            if self._handle is None:
                return
            self._owner = self._owner.said(told, beat=beat)
            os.pwrite(self._handle, self._owner.dumps().ljust(_RECORD_BYTES - 1) + b"\n", 0)


class Flock(Lock):
    """An exclusive `flock`, for local file systems: the kernel frees it when its owner dies."""

    def _try(self) -> bool:
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The former owner may have removed the file that we locked: then the lock means nothing.
            if os.fstat(handle).st_ino == self.path.stat().st_ino:
                self._handle, handle = handle, -1
                self._write()
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        finally:
            if handle >= 0:
                os.close(handle)
        return False

    def check(self) -> None:
        """Do nothing: the kernel lets nobody in as long as the owner lives."""


class Lease(Lock):
    """A file made with `O_EXCL` whose owner writes a heartbeat into it, for network file systems, where flock lies.

    An owner that died on this machine is found out by its process; one elsewhere by a heartbeat that hasn't changed
    for a while on the clock of the one that waits (clocks are never compared). Who takes over renames the file away,
    which one alone can; an owner that finds its lease taken is told so by `check`, and at once by `on_lost`.

    Args:
        path: The file.
        beat_s: Time between heartbeats.
        stale_s: Time without a heartbeat after which an owner counts as dead.
    """

    def __init__(self, path: Path, *, beat_s: float = _BEAT_S, stale_s: float = _STALE_S) -> None:
        super().__init__(path)
        self._beat_s = beat_s
        self._stale_s = stale_s
        self._seen: bytes | None = None
        self._since = 0.0
        self._ended = threading.Event()
        self._lost = False
        self._thread: threading.Thread | None = None

    def _try(self) -> bool:
        try:
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            self._judge()
            return False
        self._lost = False
        self._write()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="nexa-lease", daemon=True)
        self._thread.start()
        return True

    def _judge(self) -> None:
        content = self._read()
        if content is None:
            return
        now = time.monotonic()
        if content != self._seen:
            self._seen, self._since = content, now
        owner = Owner.parse(content)
        if (owner is not None and owner.is_dead()) or now - self._since >= self._stale_s:
            self._take_over(owner)

    def _take_over(self, stale: Owner | None) -> None:
        aside = self.path.with_name(f"{self.path.name}.{uuid.uuid4().hex}")
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return  # another one was faster
        found = Owner.parse(aside.read_bytes())
        if (found and found.token) != (stale and stale.token):
            # The stale lease had been replaced by a living one just before: that one goes back.
            with contextlib.suppress(FileExistsError):
                os.link(aside, self.path)
        aside.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._ended.wait(self._beat_s):
            if not self._is_ours():
                self._lost = True
                self.on_lost()
                return
            with contextlib.suppress(OSError):  # without a sign of life others take over, and `check` tells
                self._write(beat=1)

    def _is_ours(self) -> bool:
        owner = self._other()
        return owner is not None and owner.token == self._owner.token

    def check(self) -> None:
        """Make sure that the lease still is this process's.

        Raises:
            ArtifactError: It was taken by another one, to which this process seemed dead.
        """
        if self._lost or not self._is_ours():
            self._lost = True
            raise ArtifactError(
                f"{self.path}: another process took over, as this one gave no sign of life",
                remedy="run the command again; it waits for the other one and takes what that made",
            )

    def _forget_file(self) -> None:
        self._ended.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        if not self._lost and self._is_ours():
            super()._forget_file()


def _after_fork_in_child() -> None:
    for lock in list(_held):
        lock._after_fork()  # noqa: SLF001 (this module's own)
    _held.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
