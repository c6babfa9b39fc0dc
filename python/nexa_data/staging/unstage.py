"""A staged artifact removed again, with all that nobody else has of it."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from nexa_data.artifacts import lock_path, partial_path, trash_path
from nexa_data.errors import ArtifactError
from nexa_data.holds import unheld
from nexa_data.locks import lock_for
from nexa_data.staging.cache import Freed, StagingCache, is_staged, walk

__all__ = ["unstage"]


def unstage(destination: Path | str, *, force: bool = False, keep_store: bool = False) -> Freed:
    """Remove a staged artifact, what an interrupted run left of it, and what the store alone knows then.

    Args:
        destination: Folder of the artifact.
        force: Remove it although a process reads it; that one keeps the files that it has open.
        keep_store: Let the store be: another catalog with the same shards links them.

    Returns:
        What was removed.

    Raises:
        ArtifactError: There is nothing staged, it is something else, or a process reads or writes it.
    """
    folder = Path(os.path.abspath(destination))  # noqa: PTH100 (a link is not followed: it is somebody else's)
    left = [path for path in (partial_path(folder), trash_path(folder)) if path.is_dir()]
    if not folder.is_dir() and not left and not lock_path(folder).exists():
        raise ArtifactError(
            f"there is nothing staged at {folder}", remedy="name the folder that `stage` printed"
        )
    if folder.is_symlink() or (folder.exists() and not is_staged(folder)):
        raise ArtifactError(f"{folder} is no staged artifact", remedy="nothing was touched")
    cache, freed = StagingCache(folder.parent), Freed()
    lock = lock_for(lock_path(folder))
    if not lock.acquire(wait=False):
        raise ArtifactError(f"{folder} is being staged", remedy="end that process, or wait for it")
    try:
        if folder.exists():
            with unheld(folder) as free:
                if not free and not force:
                    raise ArtifactError(
                        f"a process reads {folder}",
                        remedy="end it, or pass --force (force=True); nothing was touched",
                    )
                cache.remove(folder, freed)
        for path in left:
            freed.bytes += sum(found.st_size for _, found in walk(path) if found.st_nlink == 1)
            shutil.rmtree(path)
    finally:
        lock.release()
    if not keep_store:
        _empty(folder.parent, freed)
    return freed


def _empty(folder: Path, freed: Freed) -> None:
    """Remove from the store what it alone knows, and the store itself if it is empty then."""
    cache = StagingCache(folder)
    for file in cache.loose():
        cache.drop(file, freed)
    if any(True for _ in walk(cache.store, 3)):
        return
    for base, folders, names in os.walk(cache.store, topdown=False):
        for name in names:
            Path(base, name).unlink(missing_ok=True)
        for name in folders:
            with contextlib.suppress(OSError):
                Path(base, name).rmdir()
    with contextlib.suppress(OSError):
        cache.store.rmdir()
