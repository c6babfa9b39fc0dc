from __future__ import annotations

import gc
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset as pds
import pytest
from nexa_data import _core
from nexa_data.errors import RecordError
from nexa_data.filters import filter_table_by_label
from nexa_data.shard_output import tensor_batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TABLE = pa.table(
    {"row": range(6), "label": pa.array([0, 1, 2, None, 1, 2], pa.int16())},
    schema=pa.schema([("row", pa.int64()), ("label", pa.int16())], metadata={"kept": "yes"}),
)


def _rows(data: Any) -> list[int]:
    table = data.to_table() if isinstance(data, pds.Dataset) else data
    return list(
        (table.read_all() if isinstance(table, pa.RecordBatchReader) else table).column("row").to_pylist()
    )


def test_a_row_without_a_label_is_kept_neither_way() -> None:
    assert _rows(filter_table_by_label(TABLE, {1})) == [1, 4]
    assert _rows(filter_table_by_label(TABLE, {1}, invert=True)) == [0, 2, 5]


def test_schema_and_its_metadata_stay_also_of_nothing() -> None:
    for labels in ({1}, {7}, {0, 1, 2}):
        found = filter_table_by_label(TABLE, labels)
        assert found.schema.equals(TABLE.schema, check_metadata=True)
    assert filter_table_by_label(TABLE.slice(0, 0), {1}).schema.metadata == {b"kept": b"yes"}


def test_a_batch_becomes_a_batch_and_a_reader_stays_a_stream() -> None:
    read: list[int] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for at in itertools.count():
            read.append(at)
            yield TABLE.combine_chunks().to_batches()[0]

    found = filter_table_by_label(TABLE.to_batches()[0], {2})
    assert isinstance(found, pa.RecordBatch)
    stream = filter_table_by_label(pa.RecordBatchReader.from_batches(TABLE.schema, batches()), {2})
    assert isinstance(stream, pa.RecordBatchReader)
    assert read == []
    assert stream.read_next_batch().column("row").to_pylist() == [2, 5]
    assert read == [0]


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize(
    ("kind", "allowed"),
    [
        (pa.int8(), {1, 300}),
        (pa.uint64(), {1.0, 2**64}),
        (pa.float32(), {1, 2.0, 2**70 + 1}),
        (pa.bool_(), {1}),
        (pa.string(), {"1"}),
        (pa.dictionary(pa.int8(), pa.string()), {"1"}),
        (pa.dictionary(pa.int8(), pa.int64()), {1}),
    ],
)
def test_a_dataset_stays_lazy_and_answers_as_a_table_does(
    tmp_path: Path, kind: pa.DataType, allowed: set[Any], *, invert: bool
) -> None:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    labels = pa.array([0, 1, None, 0, 1, 0]).cast(inner)
    column = labels.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else labels
    table = pa.table({"row": range(6), "label": column})
    pds.write_dataset(table, tmp_path, format="ipc")
    found = filter_table_by_label(pds.dataset(tmp_path, format="ipc"), allowed, invert=invert)
    assert isinstance(found, pds.Dataset)
    assert _rows(found) == _rows(filter_table_by_label(table, allowed, invert=invert))


def test_zeros_of_either_sign_are_one_label_in_a_dataset_too() -> None:
    table = pa.table({"row": range(3), "label": [0.0, -0.0, 1.0]})
    assert _rows(filter_table_by_label(pds.dataset(table), {0})) == [0, 1]


def test_a_dataset_of_lists_is_refused_with_the_stream_that_works() -> None:
    data = pds.dataset(pa.table({"row": [0, 1], "label": [[1], [2]]}))
    with pytest.raises(TypeError, match=r"scanner\(\)\.to_reader\(\)"):
        filter_table_by_label(data, {1})
    assert _rows(filter_table_by_label(data.scanner().to_reader(), {1})) == [0]


def test_a_catalog_becomes_a_dataset_over_its_shards(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    lines = []
    for number in range(2):
        labels = np.array([0, 1, 2], np.int64)
        vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
        size, checksum = _core.write_shard(
            tmp_path / f"shards/{number}.arrow", [tensor_batch({"label": labels, "x": vectors})]
        )
        lines.append(
            f'{{"uri": "shards/{number}.arrow", "bytes": {size}, "records": 3, "checksum": "{checksum}"}}\n'
        )
    (tmp_path / "catalog.jsonl").write_text("".join(lines))
    found: Any = filter_table_by_label(tmp_path, {1, 2})
    assert isinstance(found, pds.Dataset)
    assert found.to_table().column("label").to_pylist() == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("labels", "allowed"),
    [
        (pl.Series([0, 1, None, 1], dtype=pl.Int8), {1}),
        (pl.Series(["a", "b", None, "b"]), {"b"}),
        (pl.Series(["a", "b", None, "b"], dtype=pl.Categorical), {"b"}),
        (pl.Series(["a", "b", None, "b"], dtype=pl.Enum(["a", "b"])), {"b"}),
        (pl.Series([False, True, None, True]), {True}),
    ],
)
def test_a_polars_frame_stays_one_with_its_types(labels: pl.Series, allowed: set[Any]) -> None:
    frame = pl.DataFrame({"row": range(4), "text": ["x", "y", "z", None], "label": labels})
    found = filter_table_by_label(frame, allowed)
    assert found.schema == frame.schema
    assert found.rows() == [row for row in frame.rows() if row[2] in allowed]
    assert filter_table_by_label(frame, allowed, invert=True).get_column("row").to_list() == [0]


def test_where_all_rows_are_kept_nothing_is_copied() -> None:
    table = pa.table({"label": np.arange(1000)})
    found = filter_table_by_label(table, range(1000))
    assert found.column(0).chunk(0).buffers()[1].address == table.column(0).chunk(0).buffers()[1].address


def test_memory_goes_back_only_when_the_last_array_on_it_has_died() -> None:
    table = pa.table({"label": np.arange(200_000) % 2, "x": np.arange(200_000)})
    first = filter_table_by_label(table, {0}).column("x").chunk(0).slice(5, 10)
    before = first.to_pylist()
    for _ in range(5):
        filter_table_by_label(table, {1})
        gc.collect()
    assert first.to_pylist() == before == list(range(10, 30, 2))


@pytest.mark.parametrize(
    ("column", "allowed", "says"),
    [
        (pa.array([1, 2]), {"a"}, "'a' is a str, which no value of a column of int64 can equal"),
        (pa.array([1, 2]), {None}, "a null is never allowed"),
        (pa.array([1.5]), {"a"}, "column of double"),
        (pa.array(["a"]), {1}, "1 is a int, which no value of a column of string"),
        (pa.array(["a"]).dictionary_encode(), {1}, "column of string"),
        (pa.array([{"a": 1}]), {1}, "holds no labels"),
        (pa.array([[["a"]]]), {1}, "column of string"),
    ],
)
def test_what_can_be_no_label_is_a_type_error(column: pa.Array, allowed: set[Any], says: str) -> None:
    for table in (pa.table({"label": column}), pa.table({"label": column}).slice(0, 0)):
        with pytest.raises(TypeError, match=says):
            filter_table_by_label(table, allowed)


def test_a_multi_hot_label_wants_a_list_of_numbers() -> None:
    with pytest.raises(TypeError, match="leave out kind="):
        filter_table_by_label(TABLE, {1}, kind="multi_hot")
    with pytest.raises(TypeError, match="not of string"):
        filter_table_by_label(pa.table({"label": [["a"]]}), {1}, kind="multi_hot")


def test_a_column_that_is_not_there_is_named_with_the_nearest() -> None:
    for data in (
        TABLE,
        TABLE.to_batches()[0],
        pds.dataset(TABLE),
        TABLE.to_reader(),
        pl.DataFrame({"label": [1]}),
    ):
        with pytest.raises(RecordError, match="did you mean 'label'"):
            filter_table_by_label(data, {1}, column="lable")
    double = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["label", "label"])
    with pytest.raises(RecordError, match="2 columns are called 'label'"):
        filter_table_by_label(double, {1})


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([("a", 1)], "filter_by_label"),
        (pl.LazyFrame({"label": [1]}), r"data\.collect\(\)"),
        (np.zeros(3), "numpy.ndarray is no table"),
    ],
)
def test_another_kind_of_data_is_a_type_error_that_says_what_to_do(data: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        filter_table_by_label(data, {1})


def test_the_native_mask_refuses_memory_that_is_too_short() -> None:
    keys = _core.LabelKeys(np.array([1]))
    with pytest.raises(ValueError, match="labels has 8 bytes"):
        keys.mask(np.zeros(1), "int64", 1, 1)
    with pytest.raises(ValueError, match="labels has"):
        keys.mask(np.zeros(1), "int64", 2**61, 2**61)
    with pytest.raises(ValueError, match="shorter than the rows"):
        _core.RowMask.of_bits(b"\xff", 0, 9)
    mask = keys.mask(np.ones(4, np.int64), "int64", 0, 4)
    with pytest.raises(ValueError, match="values has 31 bytes"):
        mask.take([(bytes(31), 8, 0)])
    with pytest.raises(ValueError, match="rows of no bytes"):
        mask.take([(bytes(31), 0, 0)])
    with pytest.raises(ValueError, match="contiguous"):
        keys.mask(np.ones((4, 4), np.int64)[:, 0], "int64", 0, 4)
    with pytest.raises(ValueError, match="no type of labels"):
        keys.mask(np.ones(4), "date", 0, 4)
