"""From any source, artifact or catalog to files of a common format, so that nobody is locked in."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nexa_data.artifacts import fsync
from nexa_data.datasets.split_batches import split_batches
from nexa_data.errors import ArtifactError, ConfigError
from nexa_data.export import EXTENSIONS, open_writer
from nexa_data.read_options import read_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from nexa_data.config_reading import ReadConfig
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
    read: ReadConfig | Mapping[str, Any] | Sequence[str] | None = None,
    file_records: int = _FILE_RECORDS,
    progress: Callable[[int], None] | None = None,
) -> Conversion:
    """Write the records of a source as files of another format; memory stays bounded.

    Args:
        source: File, folder, glob or name as `source_uri` takes it, or an artifact's folder, or a catalog.
        destination: File of the new format, by its ending; else a folder that is made, with a file for each split
            and `file_records` records, `train-00000.parquet` say.
        to: `arrow`, `parquet`, `jsonl` or `webdataset`.
        wanted: Format of the source; default: recognised.
        read: How it is read where its format leaves that open, as `data.read` in a config: `{"delimiter": ";"}`.
        file_records: Records of a file, at most, in a folder.
        progress: Called with the number of records written so far.

    Returns:
        What was written; files are put in place when they are whole.

    Raises:
        ShardNotFoundError: There is no such source.
        RecordError: A record can't be read, or can't be written in the format.
        ArtifactError: The destination exists.
        ConfigError: The format is unknown, or `read` says something impossible.
    """
    options = read_options(read)
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
        for name, schema, batches in split_batches(source, wanted, options):
            output.part(name, schema, batches)
    except BaseException:
        output.discard()
        raise
    return output.publish()


class _Output:
    """Files on their way; nothing is at the destination until all of them are whole and on the disk."""

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
        # What a run that was killed has left.
        self.discard()

    def part(self, name: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
        """Write the batches of one split, or of all: into one file, or into files of so many records."""
        cut = batches if self._file_records is None else _cut(batches, self._file_records)
        number = held = 0
        writer = self._open(name, number, schema)
        try:
            for batch in cut:
                if self._file_records is not None and held == self._file_records:
                    writer.close()
                    number, held = number + 1, 0
                    writer = self._open(name, number, schema)
                writer.write(batch)
                held += batch.num_rows
                self._count(batch.num_rows)
        finally:
            writer.close()

    def _open(self, name: str, number: int, schema: pa.Schema) -> Writer:
        if self._file_records is None:
            if self._files:
                raise ConfigError(
                    f"{self._destination}: one file can't hold several splits", remedy="name a folder instead"
                )
            path = self._partial
        else:
            path = self._partial / f"{name}-{number:05d}{EXTENSIONS[self._to]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._files.append(path)
        return open_writer(self._to, path, schema)

    def _count(self, records: int) -> None:
        self._records += records
        if self._progress is not None:
            self._progress(self._records)

    def discard(self) -> None:
        """Remove what was written."""
        if self._partial.is_dir():
            shutil.rmtree(self._partial)
        else:
            self._partial.unlink(missing_ok=True)

    def publish(self) -> Conversion:
        """Make all files durable and put them in place at once."""
        size = sum(path.stat().st_size for path in self._files)
        for path in (*self._files, self._partial):
            fsync(path)
        os.rename(self._partial, self._destination)  # noqa: PTH104 (a folder or a file alike)
        fsync(self._destination.parent)
        whole = self._file_records is None
        files = [self._destination if whole else self._destination / path.name for path in self._files]
        return Conversion(tuple(files), self._records, size)


def _cut(batches: Iterator[pa.RecordBatch], records: int) -> Iterator[pa.RecordBatch]:
    """Yield the batches, cut so that none goes over a multiple of `records`."""
    held = 0
    for batch in batches:
        rest = batch
        while rest.num_rows:
            taken = rest.slice(0, records - held)
            yield taken
            rest = rest.slice(taken.num_rows)
            held = (held + taken.num_rows) % records
