"""Outputs that we make: written beside their destination, hashed, and put in place in one step."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from nexa_data.errors import ArtifactError, NexaError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

__all__ = [
    "FORMAT_VERSION",
    "ArtifactMeta",
    "ArtifactWriter",
    "digest_text",
    "is_complete",
    "move_latest",
    "payload_hash",
    "read_meta",
    "verify_artifact",
    "write_atomic",
]

_log = logging.getLogger(__name__)

FORMAT_VERSION = 1
"""Version of the artifact layout; part of every key, so that a new layout never passes for an old one."""

META_NAME = "meta.json"
MARKER_NAME = "COMPLETE"
_RESUME_NAME = ".resume-key"
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG})
_NOT_PAYLOAD = frozenset(
    {
        META_NAME,
        MARKER_NAME,
        "README.md",
        "croissant.json",
        "quality_report.html",
        "quality_report.json",
        "staging_report.json",
    }
)


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


def digest_text(*parts: str) -> str:
    """Return the sha256 of `parts` as hex; parts are length-prefixed, so that no two lists collide."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode()
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return digest.hexdigest()


def _payload(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in _NOT_PAYLOAD and not name.startswith("."):
            yield name, path


def payload_hash(folder: Path, digests: Mapping[str, str] | None = None) -> tuple[str, int]:
    """Return (`sha256:<hex>`, bytes) of the payload in `folder`.

    Args:
        folder: Folder of the artifact.
        digests: Known sha256 (hex) by relative path, from the pass that wrote the file; others are read.
    """
    known = digests or {}
    total = 0
    lines: list[str] = []
    for name, path in _payload(folder):
        size = path.stat().st_size
        digest = known.get(name)
        if digest is None:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        total += size
        lines += [name, str(size), digest]
    return f"sha256:{digest_text(*lines)}", total


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


def _fsync(path: Path) -> None:
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
    _fsync(path.parent)


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
    _fsync(folder.parent)


class _Lock:
    """An exclusive `flock` on a file beside the destination, removed on release, free again when its owner dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def acquire(self) -> None:
        while True:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                self._lock(handle)
                # The former owner may have removed the file that we waited on: then the lock means nothing.
                if os.fstat(handle).st_ino == self.path.stat().st_ino:
                    os.ftruncate(handle, 0)
                    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
                    self._handle = handle
                    return
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)

    def _lock(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            _log.info("waiting for process %s, which is writing beside %s", owner, self.path)
            fcntl.flock(handle, fcntl.LOCK_EX)

    def release(self) -> None:
        if self._handle is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = None


class ArtifactWriter:
    """Writes one artifact: a context manager that locks, collects files in a partial folder, and publishes.

    On entry it waits for any other process that writes the same destination. A failure keeps the partial
    folder, so that the next run with the same `labels["key"]` resumes; with another key it starts empty.

    Args:
        destination: Folder that the artifact will be.
        kind: Kind that `meta.json` will say.
        inputs: What it is made from.
        labels: Labels; `key` decides about resuming and reuse.

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
    ) -> None:
        self.destination = Path(os.path.abspath(destination))  # noqa: PTH100 (`resolve` would follow `latest`)
        parent, name = self.destination.parent, self.destination.name
        self.path = parent / f".{name}.partial"
        self.kind = kind
        self.inputs = dict(inputs or {})
        self.labels = dict(labels or {})
        self._trash = parent / f".{name}.trash"
        self._lock = _Lock(parent / f".{name}.lock")

    def __enter__(self) -> Self:
        try:
            self.destination.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except OSError as error:
            raise _unwritable(self.destination, error) from error
        try:
            self._refuse_foreign()
            self._open_partial()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A run that found its artifact made already leaves nothing behind.
        with contextlib.suppress(OSError):
            if os.listdir(self.path) == [_RESUME_NAME]:  # noqa: PTH208 (names are all that is asked)
                self.discard()
        self._lock.release()
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

    def publish(self, digests: Mapping[str, str] | None = None) -> ArtifactMeta:
        """Make the partial folder durable and put it in place of the destination.

        Args:
            digests: Known sha256 (hex) by relative path, so that these files aren't read again.

        Returns:
            The meta data that was stored.
        """
        # Journals lie at the top; a shard further down may have any name.
        for path in self.path.glob(".*"):
            if path.is_file():
                path.unlink()
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
        (self.path / META_NAME).write_text(json.dumps(meta.as_dict(), indent=2, sort_keys=True) + "\n")
        self._sync()
        # The marker is the last thing written, and the rename shows it together with all the rest.
        (self.path / MARKER_NAME).write_text(f"{digest}\n")
        _fsync(self.path / MARKER_NAME)
        _fsync(self.path)
        self._put_in_place()
        return meta

    def _sync(self) -> None:
        for folder, _, names in os.walk(self.path, topdown=False):
            for name in names:
                _fsync(Path(folder) / name)
            _fsync(Path(folder))

    def _put_in_place(self) -> None:
        try:
            self.path.rename(self.destination)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            from nexa_data._core import exchange_paths

            exchange_paths(self.path, self.destination)
            self.path.rename(self._trash)
        _fsync(self.destination.parent)
        shutil.rmtree(self._trash, ignore_errors=True)

    def _open_partial(self) -> None:
        shutil.rmtree(self._trash, ignore_errors=True)
        key = self.labels.get("key", "")
        marker = self.path / _RESUME_NAME
        resumable = marker.is_file() and marker.read_text() == key and not is_complete(self.path)
        if self.path.exists() and not resumable:
            self.path.rename(self._trash)
            shutil.rmtree(self._trash)
        self.path.mkdir(exist_ok=True)
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
