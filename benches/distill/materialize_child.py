"""One contestant's run in a process of its own: seconds until all is durable, and the peak of memory above the input."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from nexa_data.distill_materialize import materialize_distilled_dataset

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK_BYTES = 8 << 20


def ours(
    form: Literal["json", "arrow", "sparse"], **options: Any
) -> Callable[[torch.Tensor, torch.Tensor, Path], None]:
    def run(probs: torch.Tensor, targets: torch.Tensor, folder: Path) -> None:
        materialize_distilled_dataset(probs, targets, folder / "out", form=form, **options)

    return run


def json_dump(probs: torch.Tensor, targets: torch.Tensor, folder: Path) -> None:
    rows = [
        {"teacher_probs": row, "target": target}
        for row, target in zip(probs.tolist(), targets.tolist(), strict=True)
    ]
    with (folder / "out.json").open("w") as file:
        json.dump(rows, file, indent=2)
        file.flush()
        os.fsync(file.fileno())


def orjson_rows(probs: torch.Tensor, targets: torch.Tensor, folder: Path) -> None:
    import orjson

    with (folder / "out.json").open("wb") as file:
        opening = b"["
        for row, target in zip(probs.numpy(), targets.tolist(), strict=True):
            file.write(opening)
            file.write(
                orjson.dumps({"teacher_probs": row, "target": target}, option=orjson.OPT_SERIALIZE_NUMPY)
            )
            opening = b","
        file.write(b"]")
        file.flush()
        os.fsync(file.fileno())


def pyarrow_ipc(probs: torch.Tensor, targets: torch.Tensor, folder: Path) -> None:
    import pyarrow as pa

    flat = pa.array(probs.numpy().reshape(-1))
    label = pa.FixedSizeListArray.from_arrays(flat, probs.shape[1])
    batch = pa.record_batch({"label": label, "target": pa.array(targets.numpy())})
    with (folder / "out.arrow").open("wb") as file:
        with pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)
        file.flush()
        os.fsync(file.fileno())


def disk(direct: int) -> Callable[[torch.Tensor, torch.Tensor, Path], None]:
    """Return what writes as many bytes as the tensor has in large blocks: what the disk makes durable at best."""

    def run(probs: torch.Tensor, targets: torch.Tensor, folder: Path) -> None:
        del targets
        import mmap

        block = mmap.mmap(-1, BLOCK_BYTES)
        block.write(os.urandom(BLOCK_BYTES))
        handle = os.open(folder / "out.raw", os.O_CREAT | os.O_WRONLY | direct)
        for _ in range(0, probs.nbytes, BLOCK_BYTES):
            os.write(handle, block)
        os.fsync(handle)
        os.close(handle)

    return run


RUNS: dict[str, Callable[[torch.Tensor, torch.Tensor, Path], None]] = {
    "nexa-data, json": ours("json"),
    "orjson row by row": orjson_rows,
    "json.dump(indent=2)": json_dump,
    "nexa-data, arrow": ours("arrow"),
    "nexa-data, arrow float16": ours("arrow", dtype="float16"),
    "nexa-data, sparse top 20": ours("sparse"),
    "pyarrow IPC, one file, no digest": pyarrow_ipc,
    "the disk, buffered + fsync": disk(0),
    "the disk, O_DIRECT + fsync": disk(os.O_DIRECT),
}


def _status(key: str) -> int:
    """Return a line of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    name, rows, classes, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    torch.set_num_threads(1)
    run = RUNS[name]
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    folder.mkdir(parents=True)
    try:
        # What is imported or begun at first use belongs to no row.
        run(torch.full((2, 4), 0.25), torch.zeros(2, dtype=torch.long), folder)
        shutil.rmtree(folder)
        folder.mkdir()
        generator = torch.Generator().manual_seed(7)
        probs = torch.randn(rows, classes, generator=generator).mul_(3)
        for row in probs:
            row.copy_(torch.softmax(row, 0))
        targets = torch.arange(rows) % classes
        os.sync()
        before = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        begun = time.perf_counter()
        run(probs, targets, folder)
        seconds = time.perf_counter() - begun
        peak = _status("VmHWM") - before
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        found = {"seconds": seconds, "peak_bytes": peak, "file_bytes": size, "tensor_bytes": probs.nbytes}
        if name.startswith("nexa-data") and "json" not in name:
            found |= _load(folder / "out", probs)
        print(json.dumps(found))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _load(folder: Path, probs: torch.Tensor) -> dict[str, float]:
    """Return the rate at which shuffled batches of dense labels come back, from the page cache, and that they are right."""
    from nexa_data.datasets.shards import ShardDataset

    dataset = ShardDataset(folder, "train", columns=("label", "target"))
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(1)).tolist()
    batches = [order[at : at + 64] for at in range(0, len(order), 64)]
    for batch in batches:
        labels, targets = dataset[batch]
        assert labels.dtype == torch.float32
        assert labels.shape == (len(batch), probs.shape[1])
        assert np.array_equal(targets.numpy(), np.array(batch) % probs.shape[1])
    begun, rounds = time.perf_counter(), 0
    while time.perf_counter() - begun < 2.0:
        for batch in batches:
            labels, targets = dataset[batch]
        rounds += 1
    return {"labels_bytes_per_s": rounds * probs.nbytes / (time.perf_counter() - begun)}


if __name__ == "__main__":
    main()
