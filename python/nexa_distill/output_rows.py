"""What single rows of the collector's Parquet say: their labels' probabilities, their class, why they have none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from nexa_data.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["label_matrix", "target_classes", "why_missing"]

_SHOWN = 200


def label_matrix(column: pa.Array, n_labels: int, place: str, first: int) -> npt.NDArray[np.float64]:
    """Return the raw probabilities as (n, n_labels); 0 throughout where a row has none.

    Args:
        column: Lists of probabilities, or nulls.
        n_labels: How many a row has.
        place: What a message begins with, `{}` for the row.
        first: Number of the first row.

    Raises:
        RecordError: A list is of another length, or holds a null or a negative number.
    """
    import pyarrow.compute as pc

    valid = column.is_valid().to_numpy(zero_copy_only=False)
    lengths = pc.list_value_length(column).fill_null(n_labels).to_numpy(zero_copy_only=False)
    other = np.flatnonzero(lengths != n_labels)
    if len(other):
        raise RecordError(
            f"{place.format(first + other[0])} has {lengths[other[0]]} probabilities, and the label set {n_labels} labels",
            remedy="was the file put together from two label sets?",
        )
    matrix = np.zeros((len(column), n_labels))
    matrix[valid] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, n_labels)
    wrong = np.flatnonzero((matrix < 0).any(axis=1) | np.isinf(matrix).any(axis=1))
    if len(wrong):
        raise RecordError(
            f"{place.format(first + wrong[0])} has {matrix[wrong[0]].tolist()} as probabilities",
            remedy="the file is damaged: collect again",
        )
    return matrix


def target_classes(
    raw: npt.NDArray[np.float64],
    values: Sequence[Any] | None,
    labels: Sequence[str],
    place: str,
    numbers: npt.NDArray[np.intp],
) -> npt.NDArray[np.int64]:
    """Return each row's class: what a column says, an index or a label's text, else the most probable one.

    Args:
        raw: Probabilities, (n, labels).
        values: The column's values; None without one.
        labels: The label set.
        place: What a message begins with, `{}` for the row.
        numbers: Numbers of the rows.

    Raises:
        RecordError: A value is no label.
    """
    if values is None:
        return np.asarray(raw.argmax(axis=1), np.int64)
    places = {label.strip(" "): index for index, label in enumerate(labels)}
    found = np.empty(len(values), np.int64)
    for at, value in enumerate(values):
        index = places.get(value.strip(" ")) if isinstance(value, str) else value
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(labels):
            raise RecordError(
                f"{place.format(numbers[at])} is {value!r}, which is no label",
                remedy=f"it is an index below {len(labels)} or one of {list(labels)}",
            )
        found[at] = index
    return found


def why_missing(batch: pa.RecordBatch, row: int) -> tuple[str, str]:
    """Return why a row has no answer that counts: in a word, and for a message."""
    status = batch.column("status")[row].as_py() if "status" in batch.schema.names else None
    if status not in {None, "ok"}:
        said = batch.column("error")[row].as_py() if "error" in batch.schema.names else None
        return status, f"is {status}, not ok" + (f": {str(said)[:_SHOWN]}" if said else ": it has no answer")
    if status is None and not batch.column("label_probs")[row].is_valid:
        return "failed", "failed: it has no answer"
    return "no label", "has no label among the teacher's alternatives"
