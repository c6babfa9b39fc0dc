"""The Parquet file in which the collector leaves a teacher's answers: its name, and opening it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nexa_data.errors import RecordError, ShardNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

__all__ = ["LABELS_METADATA", "OUTPUTS_NAME", "open_outputs", "require_columns", "rows_of"]

OUTPUTS_NAME = "teacher_outputs.parquet"
"""File of an artifact of kind `teacher-outputs` that holds the rows."""

LABELS_METADATA = b"nexa.labels"
"""Key in the Parquet schema's metadata under which the label set stands, as a JSON list."""


def open_outputs(path: Path) -> tuple[Path, pa.Schema]:
    """Return the Parquet file of an artifact folder, or the file itself, and its schema.

    Raises:
        ShardNotFoundError: There is no such file.
        RecordError: It isn't Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = Path(path)
    file = file / OUTPUTS_NAME if file.is_dir() else file
    if not file.is_file():
        raise ShardNotFoundError(
            f"there are no teacher outputs at {file.absolute()}", remedy="name the artifact folder"
        )
    try:
        return file, pq.read_schema(file)
    except pa.ArrowInvalid as error:
        raise RecordError(
            f"{file} is not a Parquet file: {error}", remedy="name the collector's output"
        ) from error


def rows_of(file: Path) -> int:
    """Return how many rows a Parquet file says that it has."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_rows)


def require_columns(file: Path, schema: pa.Schema, asked: Sequence[str]) -> None:
    """Refuse names of columns that a file doesn't have.

    Raises:
        RecordError: It lacks one.
    """
    for name in asked:
        if name not in schema.names:
            raise RecordError(f"{file} has no column {name!r}", remedy=f"it has: {', '.join(schema.names)}")
