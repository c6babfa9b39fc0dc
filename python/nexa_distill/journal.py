"""Answers on disk the moment they arrive, so that no crash makes anybody pay for them again."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any, Self

from nexa_data.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from types import TracebackType

__all__ = ["AnswerJournal"]

_log = logging.getLogger(__name__)

_GROUP_RECORDS = 32
_GROUP_S = 1.0
_READ_BYTES = 1 << 16
_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has only fsync


class AnswerJournal:
    """An append-only JSON Lines file of answers by request key, open for one writer.

    Each record reaches the kernel at once, so `kill -9` loses none; `fdatasync` follows in groups of 32, or
    with the first record that arrives a second after the last one, against a power cut. On open a torn tail
    is cut and a damaged line is left out: those requests are asked again.

    Args:
        path: The file; made with mode 0600 if it isn't there.

    Raises:
        ArtifactError: The file can't be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[bytes, int] = {}
        self._unsynced = 0
        self._synced_at = time.monotonic()
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        # Unbuffered: a record is in the kernel's hands when `append` returns.
        self._file = os.fdopen(handle, "r+b", buffering=0)
        try:
            self._end = self._load()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._places

    def append(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep the answer to request `key`."""
        self._write(key, answer)
        if self._unsynced >= _GROUP_RECORDS or time.monotonic() - self._synced_at >= _GROUP_S:
            self.sync()

    def append_all(self, answers: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Keep those answers whose keys aren't there yet, and sync once: their source is durable already."""
        for key, answer in answers:
            if key not in self:
                self._write(key, answer)
        self.sync()

    def read(self, key: str) -> dict[str, Any]:
        """Return the answer to request `key`.

        Raises:
            KeyError: There is none.
        """
        import orjson

        place, line = self._places[bytes.fromhex(key)], b""
        while not line.endswith(b"\n"):
            piece = os.pread(self._file.fileno(), _READ_BYTES, place + len(line))
            if not piece:
                raise ArtifactError(
                    f"{self.path} was cut while it was open", remedy="run again: the rest is kept"
                )
            line += piece[: piece.find(b"\n") + 1] or piece
        answer: dict[str, Any] = orjson.loads(line)["answer"]
        return answer

    def sync(self) -> None:
        """Make everything appended so far survive a power cut."""
        if self._unsynced:
            _sync_data(self._file.fileno())
        self._unsynced, self._synced_at = 0, time.monotonic()

    def close(self) -> None:
        """Sync and close the file."""
        if not self._file.closed:
            try:
                self.sync()
            finally:
                self._file.close()

    def remove(self) -> None:
        """Close and delete the file: what it kept is published."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _write(self, key: str, answer: Mapping[str, Any]) -> None:
        import orjson

        line = orjson.dumps({"key": key, "answer": answer}, option=orjson.OPT_APPEND_NEWLINE)
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.pwrite(self._file.fileno(), rest, self._end + len(line) - len(rest)) :]
        except OSError as error:
            raise self._unwritable(error) from error
        self._places[bytes.fromhex(key)] = self._end
        self._end += len(line)
        self._unsynced += 1

    def _load(self) -> int:
        end = damaged = 0
        with os.fdopen(os.dup(self._file.fileno()), "rb") as reader:
            for line in reader:
                if not line.endswith(b"\n"):
                    break
                key = _key_of(line)
                if key is None:
                    damaged += 1
                else:
                    self._places[key] = end
                end += len(line)
        if damaged:
            _log.warning(
                "%s: %d damaged lines are left out; their requests are asked again", self.path, damaged
            )
        self._file.truncate(end)
        return end

    def _unwritable(self, error: OSError) -> ArtifactError:
        return ArtifactError(
            f"{self.path}: answers can't be kept: {error.strerror or error}",
            remedy="make room or name another folder, then run again: what was answered is kept",
        )


def _key_of(line: bytes) -> bytes | None:
    import orjson

    try:
        record = orjson.loads(line)
        return bytes.fromhex(record["key"]) if isinstance(record["answer"], dict) else None
    except (ValueError, KeyError, TypeError):
        return None
