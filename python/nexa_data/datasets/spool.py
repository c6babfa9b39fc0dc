"""Rows that can be read but once, kept in a temporary file, since a dataset is walked more than once."""

from __future__ import annotations

import itertools
import tempfile
import weakref
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexa_data.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

__all__ = ["record_batches", "spooled_batches"]

_BATCH_RECORDS = 8_192


def record_batches(rows: Any, name: str) -> Iterator[pa.RecordBatch]:
    """Yield the batches of an iterable of record batches, of mappings or of tuples.

    The first 8,192 mappings or tuples decide the columns and their types.

    Raises:
        RecordError: It is no such iterable, it is empty, or a record doesn't fit the first ones; it names the row.
    """
    import pyarrow as pa

    records = iter(rows) if isinstance(rows, Iterable) and not isinstance(rows, str | bytes) else iter(())
    first = next(records, None)
    records = itertools.chain((first,), records)
    if isinstance(first, pa.RecordBatch):
        yield from _checked(records, first.schema, name)
    elif isinstance(first, Mapping | tuple):
        yield from _of_records(records, name)
    else:
        raise RecordError(
            f"the builder of {name!r} returned {type(rows).__name__}, which holds no rows",
            remedy="return (features, labels), a mapping of columns, an Arrow table, or an iterable of record "
            "batches, mappings or tuples",
        )


def _checked(batches: Iterator[Any], schema: pa.Schema, name: str) -> Iterator[pa.RecordBatch]:
    for number, batch in enumerate(batches):
        if not getattr(batch, "schema", None) == schema:
            raise RecordError(
                f"the batches of {name!r} differ in their columns: batch {number} is not as the first one",
                remedy="write all batches with one schema",
            )
        yield batch


def _of_records(records: Iterator[Any], name: str) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    schema: pa.Schema | None = None
    for first in itertools.count(0, _BATCH_RECORDS):
        some = list(itertools.islice(records, _BATCH_RECORDS))
        if not some:
            return
        rows = [_named(record, first + at, name) for at, record in enumerate(some)]
        try:
            batch = pa.RecordBatch.from_pylist(rows, schema=schema)
        except (pa.ArrowException, TypeError, OverflowError) as error:
            raise _misfit(rows, schema, first, name, error) from error
        schema = schema or batch.schema
        yield batch


def _named(record: Any, row: int, name: str) -> dict[str, Any]:
    """Return a record as a mapping of columns to what Arrow can read."""
    if isinstance(record, Mapping):
        return {str(key): _plain(value) for key, value in record.items()}
    if isinstance(record, tuple) and len(record) > 1:
        names = ["features"] if len(record) == 2 else [f"column{at}" for at in range(len(record) - 1)]  # noqa: PLR2004
        return {key: _plain(value) for key, value in zip((*names, "label"), record, strict=True)}
    raise RecordError(
        f"dataset {name!r}, row {row}: a {type(record).__name__} is no record",
        remedy="yield mappings or tuples",
    )


def _plain(value: Any) -> Any:
    """Return arrays and tensors as lists; what is a number stays one."""
    tolist = getattr(value, "tolist", None)
    return tolist() if callable(tolist) else value


def _misfit(
    rows: list[dict[str, Any]], schema: pa.Schema | None, first: int, name: str, error: Exception
) -> RecordError:
    """Find the record that doesn't fit."""
    import pyarrow as pa

    for at, row in enumerate(rows):
        try:
            pa.RecordBatch.from_pylist(rows[: at + 1] if schema is None else [row], schema=schema)
        except (pa.ArrowException, TypeError, OverflowError):
            return RecordError(
                f"dataset {name!r}, row {first + at}: {(str(error).splitlines() or [type(error).__name__])[0]}",
                remedy="give all records the types of the first ones",
            )
    return RecordError(f"dataset {name!r}: {error}")


def spooled_batches(
    batches: Iterable[pa.RecordBatch], name: str
) -> tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]:
    """Write batches to a temporary file, and return their schema and what reads them, as often as wanted.

    The file goes when nothing can read it any more.

    Raises:
        RecordError: There are none.
    """
    import pyarrow as pa

    source = iter(batches)
    schema = getattr(batches, "schema", None)
    first = next(source, None)
    if first is None and schema is None:
        raise RecordError(f"the builder of {name!r} returned no rows", remedy="return one record at least")
    schema = schema if first is None else first.schema
    with tempfile.NamedTemporaryFile(prefix="nexa-data-", suffix=".arrows", delete=False) as file:
        path = Path(file.name)
        try:
            with pa.ipc.new_stream(file, schema) as sink:
                for batch in itertools.chain(() if first is None else (first,), source):
                    sink.write_batch(batch)
        except BaseException:
            path.unlink()
            raise

    def again() -> Iterator[pa.RecordBatch]:
        with pa.memory_map(str(path)) as mapped:
            yield from pa.ipc.open_stream(mapped)

    weakref.finalize(again, _remove, path)
    return schema, again


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
