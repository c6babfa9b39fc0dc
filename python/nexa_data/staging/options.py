"""How a catalog is to be staged, checked once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from nexa_data.errors import ConfigError
from nexa_data.sizes import size_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["ALGORITHMS", "StagingOptions"]

ALGORITHMS = ("sha256", "blake3", "xxh3", "crc32c")
"""Digests that a shard may be staged with."""

_ENGINES = ("auto", "io_uring", "threads")
_SIZES = ("block_bytes", "max_memory", "max_bandwidth", "max_bytes")


def _silent(done: int, total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True)
class StagingOptions:
    """The keyword arguments of `stage_catalog_to_nvme`, in one value; sizes in bytes, 0 or None where none is given."""

    algorithm: str = "sha256"
    threads: int | None = None
    direct: bool = True
    engine: str = "auto"
    block_bytes: int | None = None
    max_memory: int | None = None
    max_bandwidth: int | None = None
    read_back: bool = False
    reuse: bool = True
    evict: str | None = None
    max_bytes: int | None = None
    trusted_uids: Collection[int] = ()
    progress: Callable[[int, int], object] = field(default=_silent)
    shard_progress: Callable[[int, int], object] = field(default=_silent)

    @classmethod
    def checked(cls, **given: Any) -> Self:
        """Return the options that were given; sizes may be texts such as `64GiB`.

        Raises:
            ConfigError: One of them is impossible.
        """
        _one_of("checksum algorithm", given["algorithm"], ALGORITHMS)
        _one_of("copy engine", given["engine"], _ENGINES)
        if given["evict"] is not None:
            _one_of("eviction", given["evict"], ("lru",))
            if given["max_bytes"] is None:
                raise ConfigError("evict needs a bound", remedy="give max_bytes (--max-bytes) too")
        for name in _SIZES:
            if given[name] is not None:
                given[name] = size_bytes(given[name], what=name)
        for name in ("progress", "shard_progress"):
            given[name] = given[name] or _silent
        return cls(**given)


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"unknown {what} {value!r}", remedy=f"known: {', '.join(known)}")
