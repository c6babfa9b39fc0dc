"""The columns that a student learns from, carried by the collector: some joined to features, the others as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from nexa_data.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["student_batch"]


def student_batch(
    batch: pa.RecordBatch,
    features: Sequence[str],
    carry: Sequence[str],
    place: str,
    numbers: npt.NDArray[np.intp],
) -> pa.RecordBatch | None:
    """Return `features` (float32, a tensor a row) and the carried columns; None if neither is asked for.

    Args:
        batch: The rows.
        features: Columns of numbers, or of vectors of one length, joined in their order.
        carry: Further columns.
        place: What a message begins with, `{}` for the row.
        numbers: Numbers of the rows.

    Raises:
        RecordError: A value is null, or a feature is no number or of another length.
    """
    import pyarrow as pa

    if not features and not carry:
        return None
    for name in (*features, *carry):
        column = batch.column(name)
        if column.null_count:
            at = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise RecordError(
                f"{place.format(numbers[at])}: column {name!r} is null",
                remedy="fill it before you collect, or leave it out",
            )
    arrays: dict[str, Any] = {}
    if features:
        joined = np.column_stack([_numbers(batch.column(name), name, place, numbers) for name in features])
        flat = pa.array(np.ascontiguousarray(joined, np.float32).reshape(-1))
        storage = pa.FixedSizeListArray.from_arrays(flat, joined.shape[1])
        kind = pa.fixed_shape_tensor(pa.float32(), (joined.shape[1],))
        arrays["features"] = pa.ExtensionArray.from_storage(kind, storage)
    arrays |= {name: batch.column(name) for name in carry}
    return pa.record_batch(arrays)


def _numbers(column: pa.Array, name: str, place: str, numbers: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Return a column as (n, width)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    flat = column.storage if isinstance(column, pa.ExtensionArray) else column
    if isinstance(flat, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        lengths = pc.list_value_length(flat).to_numpy(zero_copy_only=False)
        other = np.flatnonzero(lengths != lengths[0])
        if len(other):
            raise RecordError(
                f"{place.format(numbers[other[0]])}: column {name!r} has {lengths[other[0]]} numbers there, {lengths[0]} before",
                remedy="features are vectors of one length; carry lists of several lengths as they are",
            )
        flat = flat.flatten()
    kind = flat.type
    if flat.null_count or not (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    ):
        raise RecordError(
            f"{place.format(numbers[0])}: column {name!r} is a {column.type}, not numbers without gaps",
            remedy="features are numbers or vectors of numbers; carry text and others as they are",
        )
    values: npt.NDArray[Any] = flat.to_numpy(zero_copy_only=False).reshape(len(column), -1)
    return values
