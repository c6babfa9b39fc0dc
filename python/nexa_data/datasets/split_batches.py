"""All records of a source, an artifact or a catalog, split by split, as they lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nexa_data.artifacts import is_complete
from nexa_data.catalog import CATALOG_NAME, ShardCatalog, is_catalog
from nexa_data.datasets.decoding import row_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from nexa_data.config_reading import ReadConfig
    from nexa_data.datasets.rows import RowSource

__all__ = ["split_batches"]


def split_batches(
    source: str | Path, wanted: str | None = None, read: ReadConfig | None = None
) -> Iterator[tuple[str, pa.Schema, Iterator[pa.RecordBatch]]]:
    """Yield name, schema and batches: of each split of an artifact or catalog, or of a source as a whole (`data`).

    Args:
        source: An artifact's folder, a catalog, or file, folder, glob or name as `source_uri` takes it.
        wanted: Format of a source; default: recognised.
        read: How it is read where its format leaves that open.

    Raises:
        ShardNotFoundError: There is no such source.
        RecordError: A record can't be read.
    """
    path = Path(source)
    if is_catalog(path) or is_complete(path) or (path / CATALOG_NAME).is_file():
        catalog = ShardCatalog.load(path)
        for split in dict.fromkeys(shard.split for shard in catalog):
            shards = [str(shard.path(catalog.root)) for shard in catalog if shard.split == split]
            rows = row_source(shards, "arrow")
            yield split or "data", rows.schema, _sound(rows)
        return
    rows = row_source([str(source)], wanted, read=read)
    yield "data", rows.schema, _sound(rows)


def _sound(rows: RowSource) -> Iterator[pa.RecordBatch]:
    """Yield the batches; the first bad record ends it."""
    for each in rows.batches():
        for bad in each.bad:
            raise bad.error()
        yield each.batch
