"""Starts training scripts as the ranks of a run on this machine, and reads what each of them saw."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from nexa_data.prepare import prepare_from_config

FOLDER = Path(__file__).parent
_TIMEOUT_S = 480


def numbered(folder: Path, records: int, **data: Any) -> Path:
    """Write and prepare a config of so many train records whose first feature is their number; return its path."""
    rows = [f"{at},{at % 7},{at % 3}" for at in range(records)]
    (folder / "in.csv").write_text("\n".join(["number,other,label", *rows]) + "\n")
    config = {
        "data": {
            "dataset_name": "numbered",
            "source_uri": str(folder / "in.csv"),
            "split": {"train": 1, "validation": 0, "test": 0},
            "preprocessing": {"features": ["number", "other"]},
            "shards": {"rows": 23},
        }
        | data,
        "experiment": {"output_dir": str(folder / "runs")},
    }
    prepare_from_config(config)
    path = folder / "config.yaml"
    path.write_text(json.dumps(config))
    return path


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def run_ranks(
    name: str, world_size: int, config: Path, *arguments: object, launched: int | None = None, status: int = 0
) -> list[Any]:
    """Run the script `name` in `world_size` processes; return what each rank wrote.

    Args:
        name: File of the script, in this folder; called as `script CONFIG OUTPUT ARGUMENTS…`.
        world_size: Number of ranks.
        config: Path of the config.
        arguments: Further ones.
        launched: How many processes are started here, without the variables of a rank; the script starts the others.
        status: Exit status that each must have.
    """
    port = str(_free_port())
    out = config.parent / f"out-{port}"
    out.mkdir()
    plain = {name: value for name, value in os.environ.items() if name not in {"RANK", "WORLD_SIZE"}}
    # Names of other machines are never looked for.
    plain |= {
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "CUDA_VISIBLE_DEVICES": "",
    }
    plain |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    started = []
    for rank in range(world_size if launched is None else launched):
        ranked = {"RANK": rank, "WORLD_SIZE": world_size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": world_size}
        environment = plain | (
            {each: str(value) for each, value in ranked.items()} if launched is None else {}
        )
        with (out / f"{rank}.log").open("w") as log:
            command = [sys.executable, str(FOLDER / name), str(config), str(out), *map(str, arguments)]
            started.append(
                subprocess.Popen(
                    command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                )
            )
    until = time.monotonic() + _TIMEOUT_S
    try:
        codes = [process.wait(until - time.monotonic()) for process in started]
    finally:
        for process in started:
            _end(process)
    logs = "\n".join(path.read_text()[-3000:] for path in sorted(out.glob("*.log")))
    assert codes == [status] * len(started), f"{name}: {codes}\n{logs}"
    return [json.loads((out / f"{rank}.json").read_bytes()) for rank in range(world_size) if status == 0]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a script's processes, also those that it started itself."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def numbers(batch: Any) -> list[int]:
    """Return the numbers of a batch's records."""
    features = batch["features"] if isinstance(batch, dict) else batch[0]
    return [int(value) for value in features[:, 0]]


def tell(out: str, rank: int, result: Any) -> None:
    """Write what this rank saw, for `run_ranks`."""
    (Path(out) / f"{rank}.json").write_text(json.dumps(result))
