"""Which shards of an unfinished artifact are whole, so that a run that was stopped isn't begun from nothing."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

from nexa_data._core import build_info, digest_file
from nexa_data.catalog import ShardRecord
from nexa_data.errors import ShardNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ShardJournal"]

_NAME = ".written.jsonl"


class ShardJournal:
    """Shards that lie on the disk, one to a line, each noted once its content is durable.

    The same config over the same files gives the same shards, so that one which is noted needn't be written again, if it
    still has the digest that it was noted with. What another version of this library has written is not taken over.

    Args:
        folder: Folder of the unfinished artifact.
        keep: Whether an earlier run's shards may be taken over; else they are removed.
    """

    def __init__(self, folder: Path, *, keep: bool) -> None:
        self._path = folder / _NAME
        self._folder = folder
        self._lock = Lock()
        self._known = self._load() if keep else {}
        self.reused = 0
        """Shards that weren't written again."""
        shards = folder / "shards"
        shards.mkdir(parents=True, exist_ok=True)
        for path in shards.iterdir():
            if f"shards/{path.name}" not in self._known:
                path.unlink()
        lines = [json.dumps({"version": _version()})]
        lines += [_line(record) for record in self._known.values()]
        self._path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _load(self) -> dict[str, ShardRecord]:
        known: dict[str, ShardRecord] = {}
        # A line that was being written when the run was killed ends the reading: what follows is written again.
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            lines = self._path.read_text(encoding="utf-8").splitlines()
            if not lines or json.loads(lines[0]) != {"version": _version()}:
                return {}
            for line in lines[1:]:
                noted = json.loads(line)
                record = ShardRecord(
                    noted["uri"], noted["split"], noted["bytes"], noted["records"], noted["checksum"]
                )
                known[record.uri] = record
        return known

    def find(self, uri: str, records: int) -> ShardRecord | None:
        """Return the shard of that name if it has so many records and, read again, the content that was noted."""
        known = self._known.get(uri)
        if known is None or known.records != records:
            return None
        try:
            found = digest_file(self._folder / uri, "sha256")[1]
        except ShardNotFoundError:
            return None
        if found != known.checksum:
            return None
        self.reused += 1
        return known

    def has(self, record: ShardRecord) -> bool:
        """Say whether a shard is noted."""
        with self._lock:
            return self._known.get(record.uri) == record

    def add(self, record: ShardRecord) -> None:
        """Note a shard whose content is durable."""
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(_line(record) + "\n")
            file.flush()
            os.fsync(file.fileno())
            self._known[record.uri] = record

    def remove(self) -> None:
        """Remove the journal: the artifact is whole."""
        self._path.unlink(missing_ok=True)


def _line(record: ShardRecord) -> str:
    return json.dumps(record.as_dict())


def _version() -> str:
    return str(build_info()["version"])
