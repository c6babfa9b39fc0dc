"""A loop that saves its state after each step, goes on from a saved one, and is killed after some steps."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from launch import numbers, tell


def main(config: str, out: str, steps: str, journal: str, resumed: str = "") -> None:
    from nexa_data.loaders.torch_loader import build_loader

    rank, left = int(os.environ["RANK"]), int(steps)
    loader = build_loader(config, "train")
    state = Path(f"{journal}.state")
    if resumed:
        loader.load_state_dict(json.loads(Path(f"{resumed}.state").read_bytes()))
    with Path(f"{journal}-{rank}").open("w") as lines:
        while loader.state_dict()["epoch"] < 2:
            for batch in loader:
                lines.write(json.dumps(numbers(batch)) + "\n")
                if rank == 0:
                    state.with_suffix(".new").write_text(json.dumps(loader.state_dict()))
                    state.with_suffix(".new").replace(state)
                left -= 1
                if left == 0:
                    lines.flush()
                    os.kill(os.getpid(), signal.SIGKILL)
            loader.set_epoch(loader.state_dict()["epoch"] + 1)
    tell(out, rank, loader.stats().as_dict())


if __name__ == "__main__":
    main(*sys.argv[1:])
