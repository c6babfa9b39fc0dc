"""From any source, artifact or catalog to files of a common format, so that nobody is locked in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nexa_data.artifacts import is_complete
from nexa_data.catalog import CATALOG_NAME, ShardCatalog
from nexa_data.errors import ArtifactError, ConfigError
from nexa_data.export import EXTENSIONS, open_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from nexa_data.export import Writer

__all__ = ["Conversion", "convert"]

_FILE_RECORDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was written.

    Args:
        files: The files, in order.
        records: Records in all of them.
        bytes: Bytes of all of them.
    """

    files: tuple[Path, ...]
    records: int
    bytes: int


def convert(
    source: str | Path,
    destination: Path,
    to: str,
    *,
    wanted: str | None = None,
    file_records: int = _FILE_RECORDS,
    progress: Callable[[int], None] | None = None,
) -> Conversion:
    """Write the records of a source as files of another format; memory stays bounded.

    Args:
        source: File, folder or glob as `source_uri` takes it, or an artifact's folder, or a catalog.
        destination: File of the new format, by its ending; else a folder that is made, with a file for each split
            and `file_records` records, `train-00000.parquet` say.
        to: `arrow`, `parquet`, `jsonl` or `webdataset`.
        wanted: Format of the source; default: recognised.
        file_records: Records of a file, at most, in a folder.
        progress: Called with the number of records written so far.

    Returns:
        What was written; files are put in place when they are whole.

    Raises:
        ShardNotFoundError: There is no such source.
        RecordError: A record can't be read, or can't be written in the format.
        ArtifactError: The destination exists.
        ConfigError: The format is unknown.
    """
    if to not in EXTENSIONS:
        raise ConfigError(
            f"there is no format {to!r} to convert to", remedy=f"known: {', '.join(EXTENSIONS)}"
        )
    if destination.exists():
        raise ArtifactError(
            f"{destination.absolute()} exists", remedy="delete it, or name another destination"
        )
    single = destination.suffix.lower() == EXTENSIONS[to]
    output = _Output(destination, to, None if single else file_records, progress)
    try:
        for name, schema, batches in _parts(source, wanted):
            output.part(name, schema, batches)
    except BaseException:
        output.discard()
        raise
    return output.publish()


def _parts(
    source: str | Path, wanted: str | None
) -> Iterator[tuple[str, pa.Schema, Iterator[pa.RecordBatch]]]:
    """Yield name, schema and batches: of each split of an artifact or catalog, or of a source as a whole."""
    from nexa_data.datasets.decoding import row_source

    path = Path(source)
    folder = path if path.is_dir() else path.parent
    is_catalog = path.name == CATALOG_NAME or (path.is_dir() and (path / CATALOG_NAME).is_file())
    if is_catalog or (path.is_dir() and is_complete(path)):
        catalog = ShardCatalog.load(path if path.is_file() else folder)
        for split in dict.fromkeys(shard.split for shard in catalog):
            shards = [str(shard.path(catalog.root)) for shard in catalog if shard.split == split]
            rows = row_source(shards, "arrow")
            yield split or "data", rows.schema, (each.batch for each in rows.batches())
        return
    rows = row_source([str(source)], wanted)
    batches = rows.batches()

    def sound() -> Iterator[pa.RecordBatch]:
        for each in batches:
            if each.bad:
                raise each.bad[0].error()
            yield each.batch

    yield "data", rows.schema, sound()


class _Output:
    """Files on their way; nothing is at the destination until all of them are whole."""

    def __init__(
        self, destination: Path, to: str, file_records: int | None, progress: Callable[[int], None] | None
    ) -> None:
        self._destination = destination
        self._partial = destination.with_name(f".{destination.name}.partial")
        self._to = to
        self._file_records = file_records
        self._progress = progress
        self._records = 0
        self._files: list[Path] = []

    def part(self, name: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
        writer: Writer | None = None
        held, number = 0, 0
        for batch in batches:
            rest = batch
            while rest.num_rows:
                if writer is None:
                    writer, held, number = self._open(name, number, schema), 0, number + 1
                taken = (
                    rest.num_rows
                    if self._file_records is None
                    else min(rest.num_rows, self._file_records - held)
                )
                writer.write(rest.slice(0, taken))
                rest, held = rest.slice(taken), held + taken
                self._count(taken)
                if held == self._file_records:
                    writer.close()
                    writer = None
        if writer is None and not number:
            writer = self._open(name, number, schema)
        if writer is not None:
            writer.close()

    def _open(self, name: str, number: int, schema: pa.Schema) -> Writer:
        if self._file_records is None:
            if self._files:
                raise ConfigError(
                    f"{self._destination}: one file can't hold several splits", remedy="name a folder instead"
                )
            path = self._partial
        else:
            self._partial.mkdir(parents=True, exist_ok=True)
            path = self._partial / f"{name}-{number:05d}{EXTENSIONS[self._to]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._files.append(path)
        return open_writer(self._to, path, schema)

    def _count(self, records: int) -> None:
        self._records += records
        if self._progress is not None:
            self._progress(self._records)

    def discard(self) -> None:
        for path in self._files:
            path.unlink(missing_ok=True)
        if self._partial.is_dir():
            self._partial.rmdir()

    def publish(self) -> Conversion:
        size = sum(path.stat().st_size for path in self._files)
        os.rename(self._partial, self._destination)  # noqa: PTH104 (a folder or a file alike)
        whole = self._file_records is None
        files = [self._destination if whole else self._destination / path.name for path in self._files]
        return Conversion(tuple(files), self._records, size)
