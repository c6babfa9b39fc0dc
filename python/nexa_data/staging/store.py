"""The content-addressed store beside staged artifacts: a shard that was proven once is linked, not copied."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from nexa_data.staging.hashing import are
from nexa_data.staging.proven import Proof, ProvenFolder, facts_of
from nexa_data.staging.trust import who_may_change

if TYPE_CHECKING:
    from collections.abc import Collection

    from nexa_data.staging.proven import Source

__all__ = ["JOURNAL_NAME", "STORE_NAME", "Store", "open_store", "place_of"]

_log = logging.getLogger(__name__)

STORE_NAME = ".nexa-store"
JOURNAL_NAME = "journal.jsonl"
_MODE = 0o755
# What a file system without (or without more) hard links says.
_UNLINKABLE = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS})


def place_of(digest: str) -> str:
    """Return where the content with this digest lies in a store.

    Example:
        >>> place_of("sha256:9f86d081")
        'sha256/9f/9f86d081'
    """
    algorithm, _, digits = digest.partition(":")
    return f"{algorithm}/{digits[:2]}/{digits}"


def open_store(parent: Path, trusted: Collection[int]) -> tuple[Store | None, str | None]:
    """Return the store in `parent`, made if there is none, or why it isn't used.

    Args:
        parent: Folder of the staged artifacts.
        trusted: Users whose files count.
    """
    folder = parent / STORE_NAME
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(_MODE)
        reason = who_may_change(folder, trusted)
    except OSError as error:
        reason = f"it can't be made: {error.strerror}"
    if reason is None:
        return Store(folder, trusted), None
    _log.warning("the store %s is not used: %s; name its owner by --trust-uid, or remove it", folder, reason)
    return None, reason


class Store(ProvenFolder):
    """Files named by their digest, each a hard link to the shards of artifacts, with a journal of proofs.

    Args:
        folder: The store.
        trusted: Users whose files count.
    """

    def __init__(self, folder: Path, trusted: Collection[int], journal: str = JOURNAL_NAME) -> None:
        super().__init__(folder, journal, trusted)
        self.disabled: str | None = None
        self._digests = {proof.source: proof.digest for proof in self.claims() if proof.source}

    def digest_of(self, source: Source | None, algorithm: str) -> str | None:
        """Return the digest that a source with exactly these facts once had."""
        digest = self._digests.get(source) if source else None
        return digest if digest and digest.startswith(f"{algorithm}:") else None

    def link(self, digest: str, target: str) -> Proof | None:
        """Link the content with this digest to `target`, if it is here and proven.

        Returns:
            The proof, of the store's file; None if there is none, also because it was removed meanwhile.
        """
        place = place_of(digest)
        proof = self._proofs.get(place)
        if proof is None or proof.digest != digest or not self._link(f"{self.folder}/{place}", target):
            return None
        # Looked at after it was linked: what the name meant before is not what counts.
        if facts_of(target, self.trusted) == proof.facts:
            return proof
        Path(target).unlink()
        return None

    def _link(self, source: str | Path, target: str | Path) -> bool:
        try:
            os.link(source, target, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno not in _UNLINKABLE | {errno.EMLINK}:
                raise
            if self.disabled is None:
                _log.info("%s can't be linked (%s): shards are copied", source, error.strerror)
            self.disabled = f"hard links are not possible here: {error.strerror}"
            return False
        return True

    def prove_again(self, digests: Collection[str]) -> None:
        """Hash files that lie here but aren't proven, because a line was lost or somebody else owns them.

        Those with another content than their name says are removed.
        """
        lost = []
        for digest in digests:
            path = f"{self.folder}/{place_of(digest)}"
            if self.get(place_of(digest)) is None and os.path.lexists(path) and self._make_own(path):
                lost.append((path, digest, facts_of(path, self.trusted)))
        good = are((path, digest) for path, digest, _ in lost)
        for (path, digest, before), is_good in zip(lost, good, strict=True):
            if is_good and before is not None and facts_of(path, self.trusted) == before:
                self.add(Proof(place_of(digest), digest, before))
            else:
                _log.warning("%s is not what its name says; it is removed", path)
                _remove(path)
        self.flush()

    def _make_own(self, path: str) -> bool:
        """Replace somebody else's file by our own copy of it, which he can't change once it is proven."""
        if facts_of(path, self.trusted) is not None:
            return True
        own = _beside(path)
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as source, own.open("xb") as file:  # noqa: PTH123 (flags)
                shutil.copyfileobj(source, file, 1 << 20)
            own.chmod(0o444)
            own.replace(path)
        except OSError as error:
            _log.warning("%s is somebody else's and is not used: %s", path, error.strerror)
            _remove(own)
            _remove(path)
            return False
        return True

    def put(self, path: str, proof: Proof) -> None:
        """Keep a proven file here too, as a link; does nothing where that can't be.

        Args:
            path: The file.
            proof: Its proof.
        """
        if self.disabled is not None:
            return
        place = place_of(proof.digest)
        try:
            if self._keep(path, place, proof):
                if proof.source is not None:
                    self._digests[proof.source] = proof.digest
                self.add(proof.at(place, proof.source, "copied"))
        except OSError as error:
            self._disable(error)

    def _keep(self, path: str, place: str, proof: Proof) -> bool:
        target = f"{self.folder}/{place}"
        try:
            if self._link(path, target):
                return True
            if self.disabled is None:
                self._make_folders(place)
            return self.disabled is None and self._link(path, target)
        except FileExistsError:
            if self.get(place) is not None:
                return False
            if facts_of(target, self.trusted) != proof.facts:
                beside = _beside(target)
                os.link(path, beside)
                beside.replace(target)
                # A rename over a link to the same file does nothing and leaves both names.
                beside.unlink(missing_ok=True)
            return True

    def _make_folders(self, place: str) -> None:
        folder = self.folder
        for part in place.split("/")[:-1]:
            folder /= part
            with contextlib.suppress(FileExistsError):
                folder.mkdir(_MODE)

    def flush(self, *, final: bool = False) -> None:
        """Write the journal; a store that can't be written costs copies later, never the staging."""
        try:
            super().flush(final=final)
        except OSError as error:
            self._disable(error)

    def _disable(self, error: OSError) -> None:
        if self.disabled is None:
            _log.warning("nothing more is kept in the store %s: %s", self.folder, error.strerror)
        self.disabled = f"the store can't be written: {error.strerror}"


def _beside(path: str) -> Path:
    return Path(f"{path}.{uuid.uuid4().hex}")


def _remove(path: str | Path) -> None:
    with contextlib.suppress(OSError):
        Path(path).unlink()
