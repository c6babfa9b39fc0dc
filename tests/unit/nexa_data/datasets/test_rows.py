from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from nexa_data.datasets.rows import as_row_source
from nexa_data.errors import RecordError

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
