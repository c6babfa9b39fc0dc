from __future__ import annotations

import pyarrow as pa
import pytest
from nexa_data.datasets.types import parse_type, with_types
from nexa_data.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("int64", pa.int64()),
        (" bool ", pa.bool_()),
        ("string", pa.string()),
        ("float32[32]", pa.list_(pa.float32(), 32)),
        ("list<float32>", pa.list_(pa.float32())),
        ("list<uint8[3]>", pa.list_(pa.list_(pa.uint8(), 3))),
        ("float16[2][3]", pa.list_(pa.list_(pa.float16(), 2), 3)),
    ],
)
def test_a_name_is_the_type_that_it_says(text: str, kind: pa.DataType) -> None:
    assert parse_type(text, "x") == kind


@pytest.mark.parametrize("text", ["float", "list<>", "int64[]", "int64[-1]", "", "list<int64", "[3]"])
def test_a_name_that_is_none_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.read\.types\.a: there is no type .*known: bool"):
        with_types(pa.schema({"a": pa.int64()}), {"a": text})


def test_a_column_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no column 'lable'; did you mean 'label'"):
        with_types(pa.schema({"label": pa.int64()}), {"lable": "int8"})


def test_the_order_of_columns_stays() -> None:
    schema = with_types(pa.schema({"a": pa.int64(), "b": pa.string()}), {"a": "float32[2]"})
    assert schema == pa.schema({"a": pa.list_(pa.float32(), 2), "b": pa.string()})
