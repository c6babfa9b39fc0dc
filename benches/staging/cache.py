"""The page cache under the contestants: made empty before a run, counted after it."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

_libc = ctypes.CDLL(None, use_errno=True)
_DROP_ATTEMPTS = 3


def files_under(folder: Path) -> list[Path]:
    """Return the regular files of a tree."""
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def resident_bytes(paths: Iterable[Path]) -> int:
    """Return how many bytes of these files lie in the page cache, by mincore(2)."""
    return sum(_resident_pages(path) for path in paths) * mmap.PAGESIZE


def _resident_pages(path: Path) -> int:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            return 0
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as mapped:
            view = np.frombuffer(mapped, np.uint8)
            pages = np.zeros(-(-size // mmap.PAGESIZE), np.uint8)
            failed = _libc.mincore(
                ctypes.c_void_p(view.ctypes.data), ctypes.c_size_t(size), ctypes.c_void_p(pages.ctypes.data)
            )
            del view  # or the mapping could not be closed
            if failed:
                raise OSError(ctypes.get_errno(), "mincore refused", str(path))
            return int(np.count_nonzero(pages & 1))


def drop(paths: Iterable[Path], *, all_caches: bool = False) -> int:
    """Drop these files' pages, and return how many bytes stayed in spite of it.

    Args:
        paths: Files without unwritten pages.
        all_caches: Write to `/proc/sys/vm/drop_caches` too: dentries and inodes go as well; needs root.
    """
    files = list(paths)
    if all_caches:
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    left = 0
    for _ in range(_DROP_ATTEMPTS):
        for path in files:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)
        left = resident_bytes(files)
        if left == 0:
            break
    return left


def sync_filesystem(folder: Path) -> None:
    """Make all that was written to the folder's file system durable, by syncfs(2)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if _libc.syncfs(descriptor):
            raise OSError(ctypes.get_errno(), "syncfs refused", str(folder))
    finally:
        os.close(descriptor)
