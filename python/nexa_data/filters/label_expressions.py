"""The same question as an expression that a lazy Arrow dataset answers as it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexa_data.filters.label_masks import text_type
from nexa_data.filters.label_values import float_values, integer_bounds, integer_values, text_values

if TYPE_CHECKING:
    from collections.abc import Collection

    import pyarrow as pa

    from nexa_data.filters.label_masks import LabelKind

__all__ = ["label_expression"]


def label_expression(
    field: pa.Field, labels: Collection[object], *, invert: bool = False, kind: LabelKind = "class"
) -> Any:
    """Return an expression that is true where the label is allowed; with `invert`, where there is one that isn't.

    Raises:
        TypeError: An expression can't ask that of the column's type, or a label can't be of it.
    """
    import pyarrow as pa
    import pyarrow.dataset as pds

    if kind != "class" or pa.types.is_nested(field.type) or isinstance(field.type, pa.BaseExtensionType):
        raise TypeError(
            f"a lazy dataset can't be asked for labels in {field.type}; pass dataset.scanner().to_reader(), which is filtered as it streams"
        )
    column = pds.field(field.name)
    values = _values(field.type, labels)
    if values.type != field.type:
        column = column.cast(values.type)
    found = column.isin(values)
    return ~found & column.is_valid() if invert else found


def _values(kind: pa.DataType, labels: Collection[object]) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _values(kind.value_type, labels)
    if pa.types.is_boolean(kind):
        return pa.array(integer_values(labels, (0, 1), kind), pa.uint8())
    if pa.types.is_integer(kind):
        return pa.array(integer_values(labels, integer_bounds(kind), kind), kind)
    if pa.types.is_floating(kind):
        values = float_values(labels, kind)
        return pa.array([*values, *(-0.0 for value in values if value == 0)], pa.float64())
    return pa.array(text_values(labels, text_type(kind), kind), kind)
