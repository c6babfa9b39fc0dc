"""The staging cache kept below a bound: what goes first, and what never."""

from __future__ import annotations

from pathlib import Path

from nexa_data.errors import StagingError
from nexa_data.holds import last_use_ns
from nexa_data.sizes import size_bytes
from nexa_data.staging.cache import Freed, StagingCache, removable

__all__ = ["evict", "make_room"]


def evict(folder: Path | str, max_bytes: int | str) -> Freed:
    """Bring the staging cache of a folder below a bound.

    First go files of the store that no artifact links, oldest first, then staged artifacts, least recently used
    first. What a living process reads or writes stays, and so does whatever isn't of kind `staged-dataset`.

    Args:
        folder: Folder that the staged artifacts lie in.
        max_bytes: The bound, in bytes or as a text such as `500GB`; bytes under several names count once.

    Returns:
        What was removed.

    Raises:
        StagingError: It can't be reached; nothing was removed.
    """
    return make_room(Path(folder).absolute(), size_bytes(max_bytes, what="max_bytes"))


def make_room(
    folder: Path, max_bytes: int, *, coming: int = 0, keep: Path | None = None, may_evict: bool = True
) -> Freed:
    """Do as `evict`, for `coming` bytes more, without touching the artifact `keep`.

    Args:
        folder: Folder that the staged artifacts lie in.
        max_bytes: The bound.
        coming: Bytes that are about to be written.
        keep: The artifact that they are written for.
        may_evict: Remove what is needed; else only say whether the bound is kept.

    Raises:
        StagingError: The bound can't be kept; nothing was removed.
    """
    cache, freed = StagingCache(folder), Freed()
    used = cache.bytes
    if used + coming <= max_bytes:
        return freed
    going = [path for path in cache.artifacts if path != keep and _may_go(path)] if may_evict else []
    freeable = cache.freeable(set(going)) if may_evict else 0
    if used + coming - freeable > max_bytes:
        raise StagingError(
            f"{folder}: {coming:,} bytes are to come to the {used:,} of the staging cache, of which {freeable:,} may "
            f"be removed; the bound is {max_bytes:,}; nothing was copied or removed",
            remedy="raise max_bytes (--max-bytes), or end what reads the staged copies"
            if may_evict
            else 'raise max_bytes (--max-bytes), or evict="lru" (--evict lru)',
        )
    oldest = sorted(going, key=last_use_ns)
    while used + coming - freed.bytes > max_bytes:
        loose = cache.loose()
        if loose:
            for file in loose:
                if used + coming - freed.bytes > max_bytes:
                    cache.drop(file, freed)
        elif oldest:
            _remove_if_free(cache, oldest.pop(0), freed)
        else:
            raise StagingError(
                f"{folder}: {used + coming - freed.bytes:,} bytes would be there, the bound is {max_bytes:,}: "
                "what could have been removed came into use meanwhile",
                remedy="run it again, or raise max_bytes (--max-bytes)",
            )
    return freed


def _remove_if_free(cache: StagingCache, artifact: Path, freed: Freed) -> None:
    with removable(artifact) as free:
        if free:
            cache.remove(artifact, freed)


def _may_go(artifact: Path) -> bool:
    with removable(artifact) as free:
        return free
