"""An Arrow column of labels → which of its rows are allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nexa_data import _core
from nexa_data.filters.label_values import float_values, integer_keys, integer_values, text_values

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["AllowedLabels", "LabelKind", "flags_of", "text_type"]

LabelKind = Literal["class", "multi_hot"]

_MOST_CLASSES = (1 << 31) - 1


class AllowedLabels:
    """The allowed labels, asked for column after column.

    Args:
        labels: Labels to keep.
        invert: Keep the other ones; a null is kept neither way.
        kind: `class`: a value is a label, a list of values any of them. `multi_hot`: a list says for each class whether the row is of it.
        threads: Threads that look at a column.
    """

    def __init__(
        self, labels: Collection[object], *, invert: bool = False, kind: LabelKind = "class", threads: int = 1
    ) -> None:
        self.labels = tuple(labels)
        self.invert = invert
        self.kind = kind
        self.threads = threads
        self._keys: dict[Any, _core.LabelKeys] = {}

    def mask(self, column: pa.Array) -> _core.RowMask:
        """Return which rows of a column are allowed; with `invert`, which have a label that isn't.

        Raises:
            TypeError: The column's type is none of labels, or a label can't be of it.
        """
        import pyarrow as pa

        if isinstance(column, pa.ExtensionArray):
            return self.mask(column.storage)
        if isinstance(column, pa.DictionaryArray) and self.kind == "class":
            mask = self._by_dictionary(column)
        else:
            mask = self._lists(column) if _is_list(column.type) else self._values(column)
            mask = mask.inverted() if self.invert else mask
        if not column.null_count:
            return mask
        # Arrow's null type has no mask: nothing is there.
        valid = column.buffers()[0] or bytes(-(-len(column) // 8))
        return mask.valid(valid, column.offset)

    def _by_dictionary(self, column: pa.DictionaryArray) -> _core.RowMask:
        """Ask about each value of the dictionary once."""
        wanted = np.frombuffer(self.mask(column.dictionary).numbers(), np.uint64).view(np.int64)
        return _of_numbers(_core.LabelKeys(wanted), column.indices, threads=self.threads)

    def _lists(self, column: pa.Array) -> _core.RowMask:
        values, bounds = _items(column)
        if self.kind == "multi_hot":
            classes = integer_values(self.labels, (0, _MOST_CLASSES), "classes")
            place = np.arange(len(values)) - np.repeat(bounds[:-1], np.diff(bounds))
            flags = _is_set(values) & np.isin(place, classes)
        else:
            asked = AllowedLabels(self.labels, threads=self.threads)
            flags = flags_of(asked.mask(values))
        before = np.concatenate([[0], np.cumsum(flags)])
        return _of_flags(before[bounds[1:]] > before[bounds[:-1]])

    def _values(self, column: pa.Array) -> _core.RowMask:
        import pyarrow as pa
        import pyarrow.compute as pc

        kind = column.type
        if self.kind == "multi_hot":
            raise TypeError(
                f"a multi-hot label is a list of 0 and 1, not a {kind}; leave out kind='multi_hot'"
            )
        if pa.types.is_null(kind):
            return _of_flags(np.zeros(len(column), np.bool_))
        if pa.types.is_boolean(kind) or pa.types.is_float16(kind):
            return self._values(column.cast(pa.uint8() if pa.types.is_boolean(kind) else pa.float32()))
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            keys = self._keys.get(kind)
            if keys is None:
                keys = self._keys[kind] = _core.LabelKeys(self._numbers(kind))
            return _of_numbers(keys, column, threads=self.threads)
        found = pc.is_in(column, value_set=pa.array(text_values(self.labels, text_type(kind), kind), kind))
        return _core.RowMask.of_bits(found.buffers()[1] or b"", found.offset, len(found))

    def _numbers(self, kind: pa.DataType) -> npt.NDArray[np.int64]:
        import pyarrow as pa

        if pa.types.is_integer(kind):
            return integer_keys(self.labels, kind)
        return np.array(float_values(self.labels, kind), np.float64).view(np.int64)


def text_type(kind: pa.DataType) -> type:
    """Return Python's type of a text's or bytes' labels.

    Raises:
        TypeError: The type is none of labels.
    """
    import pyarrow as pa

    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view":
        return str
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return bytes
    raise TypeError(
        f"a column of {kind} holds no labels; labels are integers, booleans, floats, text, bytes, a dictionary of these or lists of these"
    )


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _items(column: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """Return the items of all rows, and where each row's begin and end among them."""
    import pyarrow as pa

    if pa.types.is_fixed_size_list(column.type):
        size = column.type.list_size
        values = column.values.slice(column.offset * size, len(column) * size)
        return values, np.arange(len(column) + 1, dtype=np.int64) * size
    bounds = column.offsets.to_numpy().astype(np.int64)
    first, end = (int(bounds[0]), int(bounds[-1])) if len(bounds) else (0, 0)
    return column.values.slice(first, end - first), bounds - first


def _is_set(values: pa.Array) -> npt.NDArray[np.bool_]:
    """Return where a number is not 0; a null is 0."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (
        pa.types.is_boolean(values.type)
        or pa.types.is_integer(values.type)
        or pa.types.is_floating(values.type)
    ):
        raise TypeError(f"a multi-hot label is a list of 0 and 1, not of {values.type}")
    if pa.types.is_float16(values.type):
        values = values.cast(pa.float32())
    flags = pc.fill_null(values.cast(pa.bool_()), fill_value=False)
    return np.asarray(flags.to_numpy(zero_copy_only=False), np.bool_)


def _of_numbers(keys: _core.LabelKeys, column: pa.Array, *, threads: int) -> _core.RowMask:
    values = column.buffers()[1]
    if values is None:
        return _core.RowMask.of_bits(b"", 0, 0)
    return keys.mask(values, str(column.type), column.offset, len(column), threads=threads)


def flags_of(mask: _core.RowMask) -> npt.NDArray[np.bool_]:
    """Return a mask as an array of booleans."""
    bits = np.frombuffer(mask.bits(), np.uint8)
    return np.unpackbits(bits, count=len(mask), bitorder="little").view(np.bool_)


def _of_flags(flags: npt.NDArray[np.bool_]) -> _core.RowMask:
    return _core.RowMask.of_bits(np.packbits(flags, bitorder="little"), 0, len(flags))
