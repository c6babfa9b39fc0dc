"""Every request written down, with its identity, before the first is sent: on disk, so that a million fit."""

from __future__ import annotations

import hashlib
import tempfile
from array import array
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Self

from nexa_data.errors import ArtifactError, ConfigError, RecordError

from nexa_distill.request import KEY_BYTES, request_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    import pyarrow as pa

    from nexa_distill.request import TeacherRequest
    from nexa_distill.settings import TeacherSettings

__all__ = ["KEY_COLUMN", "NO_COLUMNS", "Plan", "PlannedRequest"]

KEY_COLUMN = "request_key"
"""Column of the output that holds a row's request key, as hex."""

NO_COLUMNS = "__no_columns__"
"""Column of nulls that stands for none: a table without columns would have no rows either."""

_ROWS_PER_TABLE = 4096


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """A request in its place.

    Args:
        index: Its place among the requests, from 0.
        key: Its identity.
        asked: The part of its body that is its own, as a JSON object: its messages, and its tools if it has any.
    """

    index: int
    key: bytes
    asked: bytes


class Plan:
    """The requests of one run, in order, spooled to unnamed files that vanish with the process.

    Memory holds 24 bytes a request, and some 100 more while they are written down.

    Args:
        requests: Any iterable, read once.
        settings: What is asked with each.
        endpoint: Base URL without credentials.
        spool_dir: Folder on whose file system the spool lies.
        reserved: Column names that the output needs for itself.
        schema: Arrow types of carried columns where the caller knows them; the others are inferred.

    Raises:
        RecordError: A request isn't JSON, columns don't fit into Arrow, or there is no request at all.
        ConfigError: A carried column has a name that the output needs.
        ArtifactError: The spool can't be written.
    """

    def __init__(
        self,
        requests: Iterable[TeacherRequest],
        settings: TeacherSettings,
        endpoint: str,
        *,
        spool_dir: Path,
        reserved: frozenset[str] = frozenset(),
        schema: pa.Schema | None = None,
    ) -> None:
        import orjson

        self.rows = 0
        self.keys = bytearray()
        self.schema: pa.Schema = None
        self.asked = {"model": settings.model, **settings.parameters()}
        self.endpoint = endpoint
        self._parameters = orjson.dumps(self.asked, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)
        self._reserved = reserved
        self._known = schema
        self._columns_digest = hashlib.sha256()
        self._samples: dict[bytes, int] = {}
        self._ends = array("Q")
        self._tables = 0
        self._spool_dir = spool_dir
        with _spooling(spool_dir):
            spool_dir.mkdir(parents=True, exist_ok=True)
            self._prompts: IO[bytes] = tempfile.TemporaryFile(dir=spool_dir)  # noqa: SIM115 (closed in `close`)
            self._columns: IO[bytes] = tempfile.TemporaryFile(dir=spool_dir)  # noqa: SIM115
        try:
            self._spool(iter(requests))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the spool's disk space back."""
        for file in (self._prompts, self._columns):
            with suppress(OSError):  # a disk that is full was spoken of when it was written to
                file.close()

    @property
    def asked_hash(self) -> str:
        """Identity of what all requests share: endpoint, model and parameters."""
        return hashlib.sha256(self.endpoint.encode() + b"\n" + self._parameters).hexdigest()

    @property
    def run_hash(self) -> str:
        """Identity of what is asked: the requests in their order, with all that they share."""
        return hashlib.sha256(self.asked_hash.encode() + self.keys).hexdigest()

    @property
    def requests_hash(self) -> str:
        """Identity of what is asked and carried along."""
        digest = hashlib.sha256(self.run_hash.encode() + self._columns_digest.digest())
        digest.update(str(self.schema).encode())
        return f"sha256:{digest.hexdigest()}"

    @property
    def prompt_bytes(self) -> int:
        """Bytes of all that is asked, as JSON."""
        return self._ends[-1] if self._ends else 0

    def body_bytes(self, index: int) -> int:
        """Return how long the body of request `index` is at most, in bytes."""
        start = self._ends[index - 1] if index else 0
        return self._ends[index] - start + len(self._parameters)

    def key(self, index: int) -> bytes:
        """Return the key of request `index`."""
        return bytes(self.keys[index * KEY_BYTES : (index + 1) * KEY_BYTES])

    def request(self, index: int) -> PlannedRequest:
        """Return request `index`."""
        start = self._ends[index - 1] if index else 0
        self._prompts.seek(start)
        return PlannedRequest(index, self.key(index), self._prompts.read(self._ends[index] - start))

    def tables(self) -> Iterator[pa.Table]:
        """Return the carried columns in the requests' order, under one schema."""
        import pyarrow as pa

        self._columns.seek(0)
        for _ in range(self._tables):
            with pa.ipc.open_stream(self._columns) as reader:
                yield _conform(reader.read_all(), self.schema)

    def _spool(self, requests: Iterator[TeacherRequest]) -> None:
        import pyarrow as pa

        schemas: list[pa.Schema] = []
        while batch := list(islice(requests, _ROWS_PER_TABLE)):
            asked = [self._identified(request) for request in batch]
            with _spooling(self._spool_dir):
                self._prompts.writelines(asked)
            table = self._table(batch)
            with _spooling(self._spool_dir), pa.ipc.new_stream(self._columns, table.schema) as writer:
                writer.write_table(table)
            if table.schema not in schemas:
                schemas.append(table.schema)
            self.rows += len(batch)
            self._tables += 1
        if not self.rows:
            raise RecordError("there are no requests", remedy="check the input: it has no rows")
        try:
            self.schema = pa.unify_schemas(schemas, promote_options="permissive")
        except pa.ArrowInvalid as error:
            raise RecordError(
                f"a carried column changes its type between rows: {error}",
                remedy="make it one type, or leave it out of the carried columns",
            ) from error
        self._samples.clear()
        with _spooling(self._spool_dir):
            self._prompts.flush()
            self._columns.flush()

    def _identified(self, request: TeacherRequest) -> bytes:
        """Return what is asked as it is written down, once its key and its place are noted."""
        import orjson

        try:
            asked = orjson.dumps(request.asked(), option=orjson.OPT_SORT_KEYS)
            columns = orjson.dumps(dict(request.columns), default=repr, option=orjson.OPT_SERIALIZE_NUMPY)
        except TypeError as error:
            raise RecordError(
                f"row {request.row}: can't be written as JSON: {error}",
                remedy="messages hold text, lists and mappings",
            ) from error
        key = request_key(self.endpoint, self._parameters, asked)
        sample = self._samples.get(key, 0)
        self._samples[key] = sample + 1
        self.keys += request_key(self.endpoint, self._parameters, asked, sample) if sample else key
        self._ends.append(self.prompt_bytes + len(asked))
        self._columns_digest.update(hashlib.sha256(columns).digest())
        return asked

    def _table(self, batch: Sequence[TeacherRequest]) -> pa.Table:
        import pyarrow as pa

        names = list(dict.fromkeys(name for request in batch for name in request.columns))
        taken = sorted(self._reserved.intersection(names))
        if taken:
            raise ConfigError(
                f"row {batch[0].row}: carried columns {taken} have names that the output needs",
                remedy="rename them, or choose others (carry_columns in a manifest)",
            )
        if not names:
            return pa.table({NO_COLUMNS: pa.nulls(len(batch))})
        return pa.table({name: self._array(name, batch) for name in names})

    def _array(self, name: str, batch: Sequence[TeacherRequest]) -> pa.Array:
        import pyarrow as pa

        known = (
            self._known.field(name).type if self._known is not None and name in self._known.names else None
        )
        try:
            return pa.array([request.columns.get(name) for request in batch], known)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
            raise RecordError(
                f"rows {batch[0].row} to {batch[-1].row}: column {name!r} has no one Arrow type: {error}",
                remedy="make it one type, or leave it out of the carried columns",
            ) from error


@contextmanager
def _spooling(folder: Path) -> Iterator[None]:
    """Say where it was, if what is asked can't be written down."""
    try:
        yield
    except OSError as error:
        raise ArtifactError(
            f"{folder}: what is asked can't be written down: {error.strerror or error}",
            remedy="make room there, or write the output elsewhere",
        ) from error


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    present: Mapping[str, Any] = dict(zip(table.column_names, table.columns, strict=True))
    columns = [
        present[field.name].cast(field.type)
        if field.name in present
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
