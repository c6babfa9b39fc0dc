"""Names that Hugging Face `datasets` gives class ids become the stored classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nexa_data.errors import ConfigError, RecordError
from nexa_data.prepare import prepare_from_config

SOURCES = Path(__file__).parents[3] / "data" / "sources"
SPLIT = {"train": 1, "validation": 0, "test": 0}

Make = Any


def label(make: Any, uri: Path, **data: Any) -> dict[str, Any]:
    """Prepare, and return what the artifact says of its label."""
    made = prepare_from_config(make(source_uri=str(uri), dataset_name="x", **data))
    found: dict[str, Any] = json.loads((made.path / "dataset_metadata.json").read_bytes())["label"]
    return found


def write(path: Path, ids: list[int | None], names: list[str], **more: Any) -> Path:
    features = {"label": {"names": names, "_type": "ClassLabel"}, **more}
    table = pa.table({"x": pa.array(range(len(ids)), pa.float32()), "label": pa.array(ids, pa.int64())})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


@pytest.mark.parametrize("folder", ["hf_dataset", "hf_dataset_dict"])
def test_a_saved_dataset_brings_the_names_of_its_classes(make_config: Make, folder: str) -> None:
    found = label(make_config, SOURCES / folder, **({"split": SPLIT} if folder == "hf_dataset" else {}))
    assert (found["classes"], found["num_classes"], found["dtype"]) == (["a", "b", "c"], 3, "int64")


def test_a_parquet_file_that_was_pushed_brings_them_and_filters_know_them(
    make_config: Make, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.parquet", [0, 1, 2] * 30, ["cat", "dog", "eel"])
    config = make_config(
        source_uri=str(path), dataset_name="x", split=SPLIT, filters=[{"label": {"deny": ["dog"]}}]
    )
    made = prepare_from_config(config)
    counts = json.loads((made.path / "dataset_summary.json").read_bytes())["splits"]["train"]
    assert counts["records_per_class"] == {"0": 30, "2": 30}


def test_a_label_map_of_the_config_wins(make_config: Make, tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [0, 1, 2], ["cat", "dog", "eel"])
    mapping = {"0": 0, "1": 1, "2": 1}
    found = label(make_config, path, split=SPLIT, preprocessing={"label_map": mapping})
    assert (found["classes"], found["num_classes"]) == (["0", "1"], 2)


@pytest.mark.parametrize("wrong", [-1, 3])
def test_an_id_without_a_name_is_a_bad_record(make_config: Make, tmp_path: Path, wrong: int) -> None:
    path = write(tmp_path / "a.parquet", [0, 1, wrong, *[2] * 27], ["cat", "dog", "eel"])
    with pytest.raises(RecordError, match=rf"a\.parquet, row 2: label {wrong} .*0 to 2"):
        label(make_config, path, split=SPLIT)
    found = prepare_from_config(
        make_config(source_uri=str(path), dataset_name="x", split=SPLIT, on_error="skip")
    )
    summary = json.loads((found.path / "dataset_summary.json").read_bytes())
    assert (summary["records"], summary["bad_records"]["count"]) == (29, 1)


def test_names_that_contradict_each_other_or_the_config_are_refused(
    make_config: Make, tmp_path: Path
) -> None:
    write(tmp_path / "a.parquet", [0, 1], ["cat", "dog"])
    with pytest.raises(ConfigError, match=r"num_classes is 5, .* names 2 classes of 'label': cat, dog"):
        label(make_config, tmp_path, split=SPLIT, preprocessing={"num_classes": 5})
    write(tmp_path / "b.parquet", [0, 1], ["dog", "cat"])
    with pytest.raises(RecordError, match="differently: cat, dog and dog, cat"):
        label(make_config, tmp_path, split=SPLIT)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"info": {"features": [1]}}', '{"info": null}', "\xff"])
def test_metadata_of_another_form_is_passed_over(make_config: Make, tmp_path: Path, text: str) -> None:
    table = pa.table({"x": [1.0, 2.0], "label": [0, 1]})
    pq.write_table(table.replace_schema_metadata({"huggingface": text}), tmp_path / "a.parquet")
    assert label(make_config, tmp_path, split=SPLIT)["classes"] is None


def test_other_kinds_of_features_name_no_classes(make_config: Make, tmp_path: Path) -> None:
    more = {"x": {"dtype": "float32", "_type": "Value"}}
    path = write(tmp_path / "a.parquet", [0, 1], [], **more)
    assert label(make_config, path, split=SPLIT)["classes"] is None
