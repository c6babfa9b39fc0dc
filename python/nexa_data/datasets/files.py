"""Rows from files: Parquet, CSV and Arrow, by path, folder or glob."""

from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from nexa_data.errors import ConfigError, NexaError, RecordError, ShardNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

from nexa_data.datasets.rows import RowBatch, RowSource

__all__ = ["SourceFile", "find_files", "recognise", "row_source"]

_SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")
_WHOLE_CSV_BYTES = 256 * 1024 * 1024
_BATCH_ROWS = 65_536


class SourceFile:
    """One file of a source.

    Args:
        path: The file.
        origin: Its name relative to the folder or glob that it was found by; what splits depend on, so that a
            dataset that is moved stays split as it was.
    """

    __slots__ = ("origin", "path")

    def __init__(self, path: Path, origin: str) -> None:
        self.path = path
        self.origin = origin


def find_files(uris: Sequence[str]) -> list[SourceFile]:
    """Return the files that `uris` name, sorted within each, none twice.

    Raises:
        ShardNotFoundError: Nothing matches; the message shows the resolved path.
        ConfigError: The scheme isn't served.
    """
    found: dict[Path, SourceFile] = {}
    for uri in uris:
        for file in _find(uri):
            found.setdefault(file.path.resolve(), file)
    return list(found.values())


def _find(uri: str) -> list[SourceFile]:
    scheme = _SCHEME.match(uri)
    if scheme and scheme[1].lower() != "file":
        raise ConfigError(
            f"source_uri {uri!r}: the scheme {scheme[1]}:// is not served yet",
            remedy="copy the files to a local or mounted disk and name their path",
        )
    pattern = unquote(urlsplit(uri).path) if scheme else uri
    path = Path(pattern).expanduser()
    if path.is_file():
        return [SourceFile(path, path.name)]
    if path.is_dir():
        files = [file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file()]
        root = path
    else:
        files = [file for file in map(Path, glob.iglob(str(path), recursive=True)) if file.is_file()]  # noqa: PTH207
        root = _glob_root(path)
    kept = [
        file
        for file in files
        if not any(part.startswith((".", "_")) for part in file.relative_to(root).parts)
    ]
    if not kept:
        what = (
            f"the folder holds none of {', '.join(_SUFFIXES)}" if path.is_dir() else "there is no such file"
        )
        raise ShardNotFoundError(
            f"source_uri {uri!r}: {what} ({path.absolute()})",
            remedy="relative paths start at the working directory",
        )
    return sorted(
        (SourceFile(file, file.relative_to(root).as_posix()) for file in kept), key=lambda file: file.origin
    )


def _glob_root(pattern: Path) -> Path:
    parts: list[str] = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)


def recognise(path: Path, wanted: str | None = None) -> str:
    """Return `parquet`, `csv` or `arrow`: as the config says, else by content, else by name.

    Raises:
        RecordError: The file is none of these.
    """
    if wanted:
        return wanted
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    known = _SUFFIXES.get(path.suffix.lower())
    if known == "csv" and b"\0" not in head:
        return known
    reason = (
        f"it doesn't begin as a {known} file does" if known else "neither content nor name says what it is"
    )
    raise RecordError(
        f"{path}: not a Parquet, CSV or Arrow file: {reason}", remedy="set data.format, or convert it"
    )


def row_source(uris: Sequence[str], wanted: str | None = None) -> RowSource:
    """Return the rows of all files, under one schema.

    Raises:
        RecordError: A file is damaged or its columns don't fit those of the others; the message names it.
    """
    files = [(file, _reader(file.path, recognise(file.path, wanted))) for file in find_files(uris)]
    schema = _common_schema([(file, reader.schema) for file, reader in files])

    def batches() -> Iterator[RowBatch]:
        for file, reader in files:
            first = 0
            for batch in _guarded(file.path, reader.batches):
                yield RowBatch(file.origin, first, _fit(batch, schema, file.path))
                first += batch.num_rows

    return RowSource(schema, batches, ", ".join(uris))


class _Reader:
    __slots__ = ("batches", "schema")

    def __init__(self, schema: pa.Schema, batches: Callable[[], Iterator[pa.RecordBatch]]) -> None:
        self.schema = schema
        self.batches = batches


def _reader(path: Path, form: str) -> _Reader:
    import pyarrow as pa

    try:
        return {"parquet": _parquet, "csv": _csv, "arrow": _arrow}[form](path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _guarded(path: Path, batches: Callable[[], Iterator[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    try:
        yield from batches()
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> NexaError:
    if isinstance(error, NexaError):
        return error
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return RecordError(
        f"{path}: can't be read: {first}", remedy="check that the file is whole, or set data.format"
    )


def _parquet(path: Path) -> _Reader:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow

    def batches() -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=_BATCH_ROWS)

    return _Reader(schema, batches)


def _arrow(path: Path) -> _Reader:
    import pyarrow as pa

    def opened() -> Any:
        source = pa.memory_map(str(path))
        return (
            pa.ipc.open_file(source) if source.read(6) == b"ARROW1" else pa.ipc.open_stream(_rewound(source))
        )

    def batches() -> Iterator[pa.RecordBatch]:
        reader = opened()
        if isinstance(reader, pa.ipc.RecordBatchFileReader):
            yield from (reader.get_batch(at) for at in range(reader.num_record_batches))
        else:
            yield from reader

    return _Reader(opened().schema, batches)


def _rewound(source: Any) -> Any:
    source.seek(0)
    return source


def _csv(path: Path) -> _Reader:
    from pyarrow import csv

    if path.stat().st_size == 0:
        raise RecordError(
            f"{path}: the file is empty", remedy="a CSV file begins with a line of column names"
        )
    parse = csv.ParseOptions(delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    if path.stat().st_size > _WHOLE_CSV_BYTES:
        # Types are taken from the first block: a large one sees more before it decides.
        read = csv.ReadOptions(block_size=32 * 1024 * 1024)

        def stream() -> Any:
            return csv.open_csv(path, read_options=read, parse_options=parse)

        return _Reader(stream().schema, lambda: iter(stream()))

    def table() -> pa.Table:
        return csv.read_csv(path, parse_options=parse)

    return _Reader(table().schema, lambda: iter(table().to_batches(max_chunksize=_BATCH_ROWS)))


def _common_schema(schemas: list[tuple[SourceFile, pa.Schema]]) -> pa.Schema:
    import pyarrow as pa

    first, common = schemas[0]
    for file, schema in schemas[1:]:
        if set(schema.names) != set(common.names):
            missing, extra = set(common.names) - set(schema.names), set(schema.names) - set(common.names)
            raise RecordError(
                f"{file.path}: its columns are not those of {first.path}: missing {sorted(missing)}, more {sorted(extra)}",
                remedy="name only files of one table in source_uri",
            )
        try:
            common = pa.unify_schemas(
                [common.remove_metadata(), schema.remove_metadata()], promote_options="permissive"
            )
        except pa.ArrowException as error:
            raise RecordError(
                f"{file.path}: its types don't fit those of {first.path}: {str(error).splitlines()[0]}",
                remedy="write all files with one schema",
            ) from error
    return common.remove_metadata()


def _fit(batch: pa.RecordBatch, schema: pa.Schema, path: Path) -> pa.RecordBatch:
    import pyarrow as pa

    try:
        arrays = [batch.column(name).cast(schema.field(name).type) for name in schema.names]
    except pa.ArrowException as error:
        raise _damaged(path, error) from error
    return pa.record_batch(arrays, schema=schema)
