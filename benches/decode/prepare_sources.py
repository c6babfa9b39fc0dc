"""Sources of any size for `prepare`, made in little memory: a few thousand records over and over, each time under fresh ids."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.decode.data import chunks
from benches.decode.formats.arrow_tables import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

_REPEATED = 40_000
_FILE_ROWS = 1_000_000

RECORD_BYTES = {"parquet": 252, "jsonl": 450}
"""What a record takes, about."""


def _parquet(files: Iterator[tuple[Path, range]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    repeated = pa.concat_tables(tables("list", _REPEATED)).combine_chunks()
    for path, ids in files:
        with path.open("wb") as file:
            # Uncompressed and without dictionaries: the size is what was asked for.
            with pq.ParquetWriter(file, repeated.schema, compression="none", use_dictionary=False) as writer:
                for some in _some(ids):
                    fresh = pa.array(np.arange(some.start, some.stop))
                    writer.write_table(repeated.slice(0, len(some)).set_column(0, "id", fresh))
            _durable(file)


def _jsonl(files: Iterator[tuple[Path, range]]) -> None:
    import orjson

    rests: list[bytes] = []
    for chunk in chunks(_REPEATED):
        del chunk["id"]
        records = (dict(zip(chunk, record, strict=True)) for record in zip(*chunk.values(), strict=True))
        rests.extend(orjson.dumps(record)[1:] for record in records)
    for path, ids in files:
        with path.open("wb") as file:
            for some in _some(ids):
                lines = (b'{"id":%d,%b\n' % each for each in zip(some, rests, strict=False))
                file.write(b"".join(lines))
            _durable(file)


def _some(ids: range) -> Iterator[range]:
    return (ids[at : at + _REPEATED] for at in range(0, len(ids), _REPEATED))


def _durable(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


_WRITE: dict[str, Callable[[Iterator[tuple[Path, range]]], None]] = {"parquet": _parquet, "jsonl": _jsonl}


def write(folder: Path, form: str, rows: int) -> None:
    """Write files of a million records each into `folder`, durably."""
    folder.mkdir(parents=True)
    firsts = range(0, rows, _FILE_ROWS)
    files = (
        (folder / f"part-{at:04d}.{form}", range(first, min(first + _FILE_ROWS, rows)))
        for at, first in enumerate(firsts)
    )
    _WRITE[form](files)


def config(source: Path, output: Path) -> dict[str, Any]:
    """Return what `prepare_from_config` is asked for: every column is kept, all else is the default."""
    return {
        "data": {
            "dataset_name": "bench",
            "source_uri": str(source),
            "label": "label",
            "preprocessing": {"features": ["features"], "columns": ["id", "text"]},
        },
        "experiment": {"output_dir": str(output)},
    }
