"""`filter_table_by_label`: the columnar twin of `filter_by_label`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nexa_data import _core
from nexa_data.catalog import ShardCatalog
from nexa_data.config_source import nearest
from nexa_data.errors import RecordError
from nexa_data.filters.kept_rows import kept_rows
from nexa_data.filters.label_expressions import label_expression
from nexa_data.filters.label_masks import AllowedLabels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

    from nexa_data.filters.label_masks import LabelKind

__all__ = ["filter_table_by_label"]

Data = TypeVar("Data")


def filter_table_by_label(
    data: Data,
    allowed_labels: Iterable[object],
    *,
    column: str = "label",
    invert: bool = False,
    kind: LabelKind = "class",
    threads: int | None = None,
) -> Data:
    """Return the rows whose label is allowed, as the kind of data that was handed in.

    Labels are compared as Python compares them: `1`, `1.0` and `True` are one label, and NaN is none. A row whose label is null has
    no label, and is kept neither by what is allowed nor, with `invert`, by what isn't, as in SQL. Schema, metadata, the order
    of the rows and the columns' types stay.

    Args:
        data: A pyarrow `Table` or `RecordBatch`; a `RecordBatchReader`, which stays a stream; a `Dataset`, which stays lazy; a polars `DataFrame`; a
            `ShardCatalog` or the path of one, which becomes a lazy pyarrow `Dataset` over its shards, since a catalog is of files that exist.
        allowed_labels: Labels to keep, of the column's own type; integers, floats and booleans are one type. Read once.
        column: Name of the label column: integers, booleans, floats, text, bytes, a dictionary of these, or lists of these (a row is kept if
            any of its labels is allowed).
        invert: Keep the rows whose label isn't allowed.
        kind: `multi_hot` where the column is a list of 0 and 1 for each class: a row is kept if it is of any allowed class.
        threads: Threads that look and copy; default: as many as the loaders use.

    Returns:
        A table has a chunk for each chunk in which all columns lie together, but for those of which nothing is left. Where all rows
        of a chunk are kept it is the caller's own memory, else memory that is used again once the last array on it has died.

    Raises:
        TypeError: `data` is of another kind, the column holds no labels, or a label can't be in such a column.
        RecordError: There is no such column.

    Example:
        >>> import pyarrow as pa
        >>> filter_table_by_label(pa.table({"x": ["a", "b", "c"], "label": [0, 1, None]}), {0}).to_pydict()
        {'x': ['a'], 'label': [0]}
    """
    import pyarrow as pa
    import pyarrow.dataset as pds

    labels = tuple(allowed_labels)
    if isinstance(data, str | Path):
        data = ShardCatalog.load(data)  # type: ignore[assignment]
    if isinstance(data, ShardCatalog):
        data = pds.dataset([shard.path(data.root) for shard in data], format="ipc")
    if isinstance(data, pds.Dataset):
        _require(data.schema, column)
        return data.filter(label_expression(data.schema.field(column), labels, invert=invert, kind=kind))  # type: ignore[no-any-return]
    count = threads or _core.default_threads()
    allowed = AllowedLabels(labels, invert=invert, kind=kind, threads=count)
    if isinstance(data, pa.RecordBatch):
        return _batch(data, allowed, column)  # type: ignore[no-any-return]
    if isinstance(data, pa.Table):
        return _table(data, allowed, column)  # type: ignore[no-any-return]
    if isinstance(data, pa.RecordBatchReader):
        _require(data.schema, column)
        return pa.RecordBatchReader.from_batches(data.schema, _stream(data, allowed, column))  # type: ignore[no-any-return]
    if type(data).__module__.partition(".")[0] == "polars" and type(data).__name__ == "DataFrame":
        return _polars(data, allowed, column)  # type: ignore[no-any-return]
    raise TypeError(_foreign(data))


def _batch(batch: pa.RecordBatch, allowed: AllowedLabels, column: str) -> pa.RecordBatch:
    _require(batch.schema, column)
    mask = allowed.mask(batch.column(batch.schema.get_field_index(column)))
    return kept_rows(batch, mask, threads=allowed.threads)


def _stream(
    batches: Iterable[pa.RecordBatch], allowed: AllowedLabels, column: str
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        kept = _batch(batch, allowed, column)
        if kept.num_rows:
            yield kept


def _table(table: pa.Table, allowed: AllowedLabels, column: str) -> pa.Table:
    import pyarrow as pa

    _require(table.schema, column)
    batches = list(_stream(table.to_batches(), allowed, column))
    if not table.num_rows:
        # No batch was there to say that the column or a label is of a wrong type.
        allowed.mask(pa.array([], table.schema.field(column).type))
    return pa.Table.from_batches(batches, schema=table.schema)


def _polars(frame: Any, allowed: AllowedLabels, column: str) -> Any:
    import polars as pl
    import pyarrow as pa

    if column not in frame.columns:
        _require(pa.schema([(name, pa.null()) for name in frame.columns]), column)
    # What doesn't come back from Arrow as it went is filtered by polars itself, by our answer.
    own = any(isinstance(kind, pl.Object | pl.Categorical | pl.Enum) for kind in frame.dtypes)
    if not own:
        found = pl.from_arrow(_table(frame.to_arrow(), allowed, column))
        if isinstance(found, pl.DataFrame) and found.schema == frame.schema:
            return found
    chunks = pa.chunked_array([frame.get_column(column).to_arrow()])
    masks = [allowed.mask(chunk) for chunk in chunks.chunks]
    bits = [pa.Array.from_buffers(pa.bool_(), len(mask), [None, pa.py_buffer(mask.bits())]) for mask in masks]
    return frame.filter(pl.Series(pa.chunked_array(bits, pa.bool_())))


def _require(schema: pa.Schema, column: str) -> None:
    found = schema.get_all_field_indices(column)
    if len(found) == 1:
        return
    if found:
        raise RecordError(f"{len(found)} columns are called {column!r}", remedy="rename all but one")
    near = nearest(column, schema.names)
    raise RecordError(
        f"there is no column {column!r}",
        remedy=(f"did you mean {near!r}? " if near else "")
        + f"pass column=, one of: {', '.join(schema.names)}",
    )


def _foreign(data: object) -> str:
    name = f"{type(data).__module__}.{type(data).__qualname__}"
    if type(data).__name__ == "LazyFrame":
        return f"a {name} has no rows yet: pass data.collect()"
    return (
        f"{name} is no table: pass a pyarrow Table, RecordBatch, RecordBatchReader or Dataset, a polars DataFrame, or a catalog of shards; "
        "for an iterable of tuples there is nexa_data.filters.filter_by_label"
    )
