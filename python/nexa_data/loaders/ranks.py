"""Which rank of how many this process is."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass

from nexa_data.errors import ConfigError

__all__ = ["Ranks", "find_ranks"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ranks:
    """Rank and world size, and where they were found."""

    rank: int = 0
    world_size: int = 1
    source: str = "one process"
    distributed: bool = False
    """Whether this process is one of several, even if somebody else cuts the batches."""


def find_ranks(
    rank: int | None = None, world_size: int | None = None, shard: str | tuple[int, int] = "auto"
) -> Ranks:
    """Return rank and world size: the arguments, else an initialised `torch.distributed`, else RANK and WORLD_SIZE.

    Args:
        rank: Rank of this process; together with `world_size`.
        world_size: Number of ranks.
        shard: `"auto"`; `"none"`: every process sees all batches; or `(rank, world_size)`. With `auto`, where
            Accelerate's state is initialised it will cut the batches itself, and all are seen here.

    Raises:
        ConfigError: The numbers contradict each other.
    """
    found = _find(rank, world_size, shard)
    if not 0 <= found.rank < found.world_size:
        raise ConfigError(
            f"rank {found.rank} of {found.world_size} (from {found.source}) is impossible",
            remedy="ranks count from 0 to world_size - 1",
        )
    _log.info("rank %d of %d, from %s", found.rank, found.world_size, found.source)
    return found


def _find(rank: int | None, world_size: int | None, shard: str | tuple[int, int]) -> Ranks:
    if (rank is None) != (world_size is None):
        raise ConfigError("rank and world_size are given together or not at all")
    if rank is not None and world_size is not None:
        return Ranks(rank, world_size, "the arguments", distributed=world_size > 1)
    if isinstance(shard, tuple):
        return Ranks(*shard, "the argument shard", distributed=shard[1] > 1)
    if shard not in {"auto", "none"}:
        raise ConfigError(f"shard={shard!r} is impossible", remedy='use "auto", "none" or (rank, world_size)')
    process = _from_torch() or _from_environment() or Ranks()
    if shard == "none":
        return Ranks(source='the argument shard="none"', distributed=process.distributed)
    if process.distributed and _accelerate_cuts():
        return Ranks(source="Accelerate, which cuts the batches itself", distributed=True)
    return process


def _from_torch() -> Ranks | None:
    import torch.distributed

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return None
    size = torch.distributed.get_world_size()
    return Ranks(torch.distributed.get_rank(), size, "torch.distributed", distributed=size > 1)


def _from_environment() -> Ranks | None:
    rank, size = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
    if not rank or not size:
        return None
    try:
        return Ranks(int(rank), int(size), "RANK and WORLD_SIZE", distributed=int(size) > 1)
    except ValueError as error:
        raise ConfigError(f"RANK={rank!r} and WORLD_SIZE={size!r} are no numbers") from error


def _accelerate_cuts() -> bool:
    state = sys.modules.get("accelerate.state")
    return bool(state and getattr(state.PartialState, "_shared_state", None))
