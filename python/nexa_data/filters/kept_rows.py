"""The rows of record batches that a mask keeps, fixed-width columns natively and in reused memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from nexa_data import _core

__all__ = ["kept_rows"]


def kept_rows(batch: pa.RecordBatch, mask: _core.RowMask, *, threads: int = 1) -> pa.RecordBatch:
    """Return the rows of a batch that a mask keeps.

    Args:
        batch: The columns.
        mask: As many rows.
        threads: Threads that copy.

    Returns:
        A batch of the same schema: the same memory if all rows are kept, else memory of its own, which is used again once the
        last array on it has died.
    """
    import pyarrow as pa

    if mask.kept == len(mask):
        return batch
    if not mask.kept:
        return batch.slice(0, 0)
    taking = _Taking(mask)
    arrays = [taking.plan(column) for column in batch.columns]
    memory = mask.take(taking.wanted, threads=threads)
    return pa.RecordBatch.from_arrays([array(memory) for array in arrays], schema=batch.schema)


class _Taking:
    """What is to be taken of the columns in one go, and how the arrays are made of it."""

    def __init__(self, mask: _core.RowMask) -> None:
        self.mask = mask
        self.wanted: list[tuple[Any, int, int]] = []

    def plan(self, array: pa.Array) -> Callable[[list[_core.Buffer]], pa.Array]:
        """Ask for an array's memory; what is returned makes the array of it."""
        import pyarrow as pa

        kind = array.type
        if isinstance(array, pa.ExtensionArray):
            storage = self.plan(array.storage)
            return lambda memory: pa.ExtensionArray.from_storage(kind, storage(memory))
        if isinstance(array, pa.DictionaryArray):
            indices = self.plan(array.indices)
            return lambda memory: pa.DictionaryArray.from_arrays(
                indices(memory), array.dictionary, ordered=kind.ordered, safe=False
            )
        if pa.types.is_fixed_size_list(kind) and (fixed := self._rows_of_lists(array)):
            return fixed
        if width := _width(kind):
            return self._fixed(array, width)
        if pa.types.is_boolean(kind):
            return self._booleans(array)
        return self._by_arrow(array)

    def _fixed(self, array: pa.Array, width: int) -> Callable[[list[_core.Buffer]], pa.Array]:
        import pyarrow as pa

        number = self._want(array.buffers()[1], width, array.offset)
        valid = self._valid(array)
        return lambda memory: pa.Array.from_buffers(
            array.type, self.mask.kept, [valid, pa.py_buffer(memory[number])]
        )

    def _rows_of_lists(self, array: pa.Array) -> Callable[[list[_core.Buffer]], pa.Array] | None:
        """Take lists of one length as rows, if their items are numbers without nulls."""
        import pyarrow as pa

        size, values = array.type.list_size, array.values
        width = size * _width(values.type)
        items = values.slice(array.offset * size, len(array) * size)
        if not width or items.null_count:
            return None
        item_bytes = width // size
        memory = items.buffers()[1].slice(items.offset * item_bytes, len(array) * width)
        number, valid, kind = self._want(memory, width, 0), self._valid(array), array.type

        def build(memory: list[_core.Buffer]) -> pa.Array:
            buffers = [None, pa.py_buffer(memory[number])]
            inner = pa.Array.from_buffers(values.type, self.mask.kept * size, buffers)
            return pa.Array.from_buffers(kind, self.mask.kept, [valid], children=[inner])

        return build

    def _booleans(self, array: pa.Array) -> Callable[[list[_core.Buffer]], pa.Array]:
        import pyarrow as pa

        bits = pa.py_buffer(self.mask.take_bits(array.buffers()[1], array.offset))
        made = pa.Array.from_buffers(array.type, self.mask.kept, [self._valid(array), bits])
        return lambda _: made

    def _by_arrow(self, array: pa.Array) -> Callable[[list[_core.Buffer]], pa.Array]:
        import pyarrow as pa

        if array.offset and str(array.type).count("fixed_size_list") > 1:
            array = _unsliced(array)
        bits = pa.py_buffer(self.mask.bits())
        made = array.filter(pa.Array.from_buffers(pa.bool_(), len(self.mask), [None, bits]))
        return lambda _: made

    def _valid(self, array: pa.Array) -> pa.Buffer | None:
        import pyarrow as pa

        if not array.null_count:
            return None
        return pa.py_buffer(self.mask.take_bits(array.buffers()[0], array.offset))

    def _want(self, memory: pa.Buffer, width: int, first: int) -> int:
        self.wanted.append((memory, width, first))
        return len(self.wanted) - 1


def _unsliced(array: pa.Array) -> pa.Array:
    """Return an array that begins where its memory does.

    Of a slice of lists of one length in such lists, Arrow's own filter (as of 26.0) takes other rows than it was asked for.
    """
    import pyarrow as pa

    batch = pa.RecordBatch.from_arrays([array], [""])
    return pa.ipc.read_record_batch(batch.serialize(), batch.schema).column(0)


def _width(kind: pa.DataType) -> int:
    """Return the bytes of a row of a plain type of whole bytes, else 0."""
    import pyarrow as pa

    if pa.types.is_nested(kind) or pa.types.is_dictionary(kind) or isinstance(kind, pa.BaseExtensionType):
        return 0
    try:
        bits = int(kind.bit_width)
    except ValueError:
        return 0
    return bits // 8
