"""CSV, plain and gzip, a column a feature: ours beside polars, pyarrow and DuckDB."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from benches.decode.agreement import Sums, of_batches
from benches.decode.contestants import Contestant, Form, ours
from benches.decode.data import FEATURES, chunks
from benches.decode.formats.text_readers import count_lines, duckdb, unpack_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _lines(rows: int) -> Iterator[bytes]:
    names = ["id", "label", *(f"f{index}" for index in range(FEATURES)), "text"]
    yield (",".join(names) + "\n").encode()
    for chunk in chunks(rows):
        for number, label, features, text in zip(*chunk.values(), strict=True):
            yield f"{number},{label},{','.join(map(repr, features))},{text}\n".encode()


def _write(path: Path, rows: int) -> None:
    with path.open("wb") as file:
        file.writelines(_lines(rows))


def _write_gz(path: Path, rows: int) -> None:
    with gzip.open(path, "wb", compresslevel=6) as packed:
        packed.writelines(_lines(rows))


def _polars(path: Path, _: int) -> int:
    import polars as pl

    return pl.read_csv(path).height


def _pyarrow(path: Path, threads: int) -> int:
    import pyarrow as pa
    from pyarrow import csv

    pa.set_cpu_count(threads)
    return int(csv.read_csv(path, csv.ReadOptions(use_threads=threads > 1)).num_rows)


def _witness(path: Path) -> Sums:
    from pyarrow import csv

    return of_batches(csv.read_csv(path).to_batches())


_PEERS = {"polars": Contestant(_polars), "pyarrow": Contestant(_pyarrow), "duckdb": duckdb("read_csv")}
FORMS = {
    "CSV": Form(
        "records.csv",
        _write,
        {"nexa-data": ours("csv"), **_PEERS, "lines counted": count_lines(heads=1)},
        "csv",
        _witness,
    ),
    "CSV.gz": Form(
        "records.csv.gz",
        _write_gz,
        {"nexa-data": ours("csv"), **_PEERS, "unpacked alone": unpack_lines(heads=1)},
        "csv",
        _witness,
    ),
}
