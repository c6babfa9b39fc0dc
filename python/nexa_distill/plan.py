"""Every request written down, with its identity, before the first is sent: on disk, so that a million fit."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Self

from nexa_data.errors import ConfigError, RecordError

from nexa_distill.request import request_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    import pyarrow as pa

    from nexa_distill.request import TeacherRequest
    from nexa_distill.settings import TeacherSettings

__all__ = ["KEY_COLUMN", "Plan", "PlannedRequest"]

KEY_COLUMN = "request_key"
"""Column of the spool and of the output that holds a row's request key."""

_ROWS_PER_TABLE = 4096


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """A request in its place: `index` counts requests in their order, `row` is the caller's number."""

    index: int
    row: int
    key: str
    messages: list[Any]


class Plan:
    """The requests of one run, in order, spooled to unnamed files that vanish with the process.

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
        self.rows = 0
        self.requests_hash = ""
        self.schema: pa.Schema = None
        self._endpoint = endpoint
        self._asked = {"model": settings.model, **settings.parameters()}
        self._reserved = reserved
        self._known = schema
        self._digest = hashlib.sha256()
        self._occurrences: dict[bytes, int] = {}
        self._tables = 0
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
        self._prompts.close()
        self._columns.close()

    def prompts(self) -> Iterator[PlannedRequest]:
        """Return the requests in their order; one iteration at a time."""
        import orjson

        self._prompts.seek(0)
        for index, line in enumerate(self._prompts):
            yield PlannedRequest(index=index, **orjson.loads(line))

    def tables(self) -> Iterator[pa.Table]:
        """Return `request_key` and the carried columns, in the requests' order, under one schema."""
        import pyarrow as pa

        self._columns.seek(0)
        for _ in range(self._tables):
            with pa.ipc.open_stream(self._columns) as reader:
                yield _conform(reader.read_all(), self.schema)

    def _spool(self, requests: Iterator[TeacherRequest]) -> None:
        import pyarrow as pa

        schemas: list[pa.Schema] = []
        while batch := list(islice(requests, _ROWS_PER_TABLE)):
            keys = [self._spool_prompt(request) for request in batch]
            table = self._table(batch, keys)
            with pa.ipc.new_stream(self._columns, table.schema) as writer:
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
        self._occurrences.clear()
        self._digest.update(str(self.schema).encode())
        self.requests_hash = f"sha256:{self._digest.hexdigest()}"

    def _spool_prompt(self, request: TeacherRequest) -> str:
        import orjson

        body = {**self._asked, "messages": request.messages}
        try:
            base = bytes.fromhex(request_key(self._endpoint, body))
            seen = self._occurrences.get(base, 0)
            self._occurrences[base] = seen + 1
            key = request_key(self._endpoint, body, seen) if seen else base.hex()
            line = orjson.dumps({"row": request.row, "key": key, "messages": request.messages})
            columns = orjson.dumps(dict(request.columns), default=repr, option=orjson.OPT_SERIALIZE_NUMPY)
        except TypeError as error:
            raise RecordError(
                f"row {request.row}: can't be written as JSON: {error}",
                remedy="messages hold text, lists and mappings",
            ) from error
        self._prompts.write(line + b"\n")
        self._digest.update(key.encode())
        self._digest.update(hashlib.sha256(columns).digest())
        return key

    def _table(self, batch: Sequence[TeacherRequest], keys: list[str]) -> pa.Table:
        import pyarrow as pa

        names = list(dict.fromkeys(name for request in batch for name in request.columns))
        taken = sorted(self._reserved.intersection(names))
        if taken:
            raise ConfigError(
                f"row {batch[0].row}: carried columns {taken} have names that the output needs",
                remedy="rename them, or choose others (carry_columns in a manifest)",
            )
        arrays = {name: self._array(name, batch) for name in names}
        return pa.table({KEY_COLUMN: pa.array(keys, pa.string()), **arrays})

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
