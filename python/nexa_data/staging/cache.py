"""The staging cache of a folder: its staged artifacts and the store beside them, each content counted once."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from nexa_data.artifacts import is_complete, lock_path, read_meta, remove_artifact
from nexa_data.errors import NexaError
from nexa_data.holds import unheld
from nexa_data.locks import lock_for
from nexa_data.staging.plan import STAGED_KIND
from nexa_data.staging.store import STORE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["CachedFile", "Freed", "StagingCache", "is_staged", "removable", "walk"]


@dataclass(slots=True)
class Freed:
    """What was removed.

    Args:
        artifacts: Staged artifacts, as paths, in the order in which they went.
        entries: Number of the store's files.
        bytes: Bytes that are free now.
    """

    artifacts: list[str] = field(default_factory=list)
    entries: int = 0
    bytes: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        return asdict(self)


@dataclass(slots=True)
class CachedFile:
    """One content on disk, under all the names that the cache has for it."""

    key: tuple[int, int]
    size: int
    links: int
    modified_ns: int
    entry: str | None = None
    artifacts: set[Path] = field(default_factory=set)
    names: int = 0

    def is_loose(self) -> bool:
        """Say whether the store alone knows it."""
        return self.entry is not None and self.links == 1


class StagingCache:
    """The files of all staged artifacts in a folder and of the store beside them, each counted once."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / STORE_NAME
        self.files: dict[tuple[int, int], CachedFile] = {}
        for path, found in walk(self.store, 3):
            self._note(found).entry = path
        self.artifacts = [path for path in _folders(folder) if is_staged(path)]
        for artifact in self.artifacts:
            for _, found in walk(artifact):
                self._note(found).artifacts.add(artifact)

    def _note(self, found: os.stat_result) -> CachedFile:
        key = (found.st_dev, found.st_ino)
        file = self.files.get(key)
        if file is None:
            file = self.files[key] = CachedFile(key, found.st_size, found.st_nlink, found.st_mtime_ns)
        file.names += 1
        return file

    @property
    def bytes(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files.values())

    def freeable(self, artifacts: set[Path]) -> int:
        """Return the bytes that go with these artifacts and with all that the store alone knows then."""
        return sum(
            file.size
            for file in self.files.values()
            if file.names == file.links and file.artifacts <= artifacts
        )

    def loose(self) -> list[CachedFile]:
        """Return what the store alone knows, oldest first."""
        found = (file for file in self.files.values() if file.is_loose())
        return sorted(found, key=lambda file: file.modified_ns)

    def drop(self, file: CachedFile, freed: Freed) -> None:
        """Remove an entry of the store that nothing links."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file.entry or "")  # noqa: PTH108 (one for each of very many)
        freed.entries += 1
        freed.bytes += file.size
        self.files.pop(file.key, None)

    def remove(self, artifact: Path, freed: Freed) -> None:
        """Remove an artifact; what the store has of it stays there."""
        gone = Counter((found.st_dev, found.st_ino) for _, found in walk(artifact))
        remove_artifact(artifact)
        freed.artifacts.append(str(artifact))
        self.artifacts.remove(artifact)
        for key, count in gone.items():
            file = self.files.get(key)
            if file is None:
                continue
            file.artifacts.discard(artifact)
            file.links -= count
            file.names -= count
            if file.links == 0:
                freed.bytes += file.size
                del self.files[key]


@contextmanager
def removable(artifact: Path) -> Iterator[bool]:
    """Yield whether nobody reads or writes the artifact; inside the block nobody can begin to."""
    try:
        lock = lock_for(lock_path(artifact))
        free = lock.acquire(wait=False)
    except OSError:
        yield False
        return
    try:
        with unheld(artifact) as quiet:
            yield free and quiet
    finally:
        lock.release()


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            found = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(found) if not name.startswith(".")]


def is_staged(folder: Path) -> bool:
    """Say whether a folder is a staged artifact."""
    try:
        return is_complete(folder) and read_meta(folder).kind == STAGED_KIND
    except NexaError:
        return False


def walk(folder: Path, depth: int = 0) -> Iterator[tuple[str, os.stat_result]]:
    """Yield path and facts of the regular files below `folder`, those exactly `depth` folders deep if that isn't 0."""
    top = str(folder).count("/")
    for base, _, names in os.walk(folder):
        for name in names:
            path = f"{base}/{name}"
            if depth and path.count("/") - top != depth:
                continue
            with contextlib.suppress(FileNotFoundError):
                yield path, os.lstat(path)
