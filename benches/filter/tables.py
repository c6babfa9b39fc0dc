"""Contestants over columns: each filters 10 M rows of an int64 label and 32 float32 by a set of labels, on one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import torch
from nexa_data import _core
from nexa_data.filters import filter_table_by_label

from benches.filter.data import WIDTH

if TYPE_CHECKING:
    import numpy.typing as npt

    from benches.filter.data import Question

OURS, OURS_2 = "nexa-data", "nexa-data, 2 threads"
MEMORY = "memcpy of the rows kept"
SHAPES = ("a list of 32", "32 columns")

Run = Callable[[], Any]


def contestants(
    shape: str, labels: npt.NDArray[np.int64], vectors: npt.NDArray[np.float32], question: Question
) -> dict[str, Run]:
    """Return name → what is timed; all return the rows kept, in memory of their own."""
    allowed = question.allowed
    wanted = set(allowed)
    lists = shape == SHAPES[0]
    if lists:
        values = {"x": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), WIDTH)}
        parts = [vectors]
    else:
        parts = [np.ascontiguousarray(vectors[:, number]) for number in range(WIDTH)]
        values = {f"x{number}": pa.array(part) for number, part in enumerate(parts)}
    table = pa.table({"label": labels, **values})
    return {
        OURS: lambda: filter_table_by_label(table, wanted, threads=1),
        OURS_2: lambda: filter_table_by_label(table, wanted, threads=2),
        "numpy, byte table and take": _numpy(labels, parts, allowed),
        "pyarrow is_in and filter": lambda: table.filter(
            pc.is_in(table["label"], value_set=pa.array(allowed))
        ),
        "torch isin and index_select": _torch(labels, parts, allowed),
        "polars filter(is_in)": _polars(table, allowed, lists=lists),
        "duckdb semi join": _duckdb(table, allowed),
        MEMORY: _memory(vectors, int(np.isin(labels, allowed).sum())),
    }


def membership(labels: npt.NDArray[np.int64], question: Question) -> dict[str, Run]:
    """Return name → what is timed of the question alone, without the rows."""
    allowed = np.array(question.allowed)
    keys = _core.LabelKeys(allowed)
    column, values = pa.array(labels), pa.array(allowed)
    tensor, wanted = torch.from_numpy(labels), torch.from_numpy(allowed)
    frame, among = pl.Series(labels), pl.Series(allowed).implode()
    table = np.zeros(int(labels.max()) + 2, np.bool_)
    table[allowed] = True
    return {
        OURS: lambda: keys.mask(labels, "int64", 0, len(labels)),
        OURS_2: lambda: keys.mask(labels, "int64", 0, len(labels), threads=2),
        "numpy, byte table": lambda: table[labels],
        "np.isin": lambda: np.isin(labels, allowed),
        "pyarrow is_in": lambda: pc.is_in(column, value_set=values),
        "polars is_in": lambda: frame.is_in(among),
        "torch isin": lambda: torch.isin(tensor, wanted),
        "sum of the column (numpy)": labels.sum,
    }


def _numpy(labels: npt.NDArray[np.int64], parts: list[npt.NDArray[Any]], allowed: list[int]) -> Run:
    table = np.zeros(max(int(labels.max()), allowed[-1]) + 1, np.bool_)
    table[allowed] = True

    def run() -> Any:
        rows = np.flatnonzero(table[labels])
        return labels.take(rows), [part.take(rows, axis=0) for part in parts]

    return run


def _torch(labels: npt.NDArray[np.int64], parts: list[npt.NDArray[Any]], allowed: list[int]) -> Run:
    column, wanted = torch.from_numpy(labels), torch.tensor(allowed)
    tensors = [torch.from_numpy(part) for part in parts]

    def run() -> Any:
        rows = torch.isin(column, wanted).nonzero().squeeze(1)
        return column.index_select(0, rows), [each.index_select(0, rows) for each in tensors]

    return run


def _polars(table: pa.Table, allowed: list[int], *, lists: bool) -> Run:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    assert not lists or isinstance(frame.schema["x"], pl.Array)
    among = pl.Series(allowed).implode()
    return lambda: frame.filter(pl.col("label").is_in(among))


def _duckdb(table: pa.Table, allowed: list[int]) -> Run:
    base = duckdb.connect()
    base.execute("SET threads = 1")
    base.register("rows", table)
    base.register("allowed", pa.table({"label": allowed}))
    return lambda: base.sql("SELECT * FROM rows WHERE label IN (SELECT label FROM allowed)").to_arrow_table()


def _memory(vectors: npt.NDArray[np.float32], kept: int) -> Run:
    into = np.empty((max(kept, 1), WIDTH), np.float32)
    into.fill(0)
    return lambda: np.copyto(into, vectors[: len(into)])
