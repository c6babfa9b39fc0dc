"""Filters over records that are Python tuples, one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["filter_by_label"]

Record = TypeVar("Record", bound="tuple[object, ...]")

_TABLES = {
    ("pyarrow", "Table"),
    ("pyarrow", "RecordBatch"),
    ("pyarrow", "RecordBatchReader"),
    ("polars", "DataFrame"),
}
"""Of these, Python would iterate over columns or batches."""


def filter_by_label(records: Iterable[Record], allowed_labels: set[int]) -> Iterator[Record]:
    """Return a lazy iterator of the records whose label is allowed.

    It answers exactly as `record[-1] in allowed_labels` would, in native code: `True` and `1.0` equal `1`, a label
    that can't be hashed raises `TypeError`. A `set` or `frozenset` is copied at the call; any other container is
    asked for each record. Nothing is read ahead, records keep their identity, and exceptions of the source pass: the next
    record can be asked for after one. Once the source has ended, so has the iterator.

    Tables are filtered by `nexa_data.filters.filter_table_by_label`, many times faster.

    Args:
        records: Any iterable, also an endless one, of tuples whose last element is the label.
        allowed_labels: Labels to keep.

    Raises:
        TypeError: `records` is not iterable, or is a table or a dataset of tensors; or (while iterating) a label can't be
            hashed.
        IndexError: While iterating: a record is empty.

    Example:
        >>> list(filter_by_label([("a", 0), ("b", 1), ("c", 2)], {0, 2}))
        [('a', 0), ('c', 2)]
    """
    from nexa_data._core import LabelFilter

    kind = type(records)
    root, name = kind.__module__.partition(".")[0], kind.__name__
    if (root, name) in _TABLES:
        raise TypeError(
            f"a {root} {name} is no iterable of tuples: filter_table_by_label(data, allowed_labels, column=...) filters it"
        )
    if kind.__module__ == "nexa_data.datasets.synthetic":
        raise TypeError(
            f"a {name} gives labels as tensors, which are in no set of ints: its row_source() gives Arrow batches, "
            "which filter_table_by_label(data, allowed_labels) filters"
        )
    return LabelFilter(records, allowed_labels)
