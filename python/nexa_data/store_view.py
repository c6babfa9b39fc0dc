"""The artifacts of a store, where they come from, and which of them nobody needs any more."""

from __future__ import annotations

import glob
import os
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexa_data.artifact_facts import ArtifactFacts
from nexa_data.artifacts import (
    MARKER_NAME,
    ArtifactMeta,
    is_complete,
    lock_path,
    read_meta,
    remove_artifact,
    tidy,
)
from nexa_data.errors import ArtifactError, ShardNotFoundError
from nexa_data.holds import unheld
from nexa_data.locks import lock_for

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Garbage", "Origin", "Stored", "collect_garbage", "find_artifacts", "find_garbage", "lineage"]

_DEEPEST = 8
_PARTIAL = ".partial"
_INSIDE = 2
"""Folders below an artifact's that a reference may lead to."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An artifact in a store.

    Args:
        path: Its folder.
        meta: What it says of itself; None where that can't be read.
        records: Records of its catalog.
        latest: Whether the symlink `latest` beside it leads to it.
        state: `complete`, `damaged`, or `unfinished` for what a run that was stopped has left.
    """

    path: Path
    meta: ArtifactMeta | None
    records: int
    latest: bool
    state: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        meta = {} if self.meta is None else self.meta.as_dict()
        return {
            "path": str(self.path),
            "records": self.records,
            "latest": self.latest,
            "state": self.state,
            **meta,
        }


def find_artifacts(store: Path) -> list[Stored]:
    """Return the artifacts in and below a folder, and what runs that were stopped have left; links are not followed.

    Raises:
        ShardNotFoundError: There is no such folder.
    """
    store = Path(store)
    if not store.is_dir():
        raise ShardNotFoundError(
            f"there is no folder {store.absolute()}", remedy="name experiment.output_dir, or an artifact"
        )
    return sorted(_below(store.resolve(), _DEEPEST), key=lambda each: str(each.path))


def _below(folder: Path, depth: int) -> Iterator[Stored]:
    if (folder / MARKER_NAME).is_file():
        yield _stored(folder)
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda each: each.name)
    except OSError:
        return
    for entry in entries if depth else ():
        if entry.is_dir(follow_symlinks=False):
            if entry.name.startswith(".") and entry.name.endswith(_PARTIAL):
                yield Stored(Path(entry.path), None, 0, latest=False, state="unfinished")
            elif not entry.name.startswith("."):
                yield from _below(Path(entry.path), depth - 1)


def _stored(folder: Path) -> Stored:
    link = folder.parent / "latest"
    latest = link.is_symlink() and link.resolve() == folder
    try:
        meta = read_meta(folder)
    except ArtifactError:
        return Stored(folder, None, 0, latest, "damaged")
    facts = ArtifactFacts.of(folder, meta.kind, meta.labels, folder.name)
    return Stored(folder, meta, facts.records, latest, "complete")


@dataclass(frozen=True, slots=True)
class Origin:
    """What something was made from.

    Args:
        what: An artifact's kind, or `source`.
        where: Its path or URI.
        state: `there`, `changed` where an artifact has another hash than it had, or `gone`.
        hash: Its hash, where it is an artifact that is there.
        inputs: What it was made from itself.
    """

    what: str
    where: str
    state: str
    hash: str | None = None
    inputs: tuple[Origin, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        inputs = [each.as_dict() for each in self.inputs]
        return {
            "what": self.what,
            "where": self.where,
            "state": self.state,
            "hash": self.hash,
            "inputs": inputs,
        }

    def lines(self, indent: int = 0) -> Iterator[str]:
        """Yield the tree as text, a line each."""
        short = f"  {self.hash[:19]}" if self.hash else ""
        gone = "" if self.state == "there" else f"  ({self.state})"
        yield f"{'  ' * indent}{self.what}  {self.where}{short}{gone}"
        for each in self.inputs:
            yield from each.lines(indent + 1)


def lineage(artifact: Path) -> Origin:
    """Return where an artifact comes from, back to its sources.

    Raises:
        ArtifactError: There is no complete artifact.
    """
    return _origin(read_meta(artifact), set())


def _origin(meta: ArtifactMeta, seen: set[str], known: str | None = None) -> Origin:
    state = "there" if known in {None, meta.hash} else "changed"
    if meta.uri in seen:
        return Origin(meta.kind, meta.uri, state, meta.hash)
    inputs = tuple(_input(where, known, seen | {meta.uri}) for where, known in _references(meta))
    return Origin(meta.kind, meta.uri, state, meta.hash, inputs)


def _references(meta: ArtifactMeta) -> list[tuple[str, str | None]]:
    """Return what an artifact names as its inputs: path or URI, and the hash that it had, where it is known."""
    known = meta.labels.get("source_hash") or meta.labels.get("prepared_hash")
    found: list[tuple[str, str | None]] = []
    for name in ("catalog", "source", "sources", "manifest", "requests", "run"):
        said = meta.inputs.get(name)
        listed = said if isinstance(said, list) else [said]
        found += [(each, known) for each in listed if isinstance(each, str) and each]
    # What a teacher was asked about: files with their digests.
    files = meta.inputs.get("files")
    return found + [(str(each), None) for each in (files if isinstance(files, dict) else ())]


def _artifact_of(where: str) -> Path | None:
    """Return the folder of the artifact that a path or pattern leads into, None if it leads into none."""
    path = Path(where.removeprefix("file://")).expanduser()
    if "://" in where.removeprefix("file://") or (os.sep not in where and not path.exists()):
        return None
    while glob.has_magic(str(path)):
        path = path.parent
    path = path.resolve()
    return next(filter(is_complete, (path, *path.parents[:_INSIDE])), None)


def _input(where: str, known: str | None, seen: set[str]) -> Origin:
    folder = _artifact_of(where)
    if folder is not None:
        try:
            return _origin(read_meta(folder), seen, known)
        except ArtifactError:
            return Origin("artifact", where, "damaged")
    path = Path(where.removeprefix("file://")).expanduser()
    there = "://" in where or path.exists() or _matches(where) or os.sep not in where
    return Origin("source", where, "there" if there else "gone")


def _matches(pattern: str) -> bool:
    return glob.has_magic(pattern) and bool(glob.glob(pattern, recursive=True))  # noqa: PTH207 (patterns may be absolute)


@dataclass(frozen=True, slots=True)
class Garbage:
    """What may go.

    Args:
        path: A folder.
        why: In a few words.
        bytes: What it takes on disk.
    """

    path: Path
    why: str
    bytes: int


def find_garbage(store: Path, *, keep: int = 1, older_than_s: float = 0.0) -> list[Garbage]:
    """Return what of a store nobody needs any more: older versions, and what runs that were stopped have left.

    Kept are, of each dataset, the newest `keep` versions and the one that `latest` leads to; whatever another artifact of
    the store was made from; and what is younger. Whether something is in use is seen when it is removed.

    Args:
        store: The folder.
        keep: Versions of each dataset and kind to keep.
        older_than_s: Seconds of age below which nothing goes.

    Raises:
        ShardNotFoundError: There is no such folder.
    """
    found = find_artifacts(store)
    now = time.time()
    needed = {
        folder
        for each in found
        if each.meta is not None
        for where, _ in _references(each.meta)
        if (folder := _artifact_of(where)) is not None
    }
    garbage: list[Garbage] = []
    versions: dict[tuple[Path, str], list[Stored]] = {}
    for each in found:
        if each.state == "unfinished" and now - each.path.stat().st_mtime >= older_than_s:
            garbage.append(Garbage(each.path, "left by a run that was stopped", _size(each.path)))
        elif each.meta is not None:
            versions.setdefault((each.path.parent, each.meta.kind), []).append(each)
    for group in versions.values():
        group.sort(key=lambda each: each.meta.created_at if each.meta else "", reverse=True)
        for each in group[keep:]:
            age = now - _created(each)
            if not each.latest and each.path not in needed and age >= older_than_s:
                garbage.append(Garbage(each.path, "an older version", _size(each.path)))
    return sorted(garbage, key=lambda each: str(each.path))


def _created(stored: Stored) -> float:
    try:
        return datetime.fromisoformat(stored.meta.created_at).timestamp() if stored.meta else 0.0
    except ValueError:
        return stored.path.stat().st_mtime


def _size(folder: Path) -> int:
    return sum(file.stat(follow_symlinks=False).st_size for file in folder.rglob("*") if file.is_file())


def collect_garbage(garbage: list[Garbage]) -> list[Garbage]:
    """Remove what may go and return it; what somebody holds or writes stays."""
    gone = []
    for each in garbage:
        if each.path.name.startswith(".") and each.path.name.endswith(_PARTIAL):
            tidy(each.path.parent / each.path.name[1 : -len(_PARTIAL)])
        else:
            _remove_if_free(each.path)
        if not each.path.exists():
            gone.append(each)
    return gone


def _remove_if_free(folder: Path) -> None:
    lock = lock_for(lock_path(folder))
    if not lock.acquire(wait=False):
        return
    try:
        with unheld(folder) as free:
            if free:
                remove_artifact(folder)
    finally:
        lock.release()
