"""What identifies a source's content, without reading again what hasn't changed."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from nexa_data.artifacts import digest_text, write_atomic
from nexa_data.side_by_side import side_by_side

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nexa_data.datasets.source_file import SourceFile

__all__ = ["fingerprint_files"]


def fingerprint_files(files: Sequence[SourceFile], cache: Path) -> str:
    """Return a digest over the names and contents of `files`.

    A file's sha256 is kept in `cache` under its path, size, modification time and inode; only a file that
    differs in one of these is read again.

    Args:
        files: The files of a source, in their order.
        cache: JSON file of digests that are known; made anew if it is damaged.
    """
    from nexa_data import _core

    known: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):
        loaded = json.loads(cache.read_bytes())
        known = loaded if isinstance(loaded, dict) else {}

    def digest(entry: tuple[SourceFile, str], control: _core.Control) -> str:
        file, facts = entry
        return known.get(facts) or _core.digest_file(file.path, "sha256", control=control)[1]

    # A file's content is looked at after its facts: what changes between the two is read again next time.
    facts = [_facts(file.path) for file in files]
    digests = side_by_side(digest, zip(files, facts, strict=True))
    fresh = {key: found for key, found in zip(facts, digests, strict=True) if key not in known}
    # A store that can't be written costs reading again, no more; who wants to write there will say so.
    if fresh:
        with contextlib.suppress(OSError):
            cache.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(cache, json.dumps(known | fresh, indent=0, sort_keys=True).encode())
    return digest_text(
        *(part for file, found in zip(files, digests, strict=True) for part in (file.origin, found))
    )


def _facts(path: Path) -> str:
    facts = path.stat()
    return f"{path.resolve()}|{facts.st_size}|{facts.st_mtime_ns}|{facts.st_ino}"
