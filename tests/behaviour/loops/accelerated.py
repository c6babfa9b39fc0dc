"""A loop whose loader Accelerate has prepared: epochs, and an epoch whose first batches are skipped."""

from __future__ import annotations

import sys

from launch import numbers, tell


def main(config: str, out: str) -> None:
    from accelerate import Accelerator
    from nexa_data.loaders.torch_loader import build_loader

    accelerator = Accelerator(cpu=True)
    loader = build_loader(config, "train")
    prepared = accelerator.prepare(loader)
    epochs = [[(numbers(batch), batch[2].tolist()) for batch in prepared] for _ in range(2)]
    stats = loader.stats().as_dict()

    resumed = build_loader(config, "train")
    again = accelerator.prepare(resumed)
    again.set_epoch(1)
    skipped = accelerator.skip_first_batches(again, 2)
    rest = [numbers(batch) for batch in skipped]
    following = [numbers(batch) for batch in again]

    alone = build_loader(config, "train", shard="none")
    bare = [numbers(batch) for batch in accelerator.skip_first_batches(alone, 3)]
    found = {
        "epochs": epochs,
        "stats": stats,
        "rest": rest,
        "rest_stats": resumed.stats().as_dict(),
        "following": following,
        "bare": bare,
        "whole": [numbers(batch) for batch in build_loader(config, "train", shard="none")],
        "batches": len(prepared),
    }
    tell(out, accelerator.process_index, found)
    accelerator.end_training()


if __name__ == "__main__":
    main(*sys.argv[1:])
