"""Whether a source file has the size and the digests that an index beside it promises."""

from __future__ import annotations

import hashlib
import importlib
import logging
from typing import TYPE_CHECKING, Any

from nexa_data.errors import RecordError

if TYPE_CHECKING:
    from pathlib import Path

    from nexa_data.datasets.source_file import SourceFile

__all__ = ["check_digests", "check_size"]

_log = logging.getLogger(__name__)

_PIECE_BYTES = 1 << 20
_REMEDY = "download the dataset's folder again"


def check_size(path: Path, index: Path, promised: object) -> None:
    """Compare a file's size with the one that `index` says, if it says one.

    Raises:
        RecordError: They differ.
    """
    size = path.stat().st_size
    if isinstance(promised, int) and size != promised:
        raise RecordError(f"{path}: it has {size:,} bytes, {index} says {promised:,}", remedy=_REMEDY)


def check_digests(file: SourceFile) -> None:
    """Compare a file with its promised digests: one pass for all whose algorithm there is, none without any.

    Raises:
        RecordError: One differs.
    """
    hashers = {name: hasher for name in file.digests if (hasher := _hasher(name)) is not None}
    unknown = sorted(set(file.digests) - set(hashers))
    if unknown:
        _log.warning("%s: its digests %s are not compared: nothing here computes them", file.path, unknown)
    if not hashers:
        return
    with file.path.open("rb") as content:
        while piece := content.read(_PIECE_BYTES):
            for hasher in hashers.values():
                hasher.update(piece)
    for name, hasher in hashers.items():
        found, promised = hasher.hexdigest(), file.digests[name].lower()
        if found != promised:
            raise RecordError(
                f"{file.path}: its {name} is {found}, its index says {promised}", remedy=_REMEDY
            )


def _hasher(name: str) -> Any:
    """Return a hasher of hashlib or, where that package is installed, xxhash; None if neither has it."""
    if name in hashlib.algorithms_available and not name.startswith("shake_"):
        return hashlib.new(name, usedforsecurity=False)
    if name.startswith("xxh"):
        try:
            made = getattr(importlib.import_module("xxhash"), name, None)
        except ImportError:
            return None
        return None if made is None else made()
    return None
