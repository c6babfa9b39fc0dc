"""Which rank of how many this process is."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from nexa_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.distributed.device_mesh import DeviceMesh

__all__ = ["Ranks", "accelerate_runs", "find_ranks"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ranks:
    """Rank and world size, and where they were found."""

    rank: int = 0
    world_size: int = 1
    source: str = "one process"
    distributed: bool = False
    """Whether this process is one of several, even if somebody else cuts the batches."""
    lane: tuple[int, int] = (0, 1)
    """Where somebody else deals out whole batches: the number of this process, and of how many."""


def find_ranks(
    rank: int | None = None,
    world_size: int | None = None,
    shard: str | tuple[int, int] = "auto",
    *,
    mesh: DeviceMesh | None = None,
    dp_dims: Sequence[str | int] | str | int | None = None,
) -> Ranks:
    """Return rank and world size: the arguments, else an initialised `torch.distributed`, else RANK and WORLD_SIZE.

    Args:
        rank: Rank of this process; together with `world_size`.
        world_size: Number of ranks.
        shard: `"auto"`; `"none"`: every process sees all batches; or `(rank, world_size)`. With `auto`, where
            Accelerate's state is initialised it will cut the batches itself, and all are seen here.
        mesh: The processes of this run, instead of all of the above: rank and world size are then those of the
            data-parallel dimensions, so that processes that differ in the others only get equal batches.
        dp_dims: Those dimensions of `mesh`, by name or number, the outermost first; a mesh of one needs none.

    Raises:
        ConfigError: The numbers contradict each other.
    """
    if mesh is None and dp_dims is None:
        found = _find(rank, world_size, shard)
    elif mesh is None or rank is not None or world_size is not None or shard != "auto":
        raise ConfigError(
            "dp_dims are dimensions of a mesh, and a mesh excludes rank, world_size and shard",
            remedy="give mesh and dp_dims alone",
        )
    else:
        found = _from_mesh(mesh, dp_dims)
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
    if process.distributed and accelerate_runs():
        from accelerate.state import PartialState

        state = PartialState()
        lane = state.process_index, state.num_processes
        return Ranks(source="Accelerate, which cuts the batches itself", distributed=True, lane=lane)
    return process


def _from_mesh(mesh: DeviceMesh, dp_dims: Sequence[str | int] | str | int | None) -> Ranks:
    if dp_dims is None and mesh.ndim == 1:
        dp_dims = 0
    wanted = [dp_dims] if isinstance(dp_dims, str | int) else list(dp_dims or ())
    dims = [_dimension(mesh, each) for each in wanted]
    if not dims or len(set(dims)) != len(dims):
        raise ConfigError(
            f"dp_dims={dp_dims!r} doesn't say which dimensions of the mesh are data-parallel",
            remedy=f"name each once: {_dimensions(mesh)}",
        )
    place = mesh.get_coordinate()
    if place is None:
        raise ConfigError(
            "this process is not in the mesh", remedy="build the loader in the mesh's processes alone"
        )
    rank = 0
    for dim in dims:
        rank = rank * mesh.size(dim) + place[dim]
    world_size = prod(mesh.size(dim) for dim in dims)
    source = f"the mesh's {', '.join(map(str, wanted))}"
    return Ranks(rank, world_size, source, distributed=mesh.size() > 1)


def _dimension(mesh: DeviceMesh, name: str | int) -> int:
    names = mesh.mesh_dim_names or ()
    if isinstance(name, str) and name in names:
        return names.index(name)
    if isinstance(name, int) and 0 <= name < mesh.ndim:
        return name
    raise ConfigError(f"the mesh has no dimension {name!r}", remedy=f"it has {_dimensions(mesh)}")


def _dimensions(mesh: DeviceMesh) -> str:
    return ", ".join(mesh.mesh_dim_names or map(str, range(mesh.ndim)))


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


def accelerate_runs() -> bool:
    """Say whether Accelerate's state is initialised in this process."""
    state = sys.modules.get("accelerate.state")
    return bool(state and getattr(state.PartialState, "_shared_state", None))
