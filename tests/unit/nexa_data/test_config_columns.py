from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from nexa_data.config import load_config
from nexa_data.config_columns import ConvertConfig
from nexa_data.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def batch(**keys: Any) -> Any:
    return load_config({"data": {"dataset_name": "s", "batch": keys}}).data.batch


def test_short_forms_name_a_type_or_a_form() -> None:
    config = batch(convert={"x": "float32"}, ragged={"t": "padded"})
    assert config.convert == {"x": ConvertConfig(dtype="float32")}
    assert config.ragged["t"].as_ == "padded"


def test_widths_are_one_several_or_none() -> None:
    def widths(to: Any) -> list[int]:
        found: list[int] = batch(ragged={"t": {"to": to}}).ragged["t"].widths
        return found

    assert (widths("max"), widths(7), widths([4, 2])) == ([], [7], [4, 2])


def test_packing_has_defaults() -> None:
    pack = batch(pack={}).pack
    assert (pack.column, pack.length, pack.lookahead, pack.pad_id, pack.ignore_index) == (
        "tokens", 2048, 4096, 0, -100,
    )  # fmt: skip


def test_an_unknown_key_below_a_columns_name_is_named_with_its_line_and_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "data:\n  dataset_name: s\n  batch:\n    convert:\n      x:\n        dtype: float32\n        scael: 2\n"
    )
    with pytest.raises(
        ConfigError, match=r"a\.yaml:7: data\.batch\.convert\.x\.scael: unknown key; did you mean `scale`"
    ):
        load_config(path)


@pytest.mark.parametrize(
    "keys",
    [
        {"convert": {"x": "float31"}},
        {"convert": {"x": {}}},
        {"convert": {"x": {"dtype": "float32", "scale": True}}},
        {"ragged": {"x": "packed"}},
        {"ragged": {"x": {"to": 0}}},
        {"ragged": {"x": {"to": "longest"}}},
        {"pack": {"length": 0}},
        {"pack": {"dtype": "uint16"}},
        {"pack": {"column": "tokens"}, "columns": ["tokens", "label"]},
        {"pack": {}, "convert": {"tokens": "int64"}},
    ],
    ids=str,
)
def test_impossible_forms_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"data\.batch"):
        batch(**keys)


def test_forms_of_a_batch_change_nobodys_artifact() -> None:
    plain = load_config({"data": {"dataset_name": "s"}}).data.content()
    formed = {"convert": {"features": "bfloat16"}, "ragged": {"t": "padded"}}
    assert load_config({"data": {"dataset_name": "s", "batch": formed}}).data.content() == plain
