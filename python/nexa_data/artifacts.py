"""Outputs that we make: written beside their destination, hashed, and put in place in one step."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from nexa_data.artifact_facts import ArtifactFacts
from nexa_data.croissant import CROISSANT_NAME, croissant_description
from nexa_data.dataset_card import CARD_NAME, dataset_card
from nexa_data.errors import ArtifactError, NexaError
from nexa_data.locks import lock_for
from nexa_data.payload import MARKER_NAME, META_NAME, digest_text, payload_digest, payload_hash
from nexa_data.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from types import TracebackType

    from nexa_data.locks import Lock

__all__ = [
    "FORMAT_VERSION",
    "MARKER_NAME",
    "METADATA_NAME",
    "ArtifactMeta",
    "ArtifactWriter",
    "digest_text",
    "fsync",
    "is_complete",
    "lock_path",
    "move_latest",
    "partial_path",
    "payload_digest",
    "payload_hash",
    "read_meta",
    "remove_artifact",
    "tidy",
    "trash_path",
    "verify_artifact",
    "write_atomic",
]

FORMAT_VERSION = 1
"""Version of the artifact layout; part of every key, so that a new layout never passes for an old one."""

METADATA_NAME = "dataset_metadata.json"
"""File of a dataset's artifact that says what its columns are."""

_RESUME_NAME = ".resume-key"
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class ArtifactMeta:
    """What an artifact says of itself; stored as `meta.json` in its folder.

    Args:
        kind: What it is: `dataset`, `dataset-metadata`, `staged-dataset`, `teacher-outputs`, …
        uri: Absolute path of its folder.
        hash: `sha256:<hex>` over the payload's sorted (relative path, size, sha256).
        bytes: Sum of the payload's file sizes.
        created_at: Time of publication, ISO 8601, UTC.
        inputs: What it was made from, by name.
        labels: Free text by name; `key` decides about reuse.
    """

    kind: str
    uri: str
    hash: str
    bytes: int
    created_at: str
    inputs: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Folder of the artifact."""
        return Path(self.uri)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        return asdict(self)


def is_complete(path: Path) -> bool:
    """Say whether `path` is a published artifact (its marker is there)."""
    return (path / MARKER_NAME).is_file()


def read_meta(path: Path) -> ArtifactMeta:
    """Read the meta data of the artifact in folder `path`; a symlink such as `latest` is followed.

    Raises:
        ArtifactError: There is no complete artifact, or its `meta.json` is damaged.
    """
    folder = Path(path).resolve()
    if not is_complete(folder):
        raise ArtifactError(
            f"{folder} is not a complete artifact (no {MARKER_NAME} marker)",
            remedy="name the folder that `nexa-data prepare` or `nexa-data stage` printed, or run it again",
        )
    try:
        stored = json.loads((folder / META_NAME).read_bytes())
        return ArtifactMeta(**{**stored, "uri": str(folder)})
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"{folder / META_NAME} can't be read: {error}",
            remedy="delete the folder and make the artifact anew",
        ) from error


def verify_artifact(path: Path) -> ArtifactMeta:
    """Read the whole payload of an artifact and compare it with its recorded hash.

    Raises:
        ArtifactError: It is incomplete, or a byte of the payload changed since it was published.
    """
    meta = read_meta(path)
    found, _ = payload_hash(meta.path)
    if found != meta.hash:
        raise ArtifactError(
            f"{meta.uri} was changed after it was published: recorded {meta.hash}, found {found}",
            remedy="delete it and make it anew",
        )
    return meta


def fsync(path: Path | str) -> None:
    """Make a file's content, or a folder's entries, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write `data` so that `path` holds either what it held before or all of `data`, also after a crash.

    Args:
        path: File to write; its folder must exist.
        data: The bytes, or pieces of them (streamed).

    Raises:
        OSError: The folder can't be written, or the disk is full; nothing is left behind.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in (data,) if isinstance(data, bytes) else data:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            os.fchmod(file.fileno(), 0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    fsync(path.parent)


def move_latest(folder: Path) -> None:
    """Point the symlink `latest` beside `folder` to it, atomically."""
    link = folder.parent / "latest"
    if link.is_symlink() and link.readlink() == Path(folder.name):
        return
    if link.exists() and not link.is_symlink():
        raise ArtifactError(f"{link} is not a symlink of ours", remedy="move it away and run again")
    temporary = folder.parent / f".latest.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name)
    temporary.replace(link)
    fsync(folder.parent)


def remove_artifact(folder: Path) -> None:
    """Remove an artifact so that it is gone as a whole at once, whatever interrupts the rest."""
    trash = trash_path(folder)
    shutil.rmtree(trash, ignore_errors=True)
    folder.rename(trash)
    fsync(folder.parent)
    shutil.rmtree(trash, ignore_errors=True)


def tidy(folder: Path) -> None:
    """Remove what a killed run left beside the published artifact in `folder`; a living one is let be."""
    left = (partial_path(folder), trash_path(folder), lock_path(folder))
    if not any(map(os.path.lexists, left)):
        return
    with contextlib.suppress(OSError):
        lock = lock_for(lock_path(folder))
        if lock.acquire(wait=False):
            for path in left[:2]:
                shutil.rmtree(path, ignore_errors=True)
            lock.release()


def lock_path(folder: Path) -> Path:
    """Return the file whose owner may write the artifact in `folder`."""
    return folder.parent / f".{folder.name}.lock"


def partial_path(folder: Path) -> Path:
    """Return where the artifact in `folder` is written until it is published."""
    return folder.parent / f".{folder.name}.partial"


def trash_path(folder: Path) -> Path:
    """Return where what is to be removed of the artifact in `folder` goes first."""
    return folder.parent / f".{folder.name}.trash"


class ArtifactWriter:
    """Writes one artifact: a context manager that locks, collects files in a partial folder, and publishes.

    On entry it waits for any other process that writes the same destination. A failure keeps the partial
    folder, so that the next run with the same `labels["key"]` resumes; with another key it starts empty.

    Args:
        destination: Folder that the artifact will be.
        kind: Kind that `meta.json` will say.
        inputs: What it is made from.
        labels: Labels; `key` decides about resuming and reuse.
        lock: How other processes are kept out: `auto`, `flock` or `lease`; see `nexa_data.locks.lock_for`.
        listen: Called while waiting for another process, with the numbers that it gives to `tell`.

    Raises:
        ArtifactError: The destination is a file, a foreign non-empty folder, or an artifact of another kind.

    Example:
        >>> import tempfile
        >>> with ArtifactWriter(Path(tempfile.mkdtemp()) / "a", kind="demo") as writer:
        ...     _ = (writer.path / "payload.txt").write_text("hello")
        ...     meta = writer.publish()
        >>> meta.bytes
        5
    """

    def __init__(
        self,
        destination: Path,
        *,
        kind: str,
        inputs: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
        lock: str = "auto",
        listen: Callable[..., object] | None = None,
    ) -> None:
        self.destination = Path(os.path.abspath(destination))  # noqa: PTH100 (`resolve` would follow `latest`)
        self.path = partial_path(self.destination)
        self.kind = kind
        self.inputs: dict[str, Any] = redacted(inputs or {})
        self.labels: dict[str, str] = redacted(labels or {})
        self._trash = trash_path(self.destination)
        self._kind_of_lock = lock
        self._listen = listen
        self._lock: Lock | None = None

    def __enter__(self) -> Self:
        parent = self.destination.parent
        try:
            parent.mkdir(parents=True, exist_ok=True)
            lock = lock_for(lock_path(self.destination), self._kind_of_lock)
            lock.acquire(listen=self._listen)
        except OSError as error:
            raise _unwritable(self.destination, error) from error
        self._lock = lock
        try:
            self._refuse_foreign()
            self._open_partial()
        except OSError as error:
            lock.release()
            raise error if isinstance(error, NexaError) else _unwritable(self.destination, error) from error
        except BaseException:
            lock.release()
            raise
        return self

    @property
    def lock(self) -> Lock:
        """What keeps other processes out, and shows them what it is told."""
        if self._lock is None:
            raise ArtifactError("the writer isn't entered", remedy="use it in a `with` block")
        return self._lock

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A run that found its artifact made already leaves nothing behind.
        with contextlib.suppress(OSError):
            if os.listdir(self.path) == [_RESUME_NAME]:  # noqa: PTH208 (names are all that is asked)
                self.discard()
        self.lock.release()
        if isinstance(error, OSError) and not isinstance(error, NexaError) and error.errno in _UNWRITABLE:
            raise _unwritable(self.destination, error) from error

    def existing(self) -> ArtifactMeta | None:
        """Return the artifact at the destination if it is complete and has our kind and key, else None."""
        if not is_complete(self.destination):
            return None
        meta = read_meta(self.destination)
        same = meta.kind == self.kind and meta.labels.get("key") == self.labels.get("key")
        return meta if same else None

    def discard(self) -> None:
        """Remove the partial folder: there is nothing in it to resume from."""
        shutil.rmtree(self.path, ignore_errors=True)

    def publish(
        self, digests: Mapping[str, str] | None = None, *, durable: Collection[str] = ()
    ) -> ArtifactMeta:
        """Make the partial folder durable and put it in place of the destination.

        Args:
            digests: Known digests by relative path (see `payload_digest`), so that these files aren't read again.
            durable: Relative paths of files whose content is on disk already, so that they aren't synced again.

        Returns:
            The meta data that was stored.

        Raises:
            ArtifactError: Another process took over, as this one seemed dead.
        """
        digest, size = payload_hash(self.path, digests)
        meta = ArtifactMeta(
            kind=self.kind,
            uri=str(self.destination),
            hash=digest,
            bytes=size,
            created_at=datetime.now(UTC).isoformat(timespec="microseconds"),
            inputs=self.inputs,
            labels=self.labels,
        )
        self._describe(meta)
        (self.path / META_NAME).write_text(json.dumps(meta.as_dict(), indent=2, sort_keys=True) + "\n")
        self._sync(durable)
        # The marker is the last thing written, and the rename shows it together with all the rest.
        (self.path / MARKER_NAME).write_text(f"{digest}\n")
        fsync(self.path / MARKER_NAME)
        fsync(self.path)
        self.lock.check()
        self._drop_journals()
        self._put_in_place()
        return meta

    def _describe(self, meta: ArtifactMeta) -> None:
        """Write what others read it by: a card for people and the Hub, and a description by Croissant."""
        facts = ArtifactFacts.of(self.path, meta.kind, meta.labels, self.destination.name)
        (self.path / CARD_NAME).write_text(dataset_card(facts), encoding="utf-8")
        described = croissant_description(facts, meta.created_at)
        (self.path / CROISSANT_NAME).write_text(described, encoding="utf-8")

    def _drop_journals(self) -> None:
        """Remove what only an interrupted run would need; last of all what says that it may resume."""
        for path in self.path.glob(".*"):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _RESUME_NAME:
                path.unlink()
        (self.path / _RESUME_NAME).unlink(missing_ok=True)

    def _sync(self, durable: Collection[str]) -> None:
        top = len(str(self.path)) + 1
        for folder, _, names in os.walk(self.path, topdown=False):
            for name in names:
                path = f"{folder}/{name}"
                if path[top:] not in durable:
                    fsync(path)
            fsync(folder)

    def _put_in_place(self) -> None:
        try:
            self.path.rename(self.destination)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            from nexa_data._core import exchange_paths

            exchange_paths(self.path, self.destination)
            self.path.rename(self._trash)
        fsync(self.destination.parent)
        shutil.rmtree(self._trash, ignore_errors=True)

    def _open_partial(self) -> None:
        shutil.rmtree(self._trash, ignore_errors=True)
        key = self.labels.get("key", "")
        marker = self.path / _RESUME_NAME
        resumable = marker.is_file() and marker.read_text() == key
        if self.path.exists() and not resumable:
            self.path.rename(self._trash)
            shutil.rmtree(self._trash)
        self.path.mkdir(exist_ok=True)
        # A run that was stopped just before the rename has left the marker.
        (self.path / MARKER_NAME).unlink(missing_ok=True)
        marker.write_text(key)

    def _refuse_foreign(self) -> None:
        if not self.destination.exists():
            return
        if not self.destination.is_dir():
            raise ArtifactError(f"{self.destination} is a file", remedy="name a folder")
        if is_complete(self.destination):
            kind = read_meta(self.destination).kind
            if kind != self.kind:
                raise ArtifactError(
                    f"{self.destination} is an artifact of kind {kind} and not to be replaced by one of kind {self.kind}",
                    remedy="name another folder; nothing was touched",
                )
        elif any(self.destination.iterdir()):
            raise ArtifactError(
                f"{self.destination} holds files that are not an artifact of nexa-data",
                remedy="name an empty or new folder; nothing was touched",
            )


def _unwritable(destination: Path, error: OSError) -> NexaError:
    return ArtifactError(
        f"{destination} can't be written: {error.strerror or error}",
        remedy="name a folder on a writable file system with free space",
    )
