"""Rows to be asked about, from Parquet, JSON Lines, CSV files and catalogs, one batch in memory at a time."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from nexa_data.catalog import CATALOG_NAME
from nexa_data.errors import ConfigError, RecordError

from nexa_distill.catalog_input import catalog_rows, catalog_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

__all__ = ["InputFile", "InputRow", "Inputs"]


@dataclass(frozen=True, slots=True)
class InputRow:
    """A row of the input and where it stands, for errors."""

    place: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input file, and what is known of its columns before it is read."""

    path: Path
    columns: tuple[str, ...]
    schema: pa.Schema | None
    read: Callable[[Path, Sequence[str]], Iterator[InputRow]]


@dataclass(frozen=True, slots=True)
class Inputs:
    """The input files of a collection, in the order in which their rows are asked about.

    Args:
        files: At least one file.
    """

    files: tuple[InputFile, ...]

    @classmethod
    def find(cls, patterns: str | Sequence[str]) -> Self:
        """Find the files that `patterns` name, and look at their columns.

        Args:
            patterns: Path or glob, or a list of them; a glob's files are taken in sorted order. The kind of
                a file follows from its name: `.parquet`, `.jsonl` or `.ndjson`, `.csv`, and `catalog.jsonl` for a
                catalog of shards, which may be named by its folder.

        Raises:
            ConfigError: A pattern names no file, or a file of no known kind.
            RecordError: A file isn't what its name says.
        """
        named = [patterns] if isinstance(patterns, str) else patterns
        return cls(tuple(_look_at(path) for pattern in named for path in _paths(pattern)))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of all files, in order of appearance; JSON Lines show those of their first line."""
        return tuple(dict.fromkeys(name for file in self.files for name in file.columns))

    def column_types(self) -> pa.Schema | None:
        """Return the Arrow types where every file declares them and they agree, else None."""
        import pyarrow as pa

        schemas = [file.schema for file in self.files if file.schema is not None]
        if len(schemas) < len(self.files):
            return None
        try:
            return pa.unify_schemas(schemas)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            return None

    def digests(self) -> dict[str, str]:
        """Return the sha256 of each file: that of a catalog holds those of its shards."""
        import hashlib

        found: dict[str, str] = {}
        for file in self.files:
            with file.path.open("rb") as opened:
                found[str(file.path)] = f"sha256:{hashlib.file_digest(opened, 'sha256').hexdigest()}"
        return found

    def check_columns(self, wanted: Sequence[str], said_by: str) -> None:
        """Refuse a manifest that names a column which a file doesn't have.

        Raises:
            ConfigError: Naming the file, the column, the manifest's key and the columns there are.
        """
        for file in self.files:
            absent = [name for name in wanted if name not in file.columns]
            if absent:
                raise ConfigError(
                    f"{file.path} has no column {absent[0]!r} ({said_by})",
                    remedy=f"its columns: {', '.join(file.columns)}",
                )

    def rows(self, text_columns: Sequence[str] = ()) -> Iterator[InputRow]:
        """Return all rows.

        Args:
            text_columns: CSV columns to be read as text even where they look like numbers.

        Raises:
            RecordError: A row can't be read, with `file:line`.
        """
        for file in self.files:
            yield from file.read(file.path, text_columns)


def _paths(pattern: str) -> list[Path]:
    expanded = str(Path(pattern).expanduser())
    if (Path(expanded) / CATALOG_NAME).is_file():
        return [Path(expanded) / CATALOG_NAME]
    if Path(expanded).is_file():
        return [Path(expanded)]
    found = sorted(Path(name) for name in glob.glob(expanded, recursive=True) if Path(name).is_file())  # noqa: PTH207
    if not found:
        what = "is a folder" if Path(expanded).is_dir() else "names no file"
        raise ConfigError(
            f"input {pattern!r} {what} (looked for {Path(expanded).absolute()})",
            remedy="name files or a glob, such as data/*.jsonl",
        )
    return found


def _look_at(path: Path) -> InputFile:
    suffix = path.suffix.lower()
    if path.name == CATALOG_NAME:
        schema = catalog_schema(path)
        return InputFile(path, tuple(schema.names), schema, _read_catalog)
    if suffix in {".parquet", ".pq"}:
        schema = _parquet_schema(path)
        return InputFile(path, tuple(schema.names), schema, _read_parquet)
    if suffix in {".jsonl", ".ndjson"}:
        first = next(_read_jsonl(path), None)
        return InputFile(path, tuple(first.values if first else ()), None, _read_jsonl)
    if suffix == ".csv":
        with _csv_reader(path, ()) as reader:
            return InputFile(path, tuple(reader.schema.names), None, _read_csv)
    raise ConfigError(
        f"{path}: unknown kind of file",
        remedy="name .parquet, .jsonl, .ndjson or .csv files, or a catalog.jsonl",
    )


def _read_catalog(path: Path, _text_columns: Sequence[str]) -> Iterator[InputRow]:
    for place, values in catalog_rows(path):
        yield InputRow(place, values)


def _parquet_schema(path: Path) -> pa.Schema:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path).remove_metadata()
    except (pa.ArrowInvalid, OSError) as error:
        raise RecordError(
            f"{path} is not a readable Parquet file: {error}", remedy="write it anew"
        ) from error


def _read_parquet(path: Path, _text_columns: Sequence[str]) -> Iterator[InputRow]:
    import pyarrow.parquet as pq

    row = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for values in batch.to_pylist():
                    yield InputRow(f"{path}: row {row}", values)
                    row += 1
    except (ValueError, OSError) as error:
        raise RecordError(
            f"{path}: row {row} or later can't be read: {error}", remedy="write it anew"
        ) from error


def _read_jsonl(path: Path, _text_columns: Sequence[str] = ()) -> Iterator[InputRow]:
    import orjson

    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not text.strip():
                continue
            try:
                values = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise RecordError(
                    f"{path}:{number}: not JSON: {error}", remedy="correct or delete the line"
                ) from error
            if not isinstance(values, dict):
                raise RecordError(
                    f"{path}:{number}: the line holds no JSON object",
                    remedy='write {"column": value, …} on each line',
                )
            yield InputRow(f"{path}:{number}", values)


def _csv_reader(path: Path, text_columns: Sequence[str]) -> Any:
    import pyarrow as pa
    import pyarrow.csv

    options = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(text_columns, pa.string()))
    parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
    try:
        return pyarrow.csv.open_csv(path, parse_options=parsing, convert_options=options)
    except pa.ArrowInvalid as error:
        raise RecordError(
            f"{path} is not a readable CSV file: {error}", remedy="check header and quotes"
        ) from error


def _read_csv(path: Path, text_columns: Sequence[str]) -> Iterator[InputRow]:
    import pyarrow as pa

    row = 0
    with _csv_reader(path, text_columns) as reader:
        try:
            for batch in reader:
                for values in batch.to_pylist():
                    yield InputRow(f"{path}: row {row}", values)
                    row += 1
        except pa.ArrowInvalid as error:
            raise RecordError(
                f"{path}: row {row} or later can't be read: {error}",
                remedy="check quotes and types, or use JSON Lines",
            ) from error
