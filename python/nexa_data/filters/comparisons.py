"""Compares a column with values that a config wrote, exactly, whatever the column's type is."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any

from nexa_data.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["OPS", "compare"]

OPS = ("==", "!=", "<", "<=", ">", ">=", "in", "not_in", "is_null", "not_null")

_KERNELS = {
    "==": "equal",
    "!=": "not_equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
}


def compare(column: pa.Array, op: str, value: Any, place: str) -> pa.Array:
    """Return booleans, null where the column is null (but for `is_null` and `not_null`).

    Integers are compared as the numbers that they are, also with fractions and with numbers that their type can't hold; with
    floats, the value is rounded to the column's type, so that 0.1 equals the 0.1 of a float32 column. Text dates and
    times are read as the column's type.

    Raises:
        ConfigError: Such a column can't be compared with such a value.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if op == "is_null":
        return column.is_null()
    if op == "not_null":
        return column.is_valid()
    column = _plain(column)
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.bool_())
    if op in {"in", "not_in"}:
        found = _anywhere(column, value=False)
        for one in value:
            found = pc.or_(found, compare(column, "==", one, place))
        return found if op == "in" else pc.invert(found)
    if pa.types.is_boolean(column.type) and op not in {"==", "!="}:
        raise ConfigError(f"{place} is of booleans, which have no order", remedy="compare by == or !=")
    if pa.types.is_integer(column.type) and _is_number(value):
        return _compare_integers(column, op, value)
    try:
        return getattr(pc, _KERNELS[op])(column, _scalar(column.type, value))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{place} is {column.type}, which doesn't compare with {value!r}",
            remedy="compare numbers with numbers, text with text, booleans with true and false, times with ISO dates",
        ) from error


def _plain(column: pa.Array) -> pa.Array:
    """Return the column in a type that the comparisons know."""
    import pyarrow as pa

    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    return column


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _scalar(kind: pa.DataType, value: Any) -> pa.Scalar:
    """Return the value as the column's type, if it is of its sort."""
    import pyarrow as pa

    types = pa.types
    if types.is_floating(kind) and _is_number(value):
        return pa.scalar(float(value), pa.float64()).cast(kind)
    if types.is_decimal(kind) and _is_number(value):
        return pa.scalar(float(value), pa.float64()) if not isinstance(value, int) else pa.scalar(value)
    if types.is_boolean(kind) and isinstance(value, bool):
        return pa.scalar(value)
    if (types.is_string(kind) or types.is_large_string(kind)) and isinstance(value, str):
        return pa.scalar(value, kind)
    if types.is_temporal(kind) and isinstance(value, str | dt.date | dt.time):
        return pa.scalar(value).cast(kind)
    raise TypeError(f"{value!r} is no {kind}")


def _compare_integers(column: pa.Array, op: str, value: float) -> pa.Array:
    """Compare as the numbers are: a fraction lies between two integers, and what the type can't hold beyond all of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    signed = pa.types.is_signed_integer(kind)
    bits = kind.bit_width
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if isinstance(value, float) and math.isfinite(value) and not value.is_integer():
        if op in {"==", "!="}:
            return _anywhere(column, value=op == "!=")
        # No integer is the fraction: above it is from the next one on, below it up to the one before.
        op, value = (">=", math.ceil(value)) if op in {">", ">="} else ("<=", math.floor(value))
    if value > most:
        return _anywhere(column, value=op in {"<", "<=", "!="})
    if value < least:
        return _anywhere(column, value=op in {">", ">=", "!="})
    return getattr(pc, _KERNELS[op])(column, pa.scalar(int(value), kind))


def _anywhere(column: pa.Array, *, value: bool) -> pa.Array:
    """Return `value` for each row that isn't null."""
    import pyarrow.compute as pc

    return pc.if_else(column.is_valid(), value, None).cast("bool")
