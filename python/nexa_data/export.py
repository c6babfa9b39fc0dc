"""Writes record batches as files of common formats, one writer each."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nexa_data.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyarrow as pa

__all__ = ["EXTENSIONS", "Writer", "open_writer"]

EXTENSIONS = {"arrow": ".arrow", "parquet": ".parquet", "jsonl": ".jsonl", "webdataset": ".tar"}
"""Ending of a file's name for each format that is written."""


class Writer(Protocol):
    """Takes batches of one schema and writes them to one file."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Write some records."""

    def close(self) -> None:
        """Make the file whole."""


def open_writer(to: str, path: Path, schema: pa.Schema) -> Writer:
    """Return what writes records of `schema` to `path` in the format `to`.

    Raises:
        RecordError: The format has no place for a column.
    """
    writer: Writer = _WRITERS[to](path, schema)
    return writer


class _Arrow:
    """Arrow IPC file, uncompressed, so that any Arrow tool maps it."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow as pa

        self._file = path.open("wb")
        self._sink = pa.ipc.new_file(self._file, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        self._sink.write_batch(batch)

    def close(self) -> None:
        self._sink.close()
        self._file.close()


class _Parquet:
    """Parquet, packed by zstd."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self._sink = pq.ParquetWriter(path, schema, compression="zstd")

    def write(self, batch: pa.RecordBatch) -> None:
        self._sink.write_batch(batch)

    def close(self) -> None:
        self._sink.close()


class _Jsonl:
    """A JSON object a line: tensors as nested lists, bytes in base64, NaN and infinities as Python's json writes them."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        del schema
        self._file = path.open("wb")

    def write(self, batch: pa.RecordBatch) -> None:
        import orjson

        columns = [_python_values(column) for column in batch.columns]
        finite = all(_is_finite(column) for column in batch.columns)
        for row in zip(*columns, strict=True):
            record = dict(zip(batch.schema.names, row, strict=True))
            line = (
                orjson.dumps(record, default=_jsonable)
                if finite
                else json.dumps(record, default=_jsonable, ensure_ascii=False, separators=(",", ":")).encode()
            )
            self._file.write(line + b"\n")

    def close(self) -> None:
        self._file.close()


class _Webdataset:
    """Tar with a file for each column of each record, as WebDataset reads it: `000000000.label.cls` and so on."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._members = [(name, _member(name, schema.field(name).type)) for name in schema.names]
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 (closed by close)
        self._next = 0

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [_python_values(column) for column in batch.columns]
        for row in zip(*columns, strict=True):
            for (name, (ending, encode)), value in zip(self._members, row, strict=True):
                if value is not None:
                    self._add(f"{self._next:09d}.{name}.{ending}", encode(value))
            self._next += 1

    def _add(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))

    def close(self) -> None:
        self._tar.close()


def _member(name: str, kind: pa.DataType) -> tuple[str, Callable[[Any], bytes]]:
    """Return the ending and the encoding of a column's files."""
    import pyarrow as pa

    if "." in name or "/" in name:
        raise RecordError(
            f"column {name!r}: WebDataset's names have dots and slashes of their own",
            remedy="rename the column",
        )
    if pa.types.is_integer(kind):
        return "cls", lambda value: str(value).encode()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "txt", lambda value: str(value).encode()
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "bin", bytes
    item = kind.value_type if isinstance(kind, pa.FixedShapeTensorType) else kind
    while pa.types.is_list(item) or pa.types.is_large_list(item) or pa.types.is_fixed_size_list(item):
        item = item.value_type
    if pa.types.is_floating(item) or pa.types.is_integer(item) or pa.types.is_boolean(item):
        dtype = pa.array([], item).to_numpy(zero_copy_only=False).dtype
        return "npy", lambda value: _npy(np.asarray(value, dtype))
    return "json", lambda value: json.dumps(value, default=_jsonable).encode()


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _python_values(column: pa.Array) -> list[Any]:
    """Return a column's values as Python objects; a tensor as nested lists."""
    import pyarrow as pa

    if isinstance(column.type, pa.FixedShapeTensorType):
        tensors: list[Any] = column.to_numpy_ndarray().tolist()
        return tensors
    values: list[Any] = column.to_pylist()
    return values


def _is_finite(column: pa.Array) -> bool:
    """Whether JSON has a name for all of a column's numbers; of nested ones, look at the items."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = column.storage if isinstance(column, pa.ExtensionArray) else column
    while pa.types.is_nested(array.type):
        if pa.types.is_struct(array.type):
            return all(_is_finite(part) for part in array.flatten())
        if pa.types.is_map(array.type):
            return False
        array = array.flatten()
    if not pa.types.is_floating(array.type):
        return True
    return pc.all(pc.is_finite(array)).as_py() is not False


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


_WRITERS: dict[str, Callable[[Path, pa.Schema], Any]] = {
    "arrow": _Arrow,
    "parquet": _Parquet,
    "jsonl": _Jsonl,
    "webdataset": _Webdataset,
}
