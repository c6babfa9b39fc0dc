from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nexa_data.datasets.decoding import row_source
from nexa_data.datasets.files import find_files
from nexa_data.errors import RecordError, ShardNotFoundError

SOURCES = Path(__file__).parents[3] / "data" / "sources"


def test_a_folder_that_datasets_has_saved_gives_its_rows_in_order() -> None:
    source = row_source([str(SOURCES / "hf_dataset")])
    found = [row for rows in source.batches() for row in rows.batch.to_pylist()]
    assert [row["text"] for row in found] == [f"text {at} — ü" for at in range(40)]
    assert {len(row["vector"]) for row in found} == {4}
    assert source.splits is None


def test_a_dict_of_datasets_brings_its_splits() -> None:
    source = row_source([str(SOURCES / "hf_dataset_dict")])
    counts: dict[str | None, int] = {}
    for rows in source.batches():
        counts[rows.split] = counts.get(rows.split, 0) + rows.batch.num_rows
    assert counts == {"train": 40, "test": 9}
    assert source.splits == {"train", "test"}


def folder(path: Path, **files: Any) -> Path:
    path.mkdir()
    for name, content in files.items():
        (path / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return path


INFO: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({"state": {"_data_files": [{"filename": "../../x.arrow"}]}, "dataset_info": INFO}, "lies outside"),
        ({"state": {"_data_files": [{"filename": "/etc/passwd"}]}, "dataset_info": INFO}, "lies outside"),
        ({"state": {"_data_files": []}, "dataset_info": INFO}, "lists no files"),
        ({"state": {"_indices_files": [{"filename": "i"}]}, "dataset_info": INFO}, "flatten_indices"),
        ({"state": "{", "dataset_info": INFO}, "can't be read"),
        ({"state": [1], "dataset_info": INFO}, "no JSON object"),
        ({"dataset_dict": {"splits": ["unsupervised"]}}, "no place for the split 'unsupervised'"),
        ({"dataset_dict": {"splits": []}}, "lists no splits"),
        ({"index": {"version": 2, "shards": [{"format": "parquet"}]}}, "of the format 'parquet'"),
    ],
)
def test_a_list_that_cannot_be_followed_is_refused(tmp_path: Path, files: dict[str, Any], what: str) -> None:
    with pytest.raises(RecordError, match=what):
        find_files([str(folder(tmp_path / "d", **files))])


@pytest.mark.parametrize(
    "files",
    [
        {"state": {"_data_files": [{"filename": "gone.arrow"}]}, "dataset_info": INFO},
        {"index": {"shards": [{"format": "mds", "raw_data": {"basename": "gone.mds"}, "zip_data": None}]}},
    ],
)
def test_a_listed_file_that_is_missing_is_named(tmp_path: Path, files: dict[str, Any]) -> None:
    with pytest.raises(ShardNotFoundError, match="gone"):
        find_files([str(folder(tmp_path / "d", **files))])


def test_a_streaming_index_lists_its_shards_in_order_packed_or_not(tmp_path: Path) -> None:
    def shard(name: str) -> dict[str, Any]:
        return {"format": "mds", "raw_data": {"basename": name}, "zip_data": {"basename": f"{name}.zstd"}}

    made = folder(tmp_path / "d", index={"version": 2, "shards": [shard("b.mds"), shard("a.mds")]})
    for name in ("b.mds.zstd", "a.mds"):
        (made / name).write_bytes(b"x")
    assert [file.origin for file in find_files([str(made)])] == ["b.mds.zstd", "a.mds"]
