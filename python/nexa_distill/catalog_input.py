"""Rows of a catalog's shards, for a collection whose input was prepared or staged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexa_data.catalog import ShardCatalog
from nexa_data.errors import ConfigError, RecordError, ShardNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

__all__ = ["catalog_rows", "catalog_schema"]


def catalog_schema(path: Path) -> pa.Schema:
    """Return the columns of a catalog's shards; tensors as the lists that they are stored as.

    Raises:
        ConfigError: The catalog names no shard.
        RecordError: A shard isn't an Arrow file.
    """
    import pyarrow as pa

    shard = next(iter(_shards(path)), None)
    if shard is None:
        raise ConfigError(f"{path} names no shard", remedy="name a catalog with data")
    with _opened(shard) as reader:
        return pa.schema([pa.field(field.name, _storage(field.type)) for field in reader.schema])


def catalog_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return (place, values) of each record, shard after shard.

    Raises:
        ShardNotFoundError: A shard isn't there.
        RecordError: A shard can't be read.
    """
    import pyarrow as pa

    for shard in _shards(path):
        row = 0
        with _opened(shard) as reader:
            try:
                for number in range(reader.num_record_batches):
                    batch = reader.get_batch(number)
                    columns = [getattr(column, "storage", column) for column in batch.columns]
                    plain = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
                    for values in plain.to_pylist():
                        yield f"{shard}: record {row}", values
                        row += 1
            except (pa.ArrowInvalid, OSError) as error:
                raise RecordError(
                    f"{shard}: record {row} or later can't be read: {error}",
                    remedy="stage or prepare it anew",
                ) from error


def _shards(path: Path) -> Iterator[Path]:
    catalog = ShardCatalog.load(path)
    for record in catalog:
        yield record.path(catalog.root)


def _opened(shard: Path) -> pa.ipc.RecordBatchFileReader:
    import pyarrow as pa

    try:
        return pa.ipc.open_file(pa.memory_map(str(shard)))
    except FileNotFoundError as error:
        raise ShardNotFoundError(f"there is no shard {shard}", remedy="stage or prepare it anew") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise RecordError(
            f"{shard} is not an Arrow file: {error}", remedy="stage or prepare it anew"
        ) from error


def _storage(kind: pa.DataType) -> pa.DataType:
    return getattr(kind, "storage_type", kind)
