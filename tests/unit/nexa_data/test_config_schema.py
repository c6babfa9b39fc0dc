"""The JSON Schema is checked by a small interpreter of the keywords that it uses: no validator is a dependency."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from nexa_data.config import config_schema, load_config

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_KNOWN = {
    "$defs", "$ref", "$schema", "additionalProperties", "anyOf", "const", "default", "description", "enum", "exclusiveMaximum",
    "exclusiveMinimum", "items", "maxLength", "maximum", "minItems", "minLength", "minimum", "pattern", "properties", "required", "title", "type",
}  # fmt: skip


def accepts(schema: Any, value: Any, root: dict[str, Any]) -> bool:  # noqa: C901, PLR0911 (a keyword a line)
    if isinstance(schema, bool):
        return schema
    unknown = set(schema) - _KNOWN
    assert not unknown, f"this test doesn't know {unknown}"
    if "$ref" in schema and not accepts(root["$defs"][schema["$ref"].split("/")[-1]], value, root):
        return False
    if "anyOf" in schema and not any(accepts(each, value, root) for each in schema["anyOf"]):
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    kinds = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type")
    if kinds and not any(_is(value, kind) for kind in kinds):
        return False
    if isinstance(value, dict):
        return _accepts_mapping(schema, value, root)
    if isinstance(value, list):
        enough = len(value) >= schema.get("minItems", 0)
        return enough and all(accepts(schema.get("items", True), item, root) for item in value)
    if isinstance(value, str):
        long = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
        return long and bool(re.search(schema.get("pattern", ""), value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        above, below = (
            schema.get("exclusiveMinimum", -float("inf")),
            schema.get("exclusiveMaximum", float("inf")),
        )
        return low <= value <= high and above < value < below
    return True


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _accepts_mapping(schema: dict[str, Any], value: dict[str, Any], root: dict[str, Any]) -> bool:
    known = schema.get("properties", {})
    return set(schema.get("required", ())) <= set(value) and all(
        accepts(known.get(key, schema.get("additionalProperties", True)), item, root)
        for key, item in value.items()
    )


GOOD: list[dict[str, Any]] = [
    {"dataset_name": "synthetic"},
    {"dataset_name": "mine", "source_uri": ["a.csv", "b.csv"], "format": "csv", "dataset_version": "2"},
    {"dataset_name": "mine", "source_uri": "a.csv", "preprocessing": {"features": ["a"], "label_map": {"x": 0}}},
    {"dataset_name": "s", "batch": {"as": "dict", "columns": ["features"], "tail": "keep"}, "threads": 2},
    {"dataset_name": "s", "label": {"column": "y", "kind": "float"}, "split": {"train": 1, "validation": 0, "test": 0}},
    {"dataset_name": "s", "checks": [{"max_nan_share": 0}], "filters": [{"label": {"allow": [1]}}]},
    {"dataset_name": "s", "order": {"mode": "block", "block": 1000, "window": 8}},
    {"dataset_name": "s", "order": {"balance": "classes"}},
    {"dataset_name": "s", "mixture": [{"artifact": "a", "weight": 0.5}, {"artifact": "b", "weight": 2, "max_epochs": 3}]},
    {"dataset_name": "s", "mixture": {"sources": [{"artifact": "a", "weight": 1}], "stop": {"records": 9}}},
    {"dataset_name": "s", "augmentations": ["feature_dropout", {"gaussian_noise": {"std": 0.1}}]},
    {"dataset_name": "s", "batch": {"convert": {"x": "float32", "y": {"dtype": "bfloat16", "scale": 2}}}},
    {"dataset_name": "s", "batch": {"ragged": {"x": "padded", "y": {"as": "padded", "to": [8, 16], "value": -100}}}},
    {"dataset_name": "s", "batch": {"pack": {"column": "tokens", "length": 1024}}},
]  # fmt: skip

BAD: list[dict[str, Any]] = [
    {},
    {"dataset_name": ""},
    {"dataset_name": "s", "batch_sise": 2},
    {"dataset_name": "s", "batch_size": 0},
    {"dataset_name": "s", "batch": {"as_": "dict"}},
    {"dataset_name": "s", "split": {"train": 2}},
    {"dataset_name": "s", "format": "xlsx"},
    {"dataset_name": "s", "batch": {"convert": {"x": {"dtype": "float31"}}}},
    {"dataset_name": "s", "batch": {"ragged": {"x": {"to": 0}}}},
    {"dataset_name": "s", "batch": {"pack": {"length": "long"}}},
    {"dataset_name": "s", "label": {"kind": "ordinal"}},
    {"dataset_name": "s", "order": {"mode": "blocks"}},
    {"dataset_name": "s", "order": {"mode": "block", "window": 0}},
    {"dataset_name": "s", "mixture": [{"artifact": "a", "weight": 0}]},
    {"dataset_name": "s", "mixture": [{"weight": 1}]},
    {"dataset_name": "s", "mixture": {"sources": [], "stop": "first"}},
    {"dataset_name": "s", "mixture": {"sources": [{"artifact": "a", "weight": 1}], "stop": {"records": 0}}},
]


@pytest.mark.parametrize("data", GOOD, ids=str)
def test_the_schema_accepts_what_the_loader_accepts(data: dict[str, Any]) -> None:
    schema = config_schema()
    assert accepts(schema, {"data": data, "model": {"width": 3}}, schema)
    load_config({"data": data})


@pytest.mark.parametrize("data", BAD, ids=str)
def test_the_schema_refuses_what_the_loader_refuses(data: dict[str, Any]) -> None:
    schema = config_schema()
    assert not accepts(schema, {"data": data}, schema)
    with pytest.raises(ValueError, match="data"):
        load_config({"data": data})


def test_the_schema_takes_the_short_forms_that_the_loader_takes() -> None:
    schema = config_schema()
    for short in ({"label": "y"}, {"preprocessing": {"features": "a"}}, {"dataset_version": 2}):
        load_config({"data": {"dataset_name": "s"} | short})
        assert accepts(schema, {"data": {"dataset_name": "s"} | short}, schema), short


def test_the_schema_describes_every_key_of_data() -> None:
    schema = config_schema()
    described = schema["$defs"]["DataConfig"]["properties"]
    assert {
        "dataset_name",
        "source_uri",
        "batch_size",
        "global_batch_size",
        "threads",
        "num_workers",
        "checks",
    } <= set(described)
    assert all(key.get("description") for key in described.values())
    assert json.loads(json.dumps(schema)) == schema
