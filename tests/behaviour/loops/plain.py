"""A plain training loop under torch.distributed: epochs, and an epoch with its mask."""

from __future__ import annotations

import sys

from launch import numbers, tell


def main(config: str, out: str) -> None:
    import torch
    from nexa_data.loaders.torch_loader import build_loader

    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    loader = build_loader(config, "train")
    epochs = []
    for epoch in range(2):
        loader.set_epoch(epoch)
        epochs.append([(numbers(batch), batch[2].tolist()) for batch in loader])
    tell(out, rank, {"epochs": epochs, "stats": loader.stats().as_dict()})
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
