"""The page cache, filled with files before they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_PIECE_BYTES = 1 << 20


def read_files(paths: Iterable[Path]) -> None:
    """Read files into memory that is used again."""
    piece = bytearray(_PIECE_BYTES)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.readinto(piece):
                pass
