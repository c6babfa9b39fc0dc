from __future__ import annotations

import gc
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from nexa_data.datasets.rows import as_row_source
from nexa_data.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FEATURES = np.arange(6, dtype=np.float32).reshape(3, 2)
LABELS = np.array([0, 1, 0])
TABLE = pa.table(
    {"features": pa.FixedSizeListArray.from_arrays(pa.array(FEATURES.ravel()), 2), "label": LABELS}
)


class Own:
    def row_source(self) -> Any:
        return as_row_source(TABLE, "inner")


@pytest.mark.parametrize(
    "rows",
    [
        (FEATURES, LABELS),
        (torch.from_numpy(FEATURES), torch.from_numpy(LABELS)),
        (FEATURES.tolist(), LABELS.tolist()),
        {"features": FEATURES, "label": LABELS},
        TABLE,
        TABLE.to_batches(max_chunksize=2),
        iter(TABLE.to_batches()),
        as_row_source(TABLE, "x"),
        Own(),
    ],
)
def test_every_form_of_rows_gives_the_same_records_twice(rows: Any) -> None:
    source = as_row_source(rows, "x")
    for _ in range(2):
        found = [row for each in source.batches() for row in each.batch.to_pylist()]
        assert [row["features"] for row in found] == FEATURES.tolist()
        assert [row["label"] for row in found] == LABELS.tolist()


class Frame:
    """What polars and pandas offer: columns that stream as often as asked."""

    def __init__(self) -> None:
        self.streams = 0

    def __len__(self) -> int:
        return TABLE.num_rows

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        self.streams += 1
        return TABLE.__arrow_c_stream__(requested_schema)


def records() -> Iterator[dict[str, Any]]:
    return ({"features": row, "label": label} for row, label in zip(FEATURES, LABELS, strict=True))


@pytest.mark.parametrize(
    "rows",
    [
        Frame(),
        pa.RecordBatchReader.from_batches(TABLE.schema, TABLE.to_batches(max_chunksize=2)),
        records(),
        list(records()),
        ((row, label) for row, label in zip(FEATURES.tolist(), LABELS.tolist(), strict=True)),
        iter([(torch.from_numpy(FEATURES[at]), int(LABELS[at])) for at in range(3)]),
    ],
)
def test_what_can_be_read_but_once_gives_its_records_twice(rows: Any) -> None:
    source = as_row_source(rows, "x")
    for _ in range(2):
        found = [row for each in source.batches() for row in each.batch.to_pylist()]
        assert [list(row["features"]) for row in found] == FEATURES.tolist()
        assert [row["label"] for row in found] == LABELS.tolist()


def test_a_table_that_streams_is_not_copied() -> None:
    frame = Frame()
    source = as_row_source(frame, "x")
    (batch,) = (each.batch for each in source.batches())
    address = TABLE["features"].chunk(0).values.buffers()[1].address
    assert batch.column("features").values.buffers()[1].address == address


def test_the_temporary_file_of_a_generator_goes_with_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    source = as_row_source(records(), "x")
    assert len(list(tmp_path.iterdir())) == 1
    del source
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_many_records_are_read_in_batches() -> None:
    source = as_row_source(({"x": at, "label": at % 3} for at in range(20_000)), "x")
    assert [row["x"] for each in source.batches() for row in each.batch.to_pylist()] == list(range(20_000))


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"x": "word", "label": 0}, r"row 9000: .*word"),
        ({"x": 2**70, "label": 0}, "row 9000"),
        (7, "row 9000: a int is no record"),
    ],
)
def test_a_record_that_is_not_as_the_first_ones_is_named(more: Any, what: str) -> None:
    rows = itertools.chain(({"x": at, "label": 0} for at in range(9_000)), [more])
    with pytest.raises(RecordError, match=what):
        as_row_source(rows, "x")


def test_rows_are_numbered_over_batches() -> None:
    source = as_row_source(TABLE.to_batches(max_chunksize=2), "x")
    assert [(each.origin, each.first_row) for each in source.batches()] == [("x", 0), ("x", 2)]


def test_more_dimensions_become_a_tensor_column() -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    source = as_row_source((images, [0, 1]), "x")
    assert source.schema.field("features").type == pa.fixed_shape_tensor(pa.uint8(), [3, 4])


@pytest.mark.parametrize("wrong", [3, object(), [1, 2], [], "text", (FEATURES, LABELS[:2]), (1, 2), {"a": 3}])
def test_what_is_no_rows_is_refused_by_name(wrong: Any) -> None:
    with pytest.raises(RecordError, match="odd"):
        as_row_source(wrong, "odd")


def test_batches_of_other_columns_are_refused() -> None:
    batches = [pa.record_batch({"a": [1]}), pa.record_batch({"b": [1]})]
    with pytest.raises(RecordError, match="odd"):
        as_row_source(batches, "odd")
