"""A loop on a mesh of two data-parallel and two tensor-parallel dimensions."""

from __future__ import annotations

import sys

from launch import numbers, tell


def main(config: str, out: str) -> None:
    import torch
    from nexa_data.loaders.torch_loader import build_loader
    from torch.distributed.device_mesh import init_device_mesh

    # Said, since a build with CUDA would otherwise begin with a backend for devices that aren't there.
    torch.distributed.init_process_group("gloo")
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
    found = {}
    for name, options in {
        "dp": {"dp_dims": ("dp",)},
        "by number": {"dp_dims": 0},
        "the other": {"dp_dims": "tp"},
        "both": {"dp_dims": ("dp", "tp")},
    }.items():
        loader = build_loader(config, "train", mesh=mesh, **options)
        found[name] = [numbers(batch) for batch in loader]
    found["submesh"] = [numbers(batch) for batch in build_loader(config, "train", mesh=mesh["dp"])]
    tell(out, torch.distributed.get_rank(), {"place": mesh.get_coordinate(), "found": found})
    # The first rank keeps the store, which older versions of torch ask once more for each sub-mesh.
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
