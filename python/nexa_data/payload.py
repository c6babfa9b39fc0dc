"""What of an artifact's folder is its payload, and the hash over it."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["MARKER_NAME", "META_NAME", "digest_text", "payload_digest", "payload_hash"]

META_NAME = "meta.json"
MARKER_NAME = "COMPLETE"
_NOT_PAYLOAD = frozenset(
    {
        META_NAME,
        MARKER_NAME,
        "README.md",
        "croissant.json",
        "quality_report.html",
        "quality_report.json",
        "staging_report.json",
        "staging_shards.jsonl",
    }
)
_CATALOG_NAME = "catalog.jsonl"


def digest_text(*parts: str) -> str:
    """Return the sha256 of `parts` as hex; parts are length-prefixed, so that no two lists collide."""
    pieces = [piece for raw in map(str.encode, parts) for piece in (len(raw).to_bytes(8, "little"), raw)]
    return hashlib.sha256(b"".join(pieces)).hexdigest()


def _payload(folder: Path) -> list[tuple[str, int]]:
    """Return names and sizes of the payload's files, in the order in which they are hashed."""
    found: list[tuple[str, int]] = []
    folders = [""]
    while folders:
        base = folders.pop()
        with os.scandir(folder / base) as entries:
            for entry in entries:
                name = f"{base}{entry.name}"
                # Journals lie at the top; a shard further down may have any name.
                if name in _NOT_PAYLOAD or name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{name}/")
                elif entry.is_file():
                    found.append((name, entry.stat().st_size))
    # As by the parts of the path: no name holds a byte below its separator's.
    return sorted(found, key=lambda each: each[0].replace("/", "\0"))


def payload_digest(checksum: str) -> str:
    """Return what stands for a file with this checksum in the artifact's hash: bare hex for sha256."""
    return checksum.removeprefix("sha256:")


def payload_hash(folder: Path, digests: Mapping[str, str] | None = None) -> tuple[str, int]:
    """Return (`sha256:<hex>`, bytes) of the payload in `folder`.

    A file counts with its sha256; a shard to which the artifact's own catalog gives a checksum of another algorithm
    counts with that (`blake3:<hex>`), so that it needn't be read once more for a second one.

    Args:
        folder: Folder of the artifact.
        digests: Known digests by relative path (as `payload_digest` gives them), from the pass that wrote the file;
            others are read.
    """
    known = digests or {}
    algorithms: dict[str, str] | None = None
    total = 0
    lines: list[str] = []
    for name, size in _payload(folder):
        digest = known.get(name)
        if digest is None and name.startswith("shards/"):
            algorithms = _algorithms(folder) if algorithms is None else algorithms
            digest = _digest(folder / name, algorithms.get(name, "sha256"))
        elif digest is None:
            digest = _digest(folder / name, "sha256")
        total += size
        lines += [name, str(size), digest]
    return f"sha256:{digest_text(*lines)}", total


def _digest(path: Path, algorithm: str) -> str:
    if algorithm == "sha256":
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    from nexa_data import _core

    return _core.digest_file(path, algorithm)[1]


def _algorithms(folder: Path) -> dict[str, str]:
    """Return the algorithm of each shard whose checksum in the artifact's catalog is no sha256."""
    if not (folder / _CATALOG_NAME).is_file():
        return {}
    from nexa_data import _core

    checksums = {
        entry[1]: entry[5] or "sha256:" for entry in _core.read_catalog(folder / _CATALOG_NAME).entries()
    }
    return {
        uri: checksum.partition(":")[0]
        for uri, checksum in checksums.items()
        if not checksum.startswith("sha256:")
    }
