"""The one form in which every dataset hands over its rows, and how other forms are turned into it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nexa_data.errors import RecordError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["RowBatch", "RowSource", "as_row_source"]

_BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Some rows, and where they came from.

    Args:
        origin: Name of the source file, or of the builder.
        first_row: Number of the first row in its origin, counted from 0.
        batch: The columns.
    """

    origin: str
    first_row: int
    batch: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class RowSource:
    """Rows as a stream of Arrow record batches that can be read more than once.

    Args:
        schema: Columns and types of every batch.
        batches: Starts the stream anew.
        where: What it is, for messages.
    """

    schema: pa.Schema
    batches: Callable[[], Iterator[RowBatch]]
    where: str


def as_row_source(rows: Any, name: str) -> RowSource:
    """Turn what a builder returned into a row source.

    Args:
        rows: `(features, labels)` of arrays or tensors, shapes (N, …) and (N,); a mapping of column to array; an
            object with an Arrow C stream (Arrow, polars, pandas ≥ 2.2, duckdb); an iterable of record batches; or
            an object with `row_source()`.
        name: Name of the dataset; origin of the rows.

    Raises:
        RecordError: It is none of these, or its columns differ in length.
    """
    import pyarrow as pa

    own = getattr(rows, "row_source", None)
    if callable(own):
        source: RowSource = own()
        return source
    if isinstance(rows, RowSource):
        return rows
    if isinstance(rows, tuple) and len(rows) == 2:  # noqa: PLR2004 (a pair)
        rows = {"features": rows[0], "label": rows[1]}
    if isinstance(rows, Mapping):
        table = _table(rows, name)
    elif hasattr(rows, "__arrow_c_stream__"):
        table = pa.table(rows)
    else:
        table = _from_batches(rows, name)

    def batches() -> Iterator[RowBatch]:
        first = 0
        for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
            yield RowBatch(name, first, batch)
            first += batch.num_rows

    return RowSource(table.schema, batches, f"dataset {name!r}")


def _from_batches(rows: Any, name: str) -> pa.Table:
    import pyarrow as pa

    batches = list(rows) if isinstance(rows, Iterable) else []
    if not batches or not all(isinstance(batch, pa.RecordBatch) for batch in batches):
        raise RecordError(
            f"the builder of {name!r} returned {type(rows).__name__}, which holds no rows",
            remedy="return (features, labels), a mapping of columns, or an Arrow table",
        )
    try:
        return pa.Table.from_batches(batches)
    except pa.ArrowException as error:
        raise RecordError(f"the batches of {name!r} differ in their columns: {error}") from error


def _table(columns: Mapping[str, Any], name: str) -> pa.Table:
    import pyarrow as pa

    arrays = {column: column_array(values, f"{name}.{column}") for column, values in columns.items()}
    lengths = {column: len(array) for column, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise RecordError(
            f"the columns of {name!r} differ in length: {lengths}", remedy="return one row per record"
        )
    return pa.table(arrays)


def column_array(values: Any, where: str) -> pa.Array:
    """Return `values`, shape (N, …), as an Arrow array; more than one dimension becomes a fixed-shape tensor."""
    import numpy as np
    import pyarrow as pa

    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    detach = getattr(values, "detach", None)
    array = np.asarray(detach().cpu().numpy() if detach else values)
    if array.ndim == 0 or (array.dtype == object and array.ndim > 1):
        raise RecordError(
            f"{where} is not an array of numbers or strings", remedy="return one row per record"
        )
    if array.ndim == 1:
        return pa.array(array)
    width = int(np.prod(array.shape[1:]))
    flat = pa.array(np.ascontiguousarray(array).reshape(-1))
    storage = pa.FixedSizeListArray.from_arrays(flat, width)
    if array.ndim == 2:  # noqa: PLR2004 (a matrix)
        return storage
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(flat.type, array.shape[1:]), storage)
