"""A folder of files whose content was proven, with the journal that is the proof."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import stat
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import orjson

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

__all__ = ["Facts", "Proof", "ProvenFolder", "Source", "facts_of"]

Facts: TypeAlias = tuple[int, int, int]
"""Size, time of modification and inode: a file that has kept them still is what it was."""

Source: TypeAlias = tuple[str, int, int, int, int]
"""Path, size, time of modification, inode and device of what a file was copied from."""

_DIGEST = re.compile(r"(sha256|blake3|xxh3|crc32c):[0-9a-f]{8,64}")
_MODE = 0o644  # one that a group may write, as some umasks have it, would prove nothing
_SYNC_S = 1.0
_SPARE_LINES = 1000


@dataclass(frozen=True, slots=True)
class Proof:
    """That a file was found to have a digest, and how it came to where it is.

    Args:
        name: The file, relative to its folder.
        digest: `algorithm:hex` of its content.
        facts: What the file was then; with other facts the proof means nothing.
        source: What it was copied from.
        mode: `direct`, `cached` or `buffered`.
        reason: Why it wasn't direct.
        retries: Times that a read or write was tried again.
        reused: `copied`, `resumed` (by an interrupted run), `store` or `artifact` (linked).
    """

    name: str
    digest: str
    facts: Facts
    source: Source | None = None
    mode: str | None = None
    reason: str | None = None
    retries: int = 0
    reused: str = "copied"

    def at(self, name: str, source: Source | None, reused: str) -> Proof:
        """Return the proof of the same content by another name."""
        return Proof(name, self.digest, self.facts, source, self.mode, self.reason, self.retries, reused)

    @classmethod
    def parse(cls, line: str | bytes) -> Self | None:
        """Return the proof that `line` holds, None if it is torn or none of ours."""
        try:
            found: dict[str, Any] = orjson.loads(line)
            size, modified, inode = found["facts"]
            found["facts"] = facts = (int(size), int(modified), int(inode))
            if found["source"] is not None:
                path, *numbers = found["source"]
                found["source"] = (str(path), *map(int, numbers))
            proof = cls(**found)
        except (ValueError, TypeError, KeyError):
            return None
        sound = isinstance(proof.name, str) and isinstance(proof.digest, str)
        return proof if sound and _DIGEST.fullmatch(proof.digest) and min(facts) >= 0 else None

    def dumps(self) -> bytes:
        """Return the proof as a line of JSON."""
        try:
            return orjson.dumps(self, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:  # a path that isn't UTF-8
            return json.dumps(asdict(self)).encode() + b"\n"


def facts_of(path: str, trusted: Collection[int] | None) -> Facts | None:
    """Return the facts of a regular file that somebody trusted owns, None for anything else.

    Args:
        path: The file; a link is not followed.
        trusted: Users whose files count; None for anybody's.
    """
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode) or (trusted is not None and found.st_uid not in trusted):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


class ProvenFolder:
    """Files of a folder, and an append-only journal of what they were proven to be.

    A size alone proves nothing: a preallocated file has its final size from the start. The journal of somebody who
    isn't trusted, or that such a one may write, proves nothing either.

    Args:
        folder: The folder; the journal is made in it when the first proof is.
        journal: Name of the journal in it.
        trusted: Users whose files and journal count.
    """

    def __init__(self, folder: Path, journal: str, trusted: Collection[int]) -> None:
        self.folder = folder
        self.trusted = trusted
        self.journal = folder / journal
        self._proofs: dict[str, Proof] = {}
        self._pending: list[Proof] = []
        self._synced_at = 0.0
        self._unsynced = False
        self._lines = 0
        self._foreign = False
        for line in self._read():
            self._lines += 1
            proof = Proof.parse(line)
            if proof is not None:
                self._proofs[proof.name] = proof

    def _read(self) -> list[bytes]:
        try:
            handle = os.open(self.journal, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return []
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            others = stat.S_IWGRP | stat.S_IWOTH
            if not stat.S_ISREG(found.st_mode) or found.st_uid not in self.trusted or found.st_mode & others:
                self._foreign = True
                return []
            return file.read().splitlines()

    def claims(self) -> Iterable[Proof]:
        """Return what the journal says, whether or not it still holds."""
        return self._proofs.values()

    def get(self, name: str) -> Proof | None:
        """Return the proof of a file if it still holds."""
        proof = self._proofs.get(name)
        return proof if proof and facts_of(f"{self.folder}/{name}", self.trusted) == proof.facts else None

    def add(self, proof: Proof) -> None:
        """Note a proof; `flush` writes it."""
        self._proofs[proof.name] = proof
        self._pending.append(proof)

    def flush(self, *, final: bool = False) -> None:
        """Append what was noted to the journal; it is synced about once a second, and by `final`.

        Raises:
            OSError: It can't be written.
        """
        due = final or time.monotonic() - self._synced_at >= _SYNC_S
        if not self._pending and not (due and self._unsynced):
            return
        if self._foreign:
            self._foreign = False
            self.replace(
                list(self._proofs.values())
            )  # what is appended to a stranger's journal proves nothing
            return
        with self._only_one(), self._appended() as handle:
            lines = b"".join(proof.dumps() for proof in self._pending)
            os.write(handle, _mend(self.journal) + lines)
            self._lines += len(self._pending)
            self._pending.clear()
            self._unsynced = not due
            if due:
                os.fsync(handle)
                self._synced_at = time.monotonic()

    @contextmanager
    def _appended(self) -> Iterator[int]:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(self.journal, flags, _MODE)
        try:
            yield handle
        finally:
            os.close(handle)

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        """Keep other processes from appending to, and from replacing, the journal meanwhile."""
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Where folders can't be locked, a torn line is the worst that can come of it.
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def replace(self, proofs: Iterable[Proof]) -> None:
        """Write a journal of these proofs alone, in their order.

        Raises:
            OSError: It can't be written.
        """
        self._pending.clear()
        self._unsynced = False
        self._proofs = {proof.name: proof for proof in proofs}
        self._lines = len(self._proofs)
        beside = self.journal.with_name(f".{self.journal.name}.{os.getpid()}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(beside, flags, _MODE), "wb") as file:  # noqa: PTH123 (with flags and mode)
            file.writelines(proof.dumps() for proof in self._proofs.values())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.journal)

    def compact(self) -> None:
        """Write the journal anew if most of its lines are of files that are gone or were proven again."""
        if self._lines <= 2 * len(self._proofs) + _SPARE_LINES:
            return
        with self._only_one():
            current = type(self)(self.folder, self.journal.name, self.trusted)
            current.replace([proof for proof in current.claims() if current.get(proof.name)])
            self._lines = len(self._proofs)


def _mend(journal: Path) -> bytes:
    """Return what has to stand before new lines: an end for a line that was torn."""
    with journal.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return b""
        file.seek(-1, os.SEEK_END)
        return b"" if file.read(1) == b"\n" else b"\n"
