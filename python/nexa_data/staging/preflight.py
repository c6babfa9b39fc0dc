"""What can be known before the first byte is copied: that it fits, and that it doesn't run into its own source."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nexa_data.errors import StagingError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["refuse_overlap", "refuse_too_little_space"]

# Room for the catalog, the journals and the file system's own bookkeeping.
_SPARE_BYTES = 16 * 1024 * 1024
_SPARE_FILES = 32


def refuse_overlap(root: str, destination: Path) -> None:
    """Refuse a destination that is the catalog's folder, lies in it or holds it.

    Args:
        root: The catalog's folder, without links.
        destination: Where it is to be staged.

    Raises:
        StagingError: They overlap.
    """
    target = os.path.realpath(destination)
    if os.path.commonpath([root, target]) in {root, target}:
        raise StagingError(
            f"destination {target} and the catalog's folder {root} overlap",
            remedy="name a folder apart from it",
        )


def refuse_too_little_space(folder: Path, sizes: list[int], folders: int) -> None:
    """Refuse to begin what doesn't fit, by what an ordinary user may still use: root's reserve isn't touched.

    Args:
        folder: Where the files will lie.
        sizes: Their sizes in bytes.
        folders: Number of folders that are made for them.

    Raises:
        StagingError: Bytes or inodes are lacking; the message has the figures.
    """
    if not sizes:
        return
    found = os.statvfs(folder)
    block = found.f_frsize
    needed = sum(-(-size // block) * block for size in sizes) + _SPARE_BYTES
    free = found.f_bavail * block
    if needed > free:
        raise StagingError(
            f"{folder.parent}: {sum(sizes):,} bytes are to be copied ({needed:,} with file system and reserve), "
            f"{free:,} are free; nothing was copied",
            remedy="free space, evict older copies (--evict lru --max-bytes SIZE), or name another disk",
        )
    files = len(sizes) + folders + _SPARE_FILES
    # File systems that make inodes as they need them say that they have none.
    if found.f_files and files > found.f_favail:
        raise StagingError(
            f"{folder.parent}: {files:,} files are to be made, {found.f_favail:,} inodes are free; nothing was copied",
            remedy="remove files, or name another disk",
        )
