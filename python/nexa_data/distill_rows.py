"""What a caller calls probabilities and targets, as checked blocks of rows: whatever they came in, never more than a few MiB."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nexa_data.distill_checks import as_classes, as_matrix, check
from nexa_data.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

__all__ = ["BLOCK_BYTES", "Beside", "Rows", "checked_rows"]

BLOCK_BYTES = 4 << 20
"""Bytes of rows that are copied, checked and converted at a time."""
_ABSENT = object()
_MATRIX = 2


class Beside(NamedTuple):
    """What was given beside an element, and which of its rows are meant."""

    value: Any
    """A mapping or a record batch."""
    start: int
    stop: int
    single: bool
    """The element is one row, (C,): the mapping holds its values, not lists of them."""


class Rows(NamedTuple):
    """Some rows that are sound."""

    probabilities: npt.NDArray[Any]
    """(n, C), of a float type that numpy has; it may be the caller's own memory."""
    classes: npt.NDArray[np.int64]
    """(n,)."""
    columns: Beside | None
    """What came beside them."""
    first: int
    """Number of the first row, over all."""


def checked_rows(
    probabilities: Iterable[Any], targets: Iterable[Any], columns: Iterable[Any] | None = None
) -> Iterator[Rows]:
    """Yield blocks of sound rows, in order.

    Raises:
        RecordError: The iterables have unequal lengths or no rows, or a row is wrong; it names the row.
    """
    first, n_classes = 0, None
    for probs, target, beside in _elements(probabilities, targets, columns):
        for rows in _blocks(probs, target, beside, first):
            width = rows.probabilities.shape[1]
            if n_classes is not None and width != n_classes:
                raise RecordError(
                    f"row {rows.first}: {width} probabilities, but the rows before have {n_classes}",
                    remedy="use one label set for all rows",
                )
            n_classes = width
            first = rows.first + len(rows.classes)
            yield rows
    if not first:
        raise RecordError(
            "there are no rows to write", remedy="pass at least one row; was a generator read before?"
        )


def _elements(
    probabilities: Any, targets: Any, columns: Iterable[Any] | None
) -> Iterator[tuple[Any, Any, Any]]:
    """Yield what belongs together; two arrays are one element, which is cut where it is cheap."""
    if columns is None and _is_array(probabilities, _MATRIX) and _is_array(targets, 1):
        _refuse_unequal(len(probabilities), len(targets))
        if len(probabilities):
            yield probabilities, targets, None
        return
    named = {"probabilities": probabilities, "targets": targets}
    if columns is not None:
        named["columns"] = columns
    for row, found in enumerate(zip_longest(*named.values(), fillvalue=_ABSENT)):
        ended = [name for name, value in zip(named, found, strict=True) if value is _ABSENT]
        if ended:
            _refuse_end(row, ended, [name for name in named if name not in ended])
        yield found if columns is not None else (*found, None)


def _is_array(value: Any, dimensions: int) -> bool:
    """Whether it is an array or a tensor, which slices of rows can be taken of, rather than an iterable of rows."""
    return hasattr(value, "dtype") and hasattr(value, "shape") and len(value.shape) == dimensions


def _refuse_unequal(n_rows: int, n_targets: int) -> None:
    if n_rows != n_targets:
        ended, other = ("probabilities", "targets") if n_rows < n_targets else ("targets", "probabilities")
        _refuse_end(min(n_rows, n_targets), [ended], [other])


def _refuse_end(element: int, ended: list[str], others: list[str]) -> None:
    in_columns = "columns" in ended
    raise RecordError(
        f"row {element}: {' and '.join(ended)} end here, {' and '.join(others)} go on"
        " (counted in elements, if they are batches)",
        remedy="pass as many targets as rows of probabilities"
        + ("; columns of all rows at once want [probabilities] and [targets] beside [columns]" * in_columns),
    )


def _blocks(probs: Any, target: Any, value: Any, first: int) -> Iterator[Rows]:
    """Yield an element's rows: whole, or cut where it is large, so that converting it takes little memory."""
    n, width = (len(probs), probs.shape[1]) if _is_array(probs, _MATRIX) else (1, 0)
    step = max(1, BLOCK_BYTES // max(1, width * 8))
    if n <= step:
        matrix, tolerance = as_matrix(probs, first)
        classes = as_classes(target, first, len(matrix))
        yield _block(
            matrix,
            classes,
            tolerance,
            first,
            _beside(value, 0, len(matrix), not _is_array(probs, _MATRIX) and np.ndim(probs[0]) == 0),
        )
        return
    every = as_classes(target, first, n)
    for start in range(0, n, step):
        stop = min(start + step, n)
        matrix, tolerance = as_matrix(probs[start:stop], first + start)
        yield _block(matrix, every[start:stop], tolerance, first + start, _beside(value, start, stop, False))


def _beside(value: Any, start: int, stop: int, single: bool) -> Beside | None:  # noqa: FBT001 (as the field)
    return None if value is None else Beside(value, start, stop, single)


def _block(
    matrix: npt.NDArray[Any],
    classes: npt.NDArray[Any],
    tolerance: float,
    first: int,
    columns: Beside | None,
) -> Rows:
    check(matrix, classes, tolerance, first)
    return Rows(matrix, classes.astype(np.int64, copy=False), columns, first)
