"""The one form in which every dataset hands over its rows, and how other forms are turned into it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.datasets.class_names import class_names
from nexa_data.datasets.spool import record_batches, spooled_batches
from nexa_data.errors import RecordError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["BadRows", "RowBatch", "RowSource", "as_row_source"]

_BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class BadRows:
    """A record, or a run of them, that can't be used.

    Args:
        origin: Name of the source file, or of the builder.
        row: Number of the first one in its origin, counted from 0.
        count: How many there are; 0 where nobody can know, such as behind the end of a file that was cut short.
        reason: What is wrong.
        remedy: What can be done about it.
        offset: Byte at which it begins in the file (unpacked), if it has a place of its own.
        column: The column that is wrong, if it is one.
        raw: Its bytes as they lie in the file, or their beginning.
    """

    origin: str
    row: int
    count: int
    reason: str
    remedy: str = "correct or drop it, or set data.on_error to skip or quarantine"
    offset: int | None = None
    column: str | None = None
    raw: bytes = b""

    @property
    def place(self) -> str:
        """Where it is, for messages: file, row, byte, column."""
        parts = [self.origin, f"row {self.row}"]
        parts += [f"byte {self.offset}"] if self.offset is not None else []
        parts += [f"column {self.column!r}"] if self.column is not None else []
        return ", ".join(parts)

    def error(self) -> RecordError:
        """Return it as the error that ends a run."""
        return RecordError(f"{self.place}: {self.reason}", remedy=self.remedy)


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Some rows, and where they came from.

    Args:
        origin: Name of the source file, or of the builder.
        first_row: Number of the first row in its origin, counted from 0.
        batch: The columns.
        numbers: Number of each row in its origin, shape (n,); None if they follow one another from `first_row` on.
        bad: Records among or behind these that could not be read.
        split: Split that the rows belong to, where the source says so.
    """

    origin: str
    first_row: int
    batch: pa.RecordBatch
    numbers: npt.NDArray[np.int64] | None = None
    bad: tuple[BadRows, ...] = ()
    split: str | None = None

    @property
    def row_numbers(self) -> npt.NDArray[np.int64]:
        """Number of each row in its origin, shape (n,), int64."""
        if self.numbers is not None:
            return self.numbers
        return np.arange(self.first_row, self.first_row + self.batch.num_rows)

    def place(self, row: int) -> str:
        """Return where row `row` of the batch is, for messages."""
        return f"{self.origin}, row {self.row_numbers[row]}"

    def only(self, rows: npt.NDArray[np.bool_]) -> RowBatch:
        """Return the rows that `rows`, shape (n,), says, with their numbers."""
        import pyarrow as pa

        kept = self.batch.filter(pa.array(rows))
        return replace(self, batch=kept, numbers=self.row_numbers[rows])


@dataclass(frozen=True, slots=True)
class RowSource:
    """Rows as a stream of Arrow record batches that can be read more than once.

    Args:
        schema: Columns and types of every batch.
        batches: Starts the stream anew.
        where: What it is, for messages.
        splits: The splits that the rows were cut into already; None if they weren't.
        class_names: What the ids of a column stand for, where the source says so; several lists, if its files differ.
        narrowed: Starts a stream of some of the columns, where others can be spared; see `select`.
    """

    schema: pa.Schema
    batches: Callable[[], Iterator[RowBatch]]
    where: str
    splits: frozenset[str] | None = None
    class_names: Mapping[str, Sequence[tuple[str, ...]]] = field(default_factory=dict)
    narrowed: Callable[[Sequence[str]], Iterator[RowBatch]] | None = None

    def select(self, columns: Iterable[str]) -> RowSource:
        """Return a source of some columns, in the order of the schema; files are decoded for these alone."""
        import pyarrow as pa

        wanted = set(columns)
        chosen = [each for each in self.schema if each.name in wanted]
        if len(chosen) == len(self.schema):
            return self
        names = [each.name for each in chosen]
        batches, narrowed = self.batches, self.narrowed

        def parts() -> Iterator[RowBatch]:
            if narrowed is not None:
                return narrowed(names)
            return (replace(rows, batch=rows.batch.select(names)) for rows in batches())

        return replace(self, schema=pa.schema(chosen), batches=parts)


def as_row_source(rows: Any, name: str) -> RowSource:
    """Turn what a builder returned into a row source.

    Args:
        rows: `(features, labels)` of arrays or tensors, shapes (N, …) and (N,); a mapping of column to array; an
            object with an Arrow C stream (Arrow, polars, pandas ≥ 2.2, duckdb); an iterable of record batches, of
            mappings (a record each), or of tuples (features or columns `column0`, `column1`, …, and the label last);
            or an object with `row_source()`. What can be read only once is kept in a temporary file.
        name: Name of the dataset; origin of the rows.

    Raises:
        RecordError: It is none of these, or its columns differ in length.
    """
    own = getattr(rows, "row_source", None)
    if callable(own):
        source: RowSource = own()
        return source
    if isinstance(rows, RowSource):
        return rows
    if isinstance(rows, tuple) and len(rows) == 2:  # noqa: PLR2004 (a pair)
        rows = {"features": rows[0], "label": rows[1]}
    if isinstance(rows, Mapping):
        rows = _table(rows, name)
    if hasattr(rows, "__arrow_c_stream__"):
        return _of_stream(rows, name)
    return _spooled(record_batches(rows, name), name)


def _of_stream(rows: Any, name: str) -> RowSource:
    """Return the rows of an object with an Arrow C stream: a table is read again as it is, without a copy."""
    import pyarrow as pa

    if isinstance(rows, pa.Table):
        return _of_batches(rows.schema, lambda: iter(rows.to_batches(max_chunksize=_BATCH_ROWS)), name)
    if not hasattr(rows, "__len__"):  # a reader, which gives its batches once
        return _spooled(pa.RecordBatchReader.from_stream(rows), name)
    schema = pa.RecordBatchReader.from_stream(rows).schema
    return _of_batches(schema, lambda: iter(pa.RecordBatchReader.from_stream(rows)), name)


def _spooled(batches: Iterable[pa.RecordBatch], name: str) -> RowSource:
    """Return rows that can be read but once as a source that can be read again."""
    schema, again = spooled_batches(batches, name)
    return _of_batches(schema, again, name)


def _of_batches(schema: pa.Schema, batches: Callable[[], Iterator[pa.RecordBatch]], name: str) -> RowSource:
    def numbered() -> Iterator[RowBatch]:
        first = 0
        for batch in batches():
            yield RowBatch(name, first, batch)
            first += batch.num_rows

    return RowSource(schema, numbered, f"dataset {name!r}", class_names=class_names([schema]))


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
