"""Which values of a column's type equal the labels that somebody allows, as Python compares them."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy.typing as npt

__all__ = ["float_values", "integer_bounds", "integer_keys", "integer_values", "text_values"]


def integer_values(labels: Collection[object], bounds: tuple[int, int], kind: object) -> list[int]:
    """Return the integers within `bounds` that equal a label: `1`, `1.0` and `True` are 1.

    Raises:
        TypeError: A label is no number.
    """
    low, high = bounds
    if set(map(type, labels)) <= {int}:
        # Millions of labels may be allowed: they are looked at one by one only where some don't fit.
        if not labels or (low <= min(labels) and max(labels) <= high):  # type: ignore[type-var, operator]
            return list(labels)  # type: ignore[arg-type]
        return [label for label in labels if low <= label <= high]  # type: ignore[operator, misc]
    found = [_integer(label, kind) for label in labels]
    return [label for label in found if label is not None and low <= label <= high]


def integer_bounds(kind: Any) -> tuple[int, int]:
    """Return the least and the greatest value of an Arrow type of integers."""
    if str(kind).startswith("u"):
        return 0, (1 << kind.bit_width) - 1
    return -(1 << kind.bit_width - 1), (1 << kind.bit_width - 1) - 1


def integer_keys(labels: Collection[object], kind: Any) -> npt.NDArray[np.int64]:
    """Return what stands for the labels in a column of integers: themselves, or the int64 of the same bits."""
    low, high = integer_bounds(kind)
    values = integer_values(labels, (low, high), kind)
    return np.fromiter(values, np.int64 if low else np.uint64, len(values)).view(np.int64)


def float_values(labels: Collection[object], kind: object) -> list[float]:
    """Return the floats that equal a label; NaN equals none, and an integer that no float is exactly neither.

    Raises:
        TypeError: A label is no number.
    """
    found = [_float(label, kind) for label in labels]
    # Adding zero makes both zeros one.
    return [label + 0.0 for label in found if label is not None and label == label]  # noqa: PLR0124 (NaN alone differs)


def text_values(labels: Collection[object], wanted: type, kind: object) -> list[Any]:
    """Return the labels, which are all texts or bytes.

    Raises:
        TypeError: One is something else.
    """
    for label in labels:
        if not isinstance(label, wanted):
            raise _foreign(label, kind)
    return list(labels)


def _integer(label: object, kind: object) -> int | None:
    if isinstance(label, numbers.Integral | np.bool_):
        return int(label)
    if isinstance(label, numbers.Real):
        value = float(label)
        return int(value) if value.is_integer() else None
    raise _foreign(label, kind)


def _float(label: object, kind: object) -> float | None:
    if isinstance(label, numbers.Integral | np.bool_):
        exact = int(label)
        try:
            value = float(exact)
        except OverflowError:
            return None
        return value if int(value) == exact else None
    if isinstance(label, numbers.Real):
        return float(label)
    raise _foreign(label, kind)


def _foreign(label: object, kind: object) -> TypeError:
    return TypeError(
        f"the label {label!r} is a {type(label).__name__}, which no value of a column of {kind} can equal; "
        "name labels of the column's own type (a null is never allowed)"
    )
