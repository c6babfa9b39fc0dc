"""Parquet by codec and by the features' shape: ours beside pyarrow, whole and by batches, and polars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches.decode.agreement import Sums, of_batches
from benches.decode.contestants import Contestant, Form, file_read, ours
from benches.decode.formats.arrow_tables import GROUPS, SHAPES, table

if TYPE_CHECKING:
    from pathlib import Path

    from benches.decode.contestants import Write

CODECS = ("none", "snappy", "zstd")
_NAMES = {"flat": "columns", "list": "lists", "fixed": "fixed lists"}
"""What a shape's features are in."""


def _write(shape: str, codec: str) -> Write:
    def write(path: Path, rows: int) -> None:
        import pyarrow.parquet as pq

        pq.write_table(table(shape, rows), path, compression=codec, row_group_size=-(-rows // GROUPS))

    return write


def _polars(path: Path, _: int) -> int:
    import polars as pl

    return pl.read_parquet(path).height


def _pyarrow(path: Path, threads: int) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    pa.set_cpu_count(threads)
    file = parquet.ParquetFile(path, memory_map=True, pre_buffer=False)
    return int(file.read(use_threads=threads > 1).num_rows)


def _by_batches(path: Path, threads: int) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    pa.set_cpu_count(threads)
    batches = parquet.ParquetFile(path, memory_map=True).iter_batches(1 << 16, use_threads=threads > 1)
    return sum(batch.num_rows for batch in batches)


def _witness(path: Path) -> Sums:
    from pyarrow import parquet

    return of_batches(parquet.read_table(path).to_batches())


_CONTESTANTS = {
    "nexa-data": ours("parquet"),
    "polars": Contestant(_polars),
    "pyarrow": Contestant(_pyarrow),
    "pyarrow by batches": Contestant(_by_batches),
    "file read": file_read(),
}
FORMS = {
    f"Parquet {_NAMES[shape]} {codec}": Form(
        f"{shape}-{codec}.parquet", _write(shape, codec), _CONTESTANTS, "parquet", _witness
    )
    for shape in SHAPES
    for codec in CODECS
}
