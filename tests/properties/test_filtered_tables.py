"""A filtered table is the rows that the plain question keeps, whatever the column, its slices, chunks and nulls."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nexa_data.filters import filter_table_by_label

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTHS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]


def _bounds(kind: pa.DataType) -> tuple[int, int]:
    bits = kind.bit_width
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if pa.types.is_signed_integer(kind) else (0, 2**bits - 1)


def _values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_integer(kind):
        low, high = _bounds(kind)
        return st.integers(max(low, -3), 3) | st.integers(low, high) | st.sampled_from([low, high])
    if pa.types.is_boolean(kind):
        return st.booleans()
    if pa.types.is_floating(kind):
        width = kind.bit_width
        return st.sampled_from([0.0, -0.0, 1.0, 2.0, 0.5, math.nan, math.inf]) | st.floats(width=width)  # type: ignore[arg-type]
    if pa.types.is_binary(kind):
        return st.sampled_from([b"", b"a", b"b", b"\0"])
    return st.sampled_from(["", "a", "b", "ä"])


KINDS = [
    *WIDTHS,
    pa.bool_(),
    pa.float16(),
    pa.float32(),
    pa.float64(),
    pa.string(),
    pa.large_string(),
    pa.binary(),
]


def _allowed(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_floating(kind):
        number = st.integers(-3, 3) | st.sampled_from(
            [1.0, 0.0, -0.0, 0.5, True, False, 2**63, 2**64 - 1, -(2**63), 2**70, math.nan]
        )
        return number | _values(kind)
    return _values(kind)


def _keeps(value: Any, allowed: Sequence[Any], *, invert: bool) -> bool:
    # By equality alone: `in` would find the same NaN by its identity.
    return value is not None and any(value == other for other in allowed) != invert


@st.composite
def _cases(draw: st.DrawFn) -> tuple[pa.DataType, list[list[Any]], list[Any]]:
    kind = draw(st.sampled_from(KINDS))
    chunks = draw(st.lists(st.lists(st.none() | _values(kind), max_size=150), max_size=4))
    return kind, chunks, draw(st.lists(_allowed(kind), max_size=8))


def _column(chunks: list[list[Any]], kind: pa.DataType, before: int) -> pa.ChunkedArray:
    """Return the chunks, each a slice out of a longer array."""
    arrays = []
    for chunk in chunks:
        filler = chunk[:1] * before if chunk else [None] * before
        arrays.append(pa.array([*filler, *chunk, *filler], kind).slice(before, len(chunk)))
    return pa.chunked_array(arrays, kind)


@given(case=_cases(), invert=st.booleans(), before=st.integers(0, 9), threads=st.integers(1, 4))
def test_the_rows_are_those_of_the_plain_question(
    case: tuple[pa.DataType, list[list[Any]], list[Any]], before: int, threads: int, *, invert: bool
) -> None:
    kind, chunks, allowed = case
    labels = _column(chunks, kind, before)
    numbers = pa.chunked_array([pa.array(range(len(labels)), pa.int64())])
    table = pa.table({"row": numbers, "label": labels})
    # As the column has them: a float16 or float32 is not the number that it was made of.
    kept = [row for row, label in enumerate(labels.to_pylist()) if _keeps(label, allowed, invert=invert)]
    found = filter_table_by_label(table, allowed, invert=invert, threads=threads)
    found.validate(full=True)
    assert found.column("row").to_pylist() == kept
    assert found.schema == table.schema
    encoded = (
        table.set_column(1, "label", labels.dictionary_encode()) if not pa.types.is_floating(kind) else table
    )
    found = filter_table_by_label(encoded, allowed, invert=invert, threads=threads)
    found.validate(full=True)
    assert found.column("row").to_pylist() == kept


def _carried(rows: int) -> dict[str, pa.Array]:
    numbers = [None if row % 5 == 4 else row % 100 for row in range(rows)]
    vectors = [[row % 100 / 2, None if row == 1 else 0.25] for row in range(rows)]
    return {
        **{
            str(kind): pa.array(numbers, kind)
            for kind in [*WIDTHS, pa.float32(), pa.float64(), pa.date32(), pa.time64("us")]
        },
        "stamp": pa.array(numbers, pa.timestamp("us", tz="UTC")),
        "decimal": pa.array(numbers, pa.decimal128(20, 0)),
        "fixed": pa.array([None if each is None else bytes([each]) * 3 for each in numbers], pa.binary(3)),
        "empty": pa.array([b""] * rows, pa.binary(0)),
        "bool": pa.array([None if each is None else each % 2 == 0 for each in numbers]),
        "text": pa.array([None if each is None else str(each) for each in numbers]),
        "dictionary": pa.array([None if each is None else str(each) for each in numbers]).dictionary_encode(),
        "vector": pa.array(
            [None if row % 7 == 3 else [row, row + 1.0, -row] for row in range(rows)],
            pa.list_(pa.float32(), 3),
        ),
        "holes": pa.array(vectors, pa.list_(pa.float32(), 2)),
        "matrix": pa.array([[[row, 1], [2, 3]] for row in range(rows)], pa.list_(pa.list_(pa.int32(), 2), 2)),
        "list": pa.array(
            [None if each is None else [each] * (each % 3) for each in numbers], pa.list_(pa.int16())
        ),
        "struct": pa.array([None if each is None else {"a": each} for each in numbers]),
        "struct of matrix": pa.array(
            [{"a": [[row, 1], [2, 3]]} for row in range(rows)],
            pa.struct({"a": pa.list_(pa.list_(pa.int32(), 2), 2)}),
        ),
        "nothing": pa.nulls(rows),
        "tensor": pa.ExtensionArray.from_storage(
            pa.fixed_shape_tensor(pa.float32(), [2, 2]),
            pa.array([[row, 0, 1, 2] for row in range(rows)], pa.list_(pa.float32(), 4)),
        ),
    }


@given(st.lists(st.sampled_from([0, 1, 1, 2]), max_size=300), st.integers(0, 70), st.integers(1, 4))
def test_every_type_of_column_is_carried_over(labels: list[int], before: int, threads: int) -> None:
    rows = before + len(labels) + 3
    columns = {"label": pa.array([9] * before + labels + [1] * 3), **_carried(rows)}
    batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns)).slice(before, len(labels))
    found = filter_table_by_label(batch, {1}, threads=threads)
    found.validate(full=True)
    kept = [row for row, label in enumerate(labels) if label == 1]
    assert found.schema == batch.schema
    for name in batch.schema.names:
        before_it = batch.column(name)
        plain = before_it.storage if isinstance(before_it, pa.ExtensionArray) else before_it
        after = found.column(name)
        plain_after = after.storage if isinstance(after, pa.ExtensionArray) else after
        assert plain_after.to_pylist() == [plain[row].as_py() for row in kept], name


@given(
    rows=st.lists(st.none() | st.lists(st.none() | st.integers(0, 6), max_size=4), max_size=60),
    allowed=st.sets(st.integers(-1, 8)),
    invert=st.booleans(),
    before=st.integers(0, 3),
)
def test_a_list_of_labels_is_kept_for_any_of_them(
    rows: list[list[int | None] | None], allowed: set[int], before: int, *, invert: bool
) -> None:
    kept = [
        at
        for at, row in enumerate(rows)
        if row is not None and any(each in allowed for each in row if each is not None) != invert
    ]
    for kind in (pa.list_(pa.int16()), pa.large_list(pa.int64()), pa.list_(pa.int8(), 3)):
        if pa.types.is_fixed_size_list(kind):
            fit = [None if row is None else (row + [None] * 3)[:3] for row in rows]
            wanted = [
                at
                for at, row in enumerate(fit)
                if row is not None and any(each in allowed for each in row if each is not None) != invert
            ]
        else:
            fit, wanted = rows, kept
        table = pa.table(
            {"label": pa.array([[1, 2, 3]] * before + fit, kind).slice(before), "row": range(len(rows))}
        )
        found = filter_table_by_label(table, allowed, invert=invert)
        assert found.column("row").to_pylist() == wanted


@pytest.mark.parametrize("item", [pa.float32(), pa.uint8(), pa.bool_(), pa.float16()])
@given(
    rows=st.lists(st.none() | st.lists(st.booleans(), min_size=4, max_size=4), max_size=60),
    allowed=st.sets(st.integers(-1, 9)),
    invert=st.booleans(),
)
def test_multi_hot_labels_are_kept_for_any_class_allowed(
    item: pa.DataType, rows: list[list[bool] | None], allowed: set[int], *, invert: bool
) -> None:
    kept = [
        at
        for at, row in enumerate(rows)
        if row is not None and any(on and number in allowed for number, on in enumerate(row)) != invert
    ]
    for kind in (pa.list_(item, 4), pa.list_(item)):
        hot = pa.array(
            [None if row is None else [float(on) for on in row] for row in rows], pa.list_(pa.float32())
        )
        table = pa.table(
            {"label": hot.cast(kind) if len(rows) else pa.array([], kind), "row": range(len(rows))}
        )
        found = filter_table_by_label(table, allowed, invert=invert, kind="multi_hot")
        assert found.column("row").to_pylist() == kept
