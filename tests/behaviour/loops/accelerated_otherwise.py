"""A loop whose loader Accelerate has prepared to draw on one process for all, or to split what was cut for one."""

from __future__ import annotations

import sys

from launch import numbers, tell


def main(config: str, out: str, way: str) -> None:
    from accelerate import Accelerator
    from accelerate.utils import DataLoaderConfiguration
    from nexa_data.loaders.torch_loader import build_loader

    ways = DataLoaderConfiguration(dispatch_batches=way != "split", split_batches=way != "dispatch")
    accelerator = Accelerator(cpu=True, dataloader_config=ways)
    loader = build_loader(config, "train")
    prepared = accelerator.prepare(loader)
    found = {
        "epochs": [[numbers(batch) for batch in prepared] for _ in range(2)],
        "stats": loader.stats().as_dict(),
        "batches": len(prepared),
    }
    tell(out, accelerator.process_index, found)
    accelerator.end_training()


if __name__ == "__main__":
    main(*sys.argv[1:])
