"""The records that every contestant reads: made from a seed, once as arrays, once as our shards.

W1 is a table: 32 float32 features and an int64 label. W2 is language: 2,048 uint16 tokens. Peers with a format of their
own get it written from the arrays; those that work record by record get fewer records, which changes nothing for them
and saves hours of writing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.staging.cache import drop

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

SHARDS = 8
_SHARE = 1 << 16


@dataclass(frozen=True)
class Workload:
    """A kind of data, and how it is batched.

    Args:
        name: `W1` or `W2`.
        records: Number of records.
        few: Records for peers that work record by record.
        batch: Records per batch.
        width: Elements of the wide column.
        dtype: Their type.
        labels: Whether there is a label too.
    """

    name: str
    records: int
    few: int
    batch: int
    width: int
    dtype: str
    labels: bool

    @property
    def column(self) -> str:
        """Name of the wide column."""
        return "features" if self.labels else "tokens"

    @property
    def record_bytes(self) -> int:
        """Bytes of a record."""
        return self.width * np.dtype(self.dtype).itemsize + (8 if self.labels else 0)

    def smaller(self, part: int) -> Workload:
        """Return the same with a fraction of the records, for a smoke test."""
        return Workload(
            self.name,
            self.records // part,
            max(self.few // part, 8 * self.batch),
            self.batch,
            self.width,
            self.dtype,
            self.labels,
        )


W1 = Workload("W1", 4_000_000, 200_000, 1024, 32, "float32", labels=True)
W2 = Workload("W2", 200_000, 20_000, 32, 2048, "uint16", labels=False)
WORKLOADS = {"W1": W1, "W2": W2}


def arrays(folder: Path) -> list[npt.NDArray[Any]]:
    """Return the columns, mapped."""
    names = ["wide.npy", "label.npy"] if (folder / "label.npy").exists() else ["wide.npy"]
    return [np.load(folder / name, mmap_mode="r") for name in names]


def make(folder: Path, work: Workload) -> None:
    """Write arrays and shards, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "made.json"
    wanted = {"records": work.records, "width": work.width, "dtype": work.dtype}
    if done.exists() and json.loads(done.read_text()) == wanted:
        return
    random = np.random.Generator(np.random.SFC64(1))
    shape = (work.records, work.width)
    wide = np.lib.format.open_memmap(folder / "wide.npy", "w+", dtype=work.dtype, shape=shape)
    for start in range(0, work.records, _SHARE):
        rows = min(_SHARE, work.records - start)
        if work.dtype == "float32":
            wide[start : start + rows] = random.standard_normal((rows, work.width), np.float32)
        else:
            wide[start : start + rows] = random.integers(0, 50_000, (rows, work.width), np.uint16)
    wide.flush()
    columns: dict[str, npt.NDArray[Any]] = {work.column: wide}
    if work.labels:
        label = random.integers(0, 10, work.records)
        np.save(folder / "label.npy", label)
        columns["label"] = label
    _shards(folder / "nexa", columns, work.records)
    done.write_text(json.dumps(wanted))


def _shards(folder: Path, columns: dict[str, npt.NDArray[Any]], records: int) -> None:
    from nexa_data import _core
    from nexa_data.shard_output import tensor_batch

    (folder / "shards").mkdir(parents=True, exist_ok=True)
    lines = []
    each = -(-records // SHARDS)
    for number, start in enumerate(range(0, records, each)):
        rows = min(each, records - start)
        uri = f"shards/train-{number:05d}.arrow"
        part = {name: np.ascontiguousarray(values[start : start + rows]) for name, values in columns.items()}
        size, checksum = _core.write_shard(folder / uri, [tensor_batch(part)])
        lines.append({"uri": uri, "split": "train", "bytes": size, "records": rows, "checksum": checksum})
    (folder / "catalog.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def preread(folder: Path) -> None:
    """Read every file below `folder` once, so that it comes from the page cache, ours through our own mapping.

    Our loader maps shards that fit into memory with large pages, and the page cache keeps a file in pages as large as
    those that it was first read in.
    """
    drop(sorted((folder / "nexa" / "shards").iterdir()))
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "nexa" not in path.parts:
            with path.open("rb", buffering=0) as file:
                while file.read(1 << 24):
                    pass
    from nexa_data.datasets.shards import ShardDataset

    column = "features" if (folder / "label.npy").exists() else "tokens"
    dataset = ShardDataset(folder / "nexa", "train", columns=[column], as_dict=True)
    for start in range(0, len(dataset), _SHARE // 64):
        dataset[range(start, min(start + _SHARE // 64, len(dataset)))]
