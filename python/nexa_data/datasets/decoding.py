"""From files to rows: each file decoded by the native core, all under one schema."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data import _core
from nexa_data.config_reading import ReadConfig
from nexa_data.datasets.class_names import class_names
from nexa_data.datasets.files import find_files, recognise
from nexa_data.datasets.promised import check_digests
from nexa_data.datasets.rows import BadRows, RowBatch, RowSource
from nexa_data.datasets.types import parse_type, with_types
from nexa_data.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt
    import pyarrow as pa

    from nexa_data.datasets.source_file import SourceFile

__all__ = ["count_records", "row_source"]

_log = logging.getLogger(__name__)

_UNTYPED = frozenset({"csv", "jsonl", "tfrecord", "webdataset"})
"""Formats whose columns have the types that they are read as."""
_MOST_ROWS = 1 << 62
_OPEN = frozenset({"jsonl", "tfrecord", "webdataset"})
"""Formats whose records may lack columns that others have: they are null there."""


@dataclass(slots=True)
class _File:
    """A source file, with what it is read as."""

    file: SourceFile
    form: str
    reader: _core.SourceReader
    schema: pa.Schema
    checked: bool = False
    """Whether its bytes were compared with the digests that an index promises."""


def row_source(
    uris: Sequence[str] | Mapping[str, Sequence[str]],
    wanted: str | None = None,
    *,
    read: ReadConfig | None = None,
    threads: int | None = None,
) -> RowSource:
    """Return the rows of all files, under one schema.

    Args:
        uris: Files, folders and globs; or these for each split, where they were cut already.
        wanted: Format of the files; default: recognised, each for itself.
        read: How they are read where their format leaves it open.
        threads: Threads that decode; default: automatic.

    Raises:
        ShardNotFoundError: There are no such files.
        RecordError: A file can't be read, or its columns don't fit those of the others; the message names it.
    """
    import pyarrow as pa

    read = read or ReadConfig()
    found = [_open(file, wanted, read) for file in find_files(uris)]
    files = _not_blank(found)
    schema = _common_schema(files)
    typed = with_types(schema, read.types, more=all(each.form in _OPEN for each in files))
    for each in files:
        if each.form in _UNTYPED and not each.schema.equals(typed):
            # What this file has no value of, or shorter numbers, another one may have told the type of.
            each.reader = _reader(each.file, each.form, read, _own(each, typed))
            each.schema = pa.schema(each.reader)

    def batches() -> Iterator[RowBatch]:
        for each in files:
            yield from _decode(each, each.reader, typed, threads)

    def narrowed(columns: Sequence[str]) -> Iterator[RowBatch]:
        chosen = pa.schema([typed.field(name) for name in columns])
        for each in files:
            own = _own(each, typed)
            reader = _reader(
                each.file,
                each.form,
                read,
                own if each.form in _UNTYPED else None,
                columns=[name for name in columns if name in own.names],
            )
            yield from _decode(each, reader, chosen, threads)

    names = class_names(each.schema for each in files)
    return RowSource(typed, batches, ", ".join(_texts(uris)), _splits(found), names, narrowed)


def count_records(uris: Sequence[str], wanted: str | None = None, *, read: ReadConfig | None = None) -> int:
    """Return how many records the files hold, good ones; where the format says so, without decoding them."""
    total = 0
    for file in find_files(uris):
        opened = _open(file, wanted, read or ReadConfig())
        rows = opened.reader.rows
        total += sum(len(batch) for _, batch, _ in opened.reader.batches()) if rows is None else rows
    return total


def _not_blank(files: Sequence[_File]) -> list[_File]:
    """Return the files without those that are empty: without a record, text has no columns either.

    Raises:
        RecordError: All are empty.
    """
    kept: list[_File] = []
    blank: list[_File] = []
    for each in files:
        (kept if each.schema.names or _has_records(each) else blank).append(each)
    if not kept:
        others = f", nor has any of the {len(blank) - 1} others" if len(blank) > 1 else ""
        raise RecordError(
            f"{blank[0].file.path}: it has no records to find columns in{others}", remedy="check source_uri"
        )
    if blank:
        first = blank[0].file.path
        _log.warning(
            "%d of %d files are empty and give no records; the first: %s", len(blank), len(files), first
        )
    return kept


def _splits(files: Sequence[_File]) -> frozenset[str] | None:
    """Return the splits that the files belong to, None if they don't.

    Raises:
        RecordError: Some do.
    """
    splits = {each.file.split for each in files}
    if splits == {None}:
        return None
    if None in splits:
        loose = next(each.file.path for each in files if each.file.split is None)
        raise RecordError(
            f"{loose}: it belongs to no split, and other files of the source do",
            remedy="name the files of each split in source_uri: {train: …, validation: …}",
        )
    return frozenset(split for split in splits if split is not None)


def _texts(uris: Sequence[str] | Mapping[str, Sequence[str]]) -> list[str]:
    return [uri for each in uris.values() for uri in each] if hasattr(uris, "values") else list(uris)


def _open(file: SourceFile, wanted: str | None, read: ReadConfig) -> _File:
    import pyarrow as pa

    form = recognise(file.path, wanted)
    reader = _reader(file, form, read, None)
    return _File(file, form, reader, pa.schema(reader))


def _reader(
    file: SourceFile,
    form: str,
    read: ReadConfig,
    schema: pa.Schema | None,
    *,
    columns: Sequence[str] | None = None,
) -> _core.SourceReader:
    import pyarrow as pa

    return _core.SourceReader(
        file.path,
        form,
        columns=columns,
        schema=schema,
        # It was found in some records: what others have beyond it may not be lost without a word.
        strict=schema is not None,
        types=pa.schema(
            [(name, parse_type(text, f"data.read.types.{name}")) for name, text in read.types.items()]
        ),
        infer_records=0 if read.infer == "whole" else read.infer,
        delimiter=read.delimiter,
        header=read.header,
        nulls=read.nulls,
    )


def _own(each: _File, schema: pa.Schema) -> pa.Schema:
    """Return the columns that this file is read with: those that it has, or may have."""
    import pyarrow as pa

    names = schema.names if each.form in _OPEN else each.schema.names
    return pa.schema([schema.field(name) for name in names])


def _decode(
    each: _File, reader: _core.SourceReader, schema: pa.Schema, threads: int | None
) -> Iterator[RowBatch]:
    import pyarrow as pa

    if not each.checked:
        check_digests(each.file)
        each.checked = True
    for first, native, lost in reader.batches(threads=threads):
        bad = tuple(
            BadRows(each.file.origin, record, records, reason, offset=offset, column=column, raw=raw)
            for record, records, offset, column, reason, raw in lost
        )
        batch = _fit(pa.record_batch(native), schema, each.file)
        yield RowBatch(
            each.file.origin,
            first,
            batch,
            numbers=_numbers(first, len(native), bad),
            bad=bad,
            split=each.file.split,
        )


def _numbers(first: int, rows: int, bad: Sequence[BadRows]) -> npt.NDArray[np.int64] | None:
    """Return the rows' numbers in the file, None where no record is missing between them."""
    if not bad:
        return None
    # A damaged file may claim to have lost any number: it is added, never written out.
    missing = np.zeros(rows + 1, np.int64)
    lost = 0
    for each in bad:
        missing[min(rows, each.row - first - lost)] += min(each.count, _MOST_ROWS)
        lost += each.count
    return np.arange(first, first + rows) + np.cumsum(missing[:rows])


def _common_schema(files: Sequence[_File]) -> pa.Schema:
    first = files[0]
    for each in files[1:]:
        names, others = set(each.schema.names), set(first.schema.names)
        if names != others and not {first.form, each.form} <= _OPEN:
            raise RecordError(
                f"{each.file.path}: its columns are not those of {first.file.path}: missing {sorted(others - names)}, "
                f"more {sorted(names - others)}",
                remedy="name only files of one table in source_uri",
            )
    try:
        return _unified(files)
    except RecordError:
        # Text without records says nothing of its columns' types: the others decide.
        telling = [each for each in files if each.form not in _UNTYPED or _has_records(each)]
        if len(telling) in {0, len(files)}:
            raise
        return _unified(telling)


def _has_records(each: _File) -> bool:
    return any(len(batch) for _, batch, _ in each.reader.batches(threads=1))


def _unified(files: Sequence[_File]) -> pa.Schema:
    import pyarrow as pa

    first, common = files[0], files[0].schema.remove_metadata()
    for each in files[1:]:
        try:
            common = pa.unify_schemas([common, each.schema.remove_metadata()], promote_options="permissive")
        except pa.ArrowException as error:
            raise RecordError(
                f"{each.file.path}: its types don't fit those of {first.file.path}: {_first_line(error)}",
                remedy="write all files with one schema, or say the types in data.read.types",
            ) from error
    return common


def _fit(batch: pa.RecordBatch, schema: pa.Schema, file: SourceFile) -> pa.RecordBatch:
    import pyarrow as pa

    if batch.schema.equals(schema):
        return batch
    try:
        arrays = [_column(batch, field) for field in schema]
    except pa.ArrowException as error:
        raise RecordError(
            f"{file.path}: {_first_line(error)}", remedy="write all files with one schema"
        ) from error
    return pa.record_batch(arrays, schema=schema)


def _column(batch: pa.RecordBatch, field: pa.Field) -> Any:
    import pyarrow as pa

    if field.name not in batch.schema.names:
        return pa.nulls(batch.num_rows, field.type)
    return batch.column(field.name).cast(field.type)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
