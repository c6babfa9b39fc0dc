from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from nexa_data.config import load_config
from nexa_data.datasets.columns import plan_layout
from nexa_data.datasets.mapping import map_rows
from nexa_data.datasets.rows import RowBatch, RowSource
from nexa_data.errors import ConfigError, RecordError

LABEL = pa.array([0, 1, 2], pa.int64())


def mapped(columns: dict[str, Any] | list[dict[str, Any]], **data: Any) -> tuple[Any, Any]:
    """Return features and labels of one batch, or of several that follow each other."""
    parts = columns if isinstance(columns, list) else [columns]
    batches = [pa.record_batch(part) for part in parts]
    first = [sum(each.num_rows for each in batches[:at]) for at in range(len(batches))]

    def rows() -> Any:
        return (RowBatch("x.csv", start, batch) for start, batch in zip(first, batches, strict=True))

    source = RowSource(batches[0].schema, rows, "x.csv")
    section = load_config({"data": {"dataset_name": "x", **data}}).data
    layout = plan_layout(source, section)
    made = [map_rows(part, layout, section) for part in source.batches()]
    return np.concatenate([each.features for each in made]), np.concatenate([each.labels for each in made])


def test_features_stand_in_the_order_of_the_config() -> None:
    columns = {"a": pa.array([1, 2, 3]), "b": pa.array([1.5, 2.5, 3.5]), "label": LABEL}
    features, labels = mapped(columns, preprocessing={"features": ["b", "a"]})
    assert features.tolist() == [[1.5, 1], [2.5, 2], [3.5, 3]]
    assert features.dtype == np.float32
    assert (labels.tolist(), labels.dtype) == ([0, 1, 2], np.int64)


def test_by_default_all_numeric_columns_but_label_and_key_are_features() -> None:
    columns = {
        "id": pa.array([7, 8, 9]),
        "t": pa.array(["x", "y", "z"]),
        "a": pa.array([1, 2, 3]),
        "label": LABEL,
    }
    features, _ = mapped(columns, preprocessing={"key": "id"})
    assert features.tolist() == [[1], [2], [3]]


def test_scalars_and_vectors_are_joined() -> None:
    vectors = pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    fixed = pa.array([[7, 8], [9, 10], [11, 12]], pa.list_(pa.int32(), 2))
    features, _ = mapped({"v": vectors, "s": pa.array([0, 0, 1]), "f": fixed, "label": LABEL})
    assert features.tolist() == [[1, 2, 0, 7, 8], [3, 4, 0, 9, 10], [5, 6, 1, 11, 12]]


def test_a_tensor_column_keeps_its_shape() -> None:
    images = np.arange(3 * 2 * 4, dtype=np.float32).reshape(3, 2, 4)
    features, _ = mapped({"image": pa.FixedShapeTensorArray.from_numpy_ndarray(images), "label": LABEL})
    np.testing.assert_array_equal(features, images)


@pytest.mark.parametrize("shape", [(2, 3), (3, 3), (4, 2, 3)])
@pytest.mark.parametrize("fixed", [True, False])
def test_nested_lists_keep_their_shape(shape: tuple[int, ...], *, fixed: bool) -> None:
    images = np.arange(3 * np.prod(shape), dtype=np.float32).reshape(3, *shape)
    kind: Any = pa.float32()
    for length in reversed(shape):
        kind = pa.list_(kind, length) if fixed else pa.list_(kind)
    features, _ = mapped({"image": pa.array(images.tolist(), kind), "label": LABEL})
    np.testing.assert_array_equal(features, images)


def test_a_null_becomes_nan_and_a_bool_a_number() -> None:
    columns = {"i": pa.array([1, None, 3]), "t": pa.array([True, False, None]), "label": LABEL}
    features, _ = mapped(columns)
    np.testing.assert_array_equal(features, np.array([[1, 1], [np.nan, 0], [3, np.nan]], np.float32))


def test_a_null_within_a_vector_becomes_nan() -> None:
    features, _ = mapped({"v": pa.array([[1.0, None], [2.0, 3.0], [4.0, 5.0]]), "label": LABEL})
    np.testing.assert_array_equal(features[0], [1, np.nan])


@pytest.mark.parametrize(
    ("column", "row"),
    [
        (pa.array([[1, 2], [3, 4], [5]]), 2),
        (pa.array([[1, 2], [3], [5, 6]]), 1),
        (pa.array([[1, 2], [], [5, 6]]), 1),
        (pa.array([[1, 2], None, [5, 6]]), 1),
        (pa.array([[1, 2], None, [5, 6]], pa.list_(pa.int64(), 2)), 1),
        (pa.array([[[1], [2]], [[3], [4]], [[5], [6, 7]]]), 2),
        (pa.array([[[1], [2]], [[3], None], [[5], [6]]]), 1),
    ],
)
@pytest.mark.parametrize("beside", [False, True])
def test_a_ragged_vector_is_refused_with_its_row(column: pa.Array, row: int, *, beside: bool) -> None:
    columns = {"v": column, "label": LABEL} | ({"s": pa.array([1, 2, 3])} if beside else {})
    with pytest.raises(RecordError, match=rf"x\.csv, row {row}: column 'v'"):
        mapped(columns)


@pytest.mark.parametrize("later", [([[1]], [[1, 2, 3]]), ([[1]], [[1]]), ([[1, 2, 3]], [[1]])])
def test_vectors_of_a_later_batch_must_be_as_long_as_those_of_the_first(later: tuple[Any, Any]) -> None:
    first = {"v": pa.array([[1, 2]]), "w": pa.array([[1, 2]]), "label": pa.array([0])}
    second = {"v": pa.array(later[0]), "w": pa.array(later[1]), "label": pa.array([0])}
    with pytest.raises(RecordError, match=r"x\.csv, row 1: column 'v'"):
        mapped([first, second])


def test_a_vector_column_that_begins_empty_is_refused() -> None:
    with pytest.raises(RecordError, match="'v' begins with an empty list"):
        mapped({"v": pa.array([[], [1.0], [1.0]]), "label": LABEL})


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ({"preprocessing": {"features": ["aa"]}}, "no column 'aa'; did you mean 'a'"),
        ({"label": "lable"}, "no column 'lable'; did you mean 'label'"),
        ({"preprocessing": {"features": ["t"]}}, "'t' is a string, not numbers"),
    ],
)
def test_a_column_that_cannot_be_used_is_named(data: dict[str, Any], what: str) -> None:
    with pytest.raises(RecordError, match=what):
        mapped({"a": pa.array([1, 2, 3]), "t": pa.array(["x", "y", "z"]), "label": LABEL}, **data)


def test_a_label_among_the_features_is_refused() -> None:
    with pytest.raises(ConfigError, match="both a feature and the label"):
        mapped({"a": pa.array([1, 2, 3]), "label": LABEL}, preprocessing={"features": ["a", "label"]})


def test_a_source_without_numbers_is_refused() -> None:
    with pytest.raises(RecordError, match="no column but the label holds numbers"):
        mapped({"t": pa.array(["x", "y", "z"]), "label": LABEL})


A = pa.array([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (pa.array([2, 0, 1]), [2, 0, 1]),
        (pa.array([2, 0, 1], pa.uint8()), [2, 0, 1]),
        (pa.array([2.0, 0.0, 1.0]), [2, 0, 1]),
        (pa.array([True, False, True]), [1, 0, 1]),
        (pa.array(["dog", "cat", "eel"]), [1, 0, 2]),
        (pa.array(["dog", "cat", "dog"]).dictionary_encode(), [1, 0, 1]),
        (pa.array(["dog", "cat", "dog"], pa.large_string()), [1, 0, 1]),
    ],
)
def test_class_labels_become_int64(labels: pa.Array, expected: list[int]) -> None:
    _, found = mapped({"a": A, "label": labels})
    assert (found.tolist(), found.dtype) == (expected, np.int64)


def test_a_label_map_decides_about_the_ids() -> None:
    columns = {"a": A, "label": pa.array(["dog", "cat", "eel"])}
    _, found = mapped(columns, preprocessing={"label_map": {"eel": 0, "dog": 1, "cat": 1}})
    assert found.tolist() == [1, 1, 0]
    _, found = mapped(
        {"a": A, "label": pa.array([10, 20, 10])}, preprocessing={"label_map": {"10": 1, "20": 0}}
    )
    assert found.tolist() == [1, 0, 1]


def test_a_label_that_the_map_lacks_is_refused_with_its_row() -> None:
    columns = {"a": A, "label": pa.array(["dog", "cat", "emu"])}
    with pytest.raises(
        RecordError, match=r"x\.csv, row 2: label 'emu' is not a known class; known: dog, cat"
    ):
        mapped(columns, preprocessing={"label_map": {"dog": 0, "cat": 1}})


@pytest.mark.parametrize("ids", [{"a": 1}, {"a": 0, "b": 2}, {}])
def test_a_label_map_with_gaps_is_refused(ids: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="label_map"):
        mapped({"a": A, "label": LABEL}, preprocessing={"label_map": ids})


@pytest.mark.parametrize(
    ("labels", "row", "what"),
    [
        (pa.array([0, 1, 3]), 2, "label 3 is out of range"),
        (pa.array([0, -1, 1]), 1, "label -1 is out of range"),
        (pa.array([0, None, 1]), 1, "is null"),
        (pa.array([0.0, 1.0, 1.5]), 2, "1.5, not a class id"),
        (pa.array([0.0, float("nan"), 1.0]), 1, "nan, not a class id"),
        (pa.array([float("inf"), 0.0, 1.0]), 0, "inf, not a class id"),
        (pa.array([0, 2**63, 1], pa.uint64()), 1, "out of range"),
        (pa.array([0.0, 1e300, 1.0]), 1, "not a class id"),
    ],
)
def test_an_impossible_class_is_refused_with_its_row(labels: pa.Array, row: int, what: str) -> None:
    with pytest.raises(RecordError, match=rf"x\.csv, row {row}: label .*{what}|row {row}: {what}"):
        mapped({"a": A, "label": labels}, preprocessing={"num_classes": 3})


def test_a_null_among_text_labels_is_refused_with_its_row() -> None:
    with pytest.raises(RecordError, match="row 1: label 'label' is null"):
        mapped({"a": A, "label": pa.array(["x", None, "y"])})


def test_a_negative_class_is_refused_without_a_bound_too() -> None:
    with pytest.raises(RecordError, match="row 1: label -1"):
        mapped({"a": A, "label": pa.array([0, -1, 1])})


def test_a_float_label_stays_a_number() -> None:
    _, found = mapped({"a": A, "y": pa.array([0.5, -3.0, 2.0])}, label={"column": "y", "kind": "float"})
    assert (found.tolist(), found.dtype) == ([0.5, -3.0, 2.0], np.float32)


VECTORS = {
    "multi_hot": ([[0, 1, 1], [0, 0, 0], [1, 0, 0]], [0, 2, 0]),
    "distribution": ([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5]], [0.2, 0.2, 0.2]),
}


@pytest.mark.parametrize("kind", VECTORS)
def test_vector_labels_are_taken_and_checked(kind: str) -> None:
    good, bad = VECTORS[kind]
    label = {"column": "y", "kind": kind}
    _, found = mapped({"a": A, "y": pa.array(good)}, label=label)
    np.testing.assert_allclose(found, np.array(good, np.float32))
    with pytest.raises(RecordError, match=f"row 2: .* no {kind}"):
        mapped({"a": A, "y": pa.array([*good[:2], bad])}, label=label)
    with pytest.raises(RecordError, match="is a list of numbers"):
        mapped({"a": A, "y": A}, label=label)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_float_label_is_finite(wrong: float) -> None:
    with pytest.raises(RecordError, match=r"row 1: .* no float"):
        mapped({"a": A, "y": pa.array([0.5, wrong, 2.0])}, label={"column": "y", "kind": "float"})


def test_columns_of_sliced_tables_are_read_from_their_slice() -> None:
    table = pa.table({"v": [[at, at] for at in range(6)], "label": list(range(6))}).slice(2, 3)
    columns = {name: table[name].chunk(0) for name in table.column_names}
    features, labels = mapped(columns)
    assert (features.tolist(), labels.tolist()) == ([[2, 2], [3, 3], [4, 4]], [2, 3, 4])
