"""From a batch of rows to features and labels, and which rows can't become any."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.datasets.columns import is_numeric
from nexa_data.datasets.rows import BadRows
from nexa_data.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import pyarrow as pa

    from nexa_data.config import DataConfig
    from nexa_data.datasets.columns import Layout
    from nexa_data.datasets.rows import RowBatch

__all__ = ["Mapped", "map_rows"]

_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Mapped:
    """What rows became.

    Args:
        rows: The rows that could be used.
        features: Shape (n, *layout.shape).
        labels: Shape (n, *layout.label_shape): int64 class ids or float32; None without a label.
        bad: The rows that could not, ascending.
    """

    rows: RowBatch
    features: npt.NDArray[Any]
    labels: npt.NDArray[Any] | None
    bad: tuple[BadRows, ...] = ()


@dataclass(slots=True)
class _Sieve:
    """Rows that are still sound, and those that were taken out."""

    rows: RowBatch
    fail: bool
    bad: list[BadRows] = field(default_factory=list)

    def drop(self, wrong: npt.NDArray[np.bool_], reason: Callable[[int], str], remedy: str) -> bool:
        """Take out the rows that `wrong`, shape (n,), marks, and say whether there were any.

        Raises:
            RecordError: There is one, and the first bad row ends the run.
        """
        at = np.flatnonzero(wrong)
        if not len(at):
            return False
        numbers = self.rows.row_numbers
        if self.fail:
            first = int(at[0])
            raise BadRows(self.rows.origin, int(numbers[first]), 1, reason(first), remedy).error()
        for row in map(int, at):
            raw = repr(self.rows.batch.slice(row, 1).to_pylist()[0]).encode()
            self.bad.append(BadRows(self.rows.origin, int(numbers[row]), 1, reason(row), remedy, raw=raw))
        self.rows = self.rows.only(~wrong)
        return True

    def column(self, name: str) -> pa.Array:
        """Return a column of the sound rows; a tensor as its lists."""
        import pyarrow as pa

        array = self.rows.batch.column(name)
        return array.storage if isinstance(array, pa.ExtensionArray) else array


def map_rows(rows: RowBatch, layout: Layout, data: DataConfig) -> Mapped:
    """Return features and labels of `rows`, and the rows that can't have any.

    A null among the features becomes NaN.

    Raises:
        RecordError: A list is null or of another length, or a label is null, out of range or unknown, and
            `data.on_error` is `fail`; it names file and row.
    """
    sieve = _Sieve(rows, fail=data.on_error.action == "fail")
    for column, shape in zip(layout.columns, layout.shapes, strict=True):
        _sound_lists(sieve, column, shape)
        _sound_numbers(sieve, column, shape, layout.dtype)
    for column in layout.others:
        _sound_values(sieve, column, f"column {column!r}")
    labels = None if layout.label is None else _labels(sieve, layout.label, layout, data)
    features = _features(sieve, layout)
    return Mapped(sieve.rows, features, labels, tuple(sorted(sieve.bad, key=lambda each: each.row)))


def _features(sieve: _Sieve, layout: Layout) -> npt.NDArray[Any]:
    if len(layout.columns) == 1:
        return _numbers(sieve, layout.columns[0], layout.shape, layout.dtype)
    n = sieve.rows.batch.num_rows
    features = np.empty((n, *layout.shape), layout.dtype)
    filled = 0
    for column, shape in zip(layout.columns, layout.shapes, strict=True):
        width = math.prod(shape)
        numbers = _numbers(sieve, column, shape, layout.dtype)
        features[:, filled : filled + width] = numbers.reshape(n, width)
        filled += width
    return features


def _sound_lists(sieve: _Sieve, column: str, shape: tuple[int, ...]) -> None:
    """Take out rows whose lists are null or not of the shape."""
    while _drops_lists(sieve, column, shape):
        pass


def _drops_lists(sieve: _Sieve, column: str, shape: tuple[int, ...]) -> bool:
    import pyarrow as pa

    array, n, per_row = sieve.column(column), sieve.rows.batch.num_rows, 1
    for wanted in shape:
        if is_numeric(array.type):
            break
        what = (
            f"column {column!r} is null there" if per_row == 1 else f"column {column!r} has a null list there"
        )
        if array.null_count:
            null = _of_rows(_mask(array.is_null()), n)
            return sieve.drop(null, lambda _, what=what: what, "fill or drop such rows")  # type: ignore[misc]
        if pa.types.is_fixed_size_list(array.type):
            array, per_row = array.flatten(), per_row * array.type.list_size
            continue
        if _drops_lengths(sieve, array, wanted, column):
            return True
        array, per_row = array.flatten(), per_row * wanted
    return False


def _drops_lengths(sieve: _Sieve, array: pa.Array, wanted: int, column: str) -> bool:
    import pyarrow.compute as pc

    lengths = pc.list_value_length(array).to_numpy(zero_copy_only=False)
    other = lengths != wanted
    n = sieve.rows.batch.num_rows

    def reason(row: int) -> str:
        of_row = slice(row * len(lengths) // n, (row + 1) * len(lengths) // n)
        found = lengths[of_row][other[of_row]][0]
        return f"column {column!r} has {found} numbers there, {wanted} before"

    return sieve.drop(_of_rows(other, n), reason, "features are vectors of one length: pad or drop such rows")


def _of_rows(wrong: npt.NDArray[np.bool_], n: int) -> npt.NDArray[np.bool_]:
    """Return which of the n rows have a wrong item, from whether each item is."""
    whole: npt.NDArray[np.bool_] = np.any(wrong.reshape(n, -1), axis=1) if n else wrong[:0]
    return whole


def _sound_values(sieve: _Sieve, column: str, name: str) -> None:
    """Take out rows without a value where there must be one."""
    array = sieve.column(column)
    if array.null_count:
        sieve.drop(_mask(array.is_null()), lambda _: f"{name} is null", "fill or drop such rows")


def _numbers(sieve: _Sieve, column: str, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    """Return a column as numbers of a type, of shape (n, *shape)."""
    return _source_numbers(sieve, column, shape).astype(dtype, copy=False)


def _source_numbers(sieve: _Sieve, column: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return a column as the source's own numbers, of shape (n, *shape); a null is NaN."""
    import pyarrow as pa

    array = sieve.column(column)
    n = len(array)
    while not is_numeric(array.type):  # a tensor's storage is one flat list, whatever its shape
        array = array.flatten()
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    numbers: npt.NDArray[Any] = array.to_numpy(zero_copy_only=False).reshape(n, *shape)
    return numbers


def _sound_numbers(sieve: _Sieve, column: str, shape: tuple[int, ...], dtype: str) -> None:
    """Take out rows with numbers that integers of the type can't hold; floats round, as everywhere."""
    if dtype.startswith("float"):
        return
    numbers = _source_numbers(sieve, column, shape)
    with np.errstate(invalid="ignore"):
        held = numbers.astype(dtype)
        # Compared as both are: what wrapped around, lost a fraction or was NaN differs.
        lost = (held != numbers) | ((held < 0) != (numbers < 0))
    rows = lost.reshape(len(lost), -1).any(axis=1)
    sieve.drop(
        rows,
        lambda row: (
            f"column {column!r} has {numbers[row][lost[row]].ravel()[0]} there, which {dtype} can't hold"
        ),
        "choose another preprocessing.dtype",
    )


def _labels(sieve: _Sieve, label: str, layout: Layout, data: DataConfig) -> npt.NDArray[Any]:
    if layout.kind != "class":
        _sound_lists(sieve, label, layout.label_shape)
    _sound_values(sieve, label, f"label {label!r}")
    if layout.kind != "class":
        return _float_labels(sieve, label, layout)
    numeric = is_numeric(sieve.column(label).type)
    if layout.classes is not None and not (numeric and data.preprocessing.label_map is None):
        return _named_classes(sieve, label, layout, data)
    if not numeric:
        raise RecordError(
            f"{sieve.rows.origin}: label {label!r} is a {sieve.column(label).type}",
            remedy="its classes weren't read",
        )
    values = sieve.column(label).to_numpy(zero_copy_only=False)
    # NaN and what is beyond int64 come out different, and are refused here.
    with np.errstate(invalid="ignore"):
        labels: npt.NDArray[np.int64] = values.astype(np.int64)
    if np.issubdtype(values.dtype, np.floating):
        broken = labels != values
        sieve.drop(
            broken,
            lambda row: f"label {label!r} is {values[row]}, not a class id",
            "set `label: {column: …, kind: float}` for a number to be predicted, or a label_map",
        )
        labels = labels[~broken]
    bound = layout.num_classes
    wrong = (labels < 0) if bound is None else (labels < 0) | (labels >= bound)
    allowed = "0 or more" if bound is None else f"0 to {bound - 1}"
    sieve.drop(
        wrong,
        lambda row: f"label {labels[row]} is out of range (class ids are {allowed})",
        "correct it, raise preprocessing.num_classes, or map it by preprocessing.label_map",
    )
    return labels[~wrong]


def _float_labels(sieve: _Sieve, label: str, layout: Layout) -> npt.NDArray[np.float32]:
    labels = _numbers(sieve, label, layout.label_shape, "float32")
    wrong = ~np.isfinite(labels).reshape(len(labels), -1).all(axis=1)
    if layout.kind == "distribution":
        total = labels.sum(axis=1, dtype=np.float64)
        wrong |= (labels < 0).any(axis=1) | (np.abs(total - 1.0) > _SUM_TOLERANCE)
    if layout.kind == "multi_hot":
        wrong |= ~np.isin(labels, (0.0, 1.0)).all(axis=1)
    sieve.drop(
        wrong,
        lambda row: f"label {label!r} is {labels[row].tolist()}, which is no {layout.kind}",
        "a float is finite, a multi_hot of 0 and 1, a distribution ≥ 0 with sum 1",
    )
    sound: npt.NDArray[np.float32] = labels[~wrong]
    return sound


def _named_classes(sieve: _Sieve, label: str, layout: Layout, data: DataConfig) -> npt.NDArray[np.int64]:
    import pyarrow as pa

    mapping = data.preprocessing.label_map or {name: at for at, name in enumerate(layout.classes or ())}
    column = sieve.column(label)
    encoded = column.cast(pa.string()).dictionary_encode()
    ids = np.array([mapping.get(name, -1) for name in encoded.dictionary.to_pylist()], dtype=np.int64)
    labels: npt.NDArray[np.int64] = ids[encoded.indices.to_numpy()]
    unknown = labels < 0
    sieve.drop(
        unknown,
        lambda row: f"label {column[row].as_py()!r} is not a known class",
        f"known: {', '.join(list(mapping)[:20])}; add it to preprocessing.label_map",
    )
    return labels[~unknown]


def _mask(array: pa.Array) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = array.to_numpy(zero_copy_only=False)
    return mask
