"""MosaicML's MDS: ours beside the reader of mosaicml-streaming."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from benches.decode.agreement import Sums, of_records
from benches.decode.contestants import Contestant, Form, file_read, ours
from benches.decode.data import FEATURES, chunks

if TYPE_CHECKING:
    from pathlib import Path

_SHARD = "shard.00000.mds"
_COLUMNS = {
    "features": (f"ndarray:float32:{FEATURES}", 4 * FEATURES),
    "id": ("int", 8),
    "label": ("int", 8),
    "text": ("str", None),
}


def _write(path: Path, rows: int) -> None:
    """Write one shard and its index.

    Source: the documentation of mosaicml-streaming, "Dataset format"; `MDSWriter.encode_joint_shard`.
    """
    samples: list[bytes] = []
    for chunk in chunks(rows):
        for number, label, features, text in zip(*chunk.values(), strict=True):
            data = text.encode()
            size = np.uint32(len(data)).tobytes()
            vector = np.array(features, np.float32).tobytes()
            samples.append(size + vector + np.array([number, label], np.int64).tobytes() + data)
    names, encodings, sizes = (
        list(_COLUMNS),
        *([each[at] for each in _COLUMNS.values()] for at in range(2)),
    )
    described = {"column_names": names, "column_encodings": encodings, "column_sizes": sizes}
    stated = {"version": 2, "format": "mds", "compression": None, "hashes": [], "size_limit": 1 << 26}
    config = json.dumps({**stated, **described}, sort_keys=True).encode()
    lengths = [0, *map(len, samples)]
    offsets = np.cumsum(lengths) + 4 + 4 * len(lengths) + len(config)
    shard = np.uint32(rows).tobytes() + offsets.astype(np.uint32).tobytes() + config + b"".join(samples)
    path.mkdir()
    (path / _SHARD).write_bytes(shard)
    raw = {"basename": _SHARD, "bytes": len(shard), "hashes": {}}
    info = {**stated, **described, "samples": rows, "raw_data": raw, "zip_data": None}
    (path / "index.json").write_text(json.dumps({"version": 2, "shards": [info]}))


def _streaming(path: Path, _: int) -> int:
    from streaming import LocalDataset

    dataset = LocalDataset(str(path))
    return sum(1 for at in range(len(dataset)) if dataset[at])


def _witness(path: Path) -> Sums:
    from streaming import LocalDataset

    dataset = LocalDataset(str(path))
    return of_records(dataset[at] for at in range(len(dataset)))


FORMS = {
    "MDS": Form(
        "records-mds",
        _write,
        {
            "nexa-data": ours("mds", _SHARD),
            "mosaicml-streaming": Contestant(_streaming, threads=(1,)),
            "file read": file_read(_SHARD),
        },
        "mds",
        _witness,
        member=_SHARD,
        part=8,
        loaders=True,
    )
}
