"""What the readers of both text formats have in common: SQL over a file, and the limits of memory and decompression."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from benches.decode.contestants import Contestant

if TYPE_CHECKING:
    from pathlib import Path


def duckdb(function: str) -> Contestant:
    """Return DuckDB's reader by the name of its table function."""

    def read(path: Path, threads: int) -> int:
        import duckdb as peer

        connection = peer.connect(config={"threads": threads})
        relation = connection.sql(f"SELECT * FROM {function}('{path}')")  # noqa: S608  # a path of ours
        return sum(batch.num_rows for batch in relation.to_arrow_reader())

    return Contestant(read)


def count_lines(heads: int = 0) -> Contestant:
    """Return the limit of plain text: find each line's end, with the C library; `heads` lines are no records."""

    def read(path: Path, _: int) -> int:
        rows = 0
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                rows += piece.count(b"\n")
        return rows - heads

    return Contestant(read, "limit", (1,))


def unpack_lines(heads: int = 0) -> Contestant:
    """Return the limit of packed text: unpack it, and find each line's end; `heads` lines are no records."""

    def read(path: Path, _: int) -> int:
        import zstandard

        rows = 0
        with gzip.open(path) if path.suffix == ".gz" else zstandard.open(path) as unpacked:
            while piece := unpacked.read(1 << 20):
                rows += piece.count(b"\n")
        return rows - heads

    return Contestant(read, "limit", (1,))
