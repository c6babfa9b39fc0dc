"""JSON lines, plain and zstd: ours beside DuckDB, polars, pyarrow, and orjson, which makes Python objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches.decode.agreement import Sums, of_batches
from benches.decode.contestants import Contestant, Form, ours
from benches.decode.data import chunks
from benches.decode.formats.text_readers import count_lines, duckdb, unpack_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _lines(rows: int) -> Iterator[bytes]:
    import orjson

    for chunk in chunks(rows):
        for record in zip(*chunk.values(), strict=True):
            yield orjson.dumps(dict(zip(chunk, record, strict=True)), option=orjson.OPT_APPEND_NEWLINE)


def _write(path: Path, rows: int) -> None:
    with path.open("wb") as file:
        file.writelines(_lines(rows))


def _write_zst(path: Path, rows: int) -> None:
    import zstandard

    with path.open("wb") as file, zstandard.ZstdCompressor(3).stream_writer(file) as packed:
        for line in _lines(rows):
            packed.write(line)


def _polars(path: Path, _: int) -> int:
    import polars as pl

    return pl.scan_ndjson(path).collect().height


def _pyarrow(path: Path, threads: int) -> int:
    import pyarrow as pa
    from pyarrow import json

    pa.set_cpu_count(threads)
    with pa.input_stream(path, compression="detect") as stream:
        return int(json.read_json(stream, json.ReadOptions(use_threads=threads > 1)).num_rows)


def _orjson(path: Path, _: int) -> int:
    import orjson

    with path.open("rb") as file:
        return sum(1 for line in file if orjson.loads(line))


def _witness(path: Path) -> Sums:
    import pyarrow as pa
    from pyarrow import json

    with pa.input_stream(path, compression="detect") as stream:
        return of_batches(json.read_json(stream).to_batches())


_PEERS = {"polars": Contestant(_polars), "pyarrow": Contestant(_pyarrow), "duckdb": duckdb("read_ndjson")}
FORMS = {
    "JSONL": Form(
        "records.jsonl",
        _write,
        {
            "nexa-data": ours("jsonl"),
            **_PEERS,
            "orjson, to Python objects": Contestant(_orjson, "reference", (1,)),
            "lines counted": count_lines(),
        },
        "jsonl",
        _witness,
    ),
    "JSONL.zst": Form(
        "records.jsonl.zst",
        _write_zst,
        {"nexa-data": ours("jsonl"), **_PEERS, "unpacked alone": unpack_lines()},
        "jsonl",
        _witness,
    ),
}
