"""Records that can't be used, from the source to the summary."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nexa_data.catalog import ShardCatalog
from nexa_data.errors import ConfigError, RecordError
from nexa_data.prepare import prepare_from_config

if TYPE_CHECKING:
    from pathlib import Path

N = 400


def rows() -> dict[str, Any]:
    return {
        "v": [[float(at), 1.0] for at in range(N)],
        "text": [f"t{at}" for at in range(N)],
        "label": [at % 3 for at in range(N)],
    }


def config(tmp_path: Path, table: dict[str, Any], **data: Any) -> dict[str, Any]:
    pq.write_table(pa.table(table), tmp_path / "in.parquet")
    section = {
        "dataset_name": "x",
        "source_uri": str(tmp_path / "in.parquet"),
        "preprocessing": {"features": ["v"], "columns": ["text"], "num_classes": 3},
        **data,
    }
    return {"data": section, "experiment": {"output_dir": str(tmp_path / "runs")}}


def broken() -> dict[str, Any]:
    made = rows()
    made["v"][10] = [1.0]
    made["v"][20] = None
    made["label"][30] = 7
    made["label"][40] = None
    made["text"][50] = None
    return made


def features_of(path: Path) -> list[float]:
    shards = ShardCatalog.load(path)
    tables = [pa.ipc.open_file(shard.path(shards.root)).read_all() for shard in shards]
    return sorted(
        vector[0]
        for table in tables
        for vector in table["features"].combine_chunks().to_numpy_ndarray().tolist()
    )


def test_failing_stops_at_the_first_bad_record(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"in\.parquet, row 20: column 'v' is null there"):
        prepare_from_config(config(tmp_path, broken()))
    assert not list((tmp_path / "runs").rglob("*.arrow"))


@pytest.mark.parametrize("action", ["skip", "quarantine"])
def test_bad_records_are_left_out_and_counted(
    tmp_path: Path, action: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        made = prepare_from_config(config(tmp_path, broken(), on_error=action))
    assert features_of(made.path) == [float(at) for at in range(N) if at not in {10, 20, 30, 40, 50}]
    assert "5 of 400 records can't be used" in caplog.text
    lost = json.loads((made.path / "dataset_summary.json").read_bytes())["bad_records"]
    assert (lost["action"], lost["count"], lost["share"]) == (action, 5, 5 / 400)
    assert {each["row"] for each in lost["first"]} == {10, 20, 30, 40, 50}
    quarantine = made.path.with_name(f"{made.path.name}.quarantine.jsonl")
    assert quarantine.exists() == (action == "quarantine")
    if quarantine.exists():
        lines = [json.loads(line) for line in quarantine.read_bytes().splitlines()]
        assert {line["row"]: line["reason"] for line in lines} == {
            10: "column 'v' has 1 numbers there, 2 before",
            20: "column 'v' is null there",
            30: "label 7 is out of range (class ids are 0 to 2)",
            40: "label 'label' is null",
            50: "column 'text' is null",
        }
        assert "'label': 7" in next(line["raw"] for line in lines if line["row"] == 30)


def test_leaving_records_out_moves_no_other_one(tmp_path: Path) -> None:
    whole = prepare_from_config(config(tmp_path, rows(), dataset_version="whole"))
    less = prepare_from_config(config(tmp_path, broken(), on_error="skip"))
    for split in ("train", "validation", "test"):

        def of(path: Path, split: str = split) -> set[str]:
            shards = ShardCatalog.load(path)
            return {
                text
                for shard in shards.of(split)
                for text in pa.ipc.open_file(shard.path(shards.root)).read_all()["text"].to_pylist()
            }

        assert of(less.path) == of(whole.path) - {f"t{at}" for at in (10, 20, 30, 40, 50)}


@pytest.mark.parametrize(
    ("policy", "what"),
    [
        ({"action": "skip", "max_share": 0.01}, r"5 of 400 records.*1\.25%.*1\.00% are allowed"),
        (
            {"action": "quarantine", "max_records": 2},
            r"3 records can't be used, 2 are allowed.*quarantine\.jsonl",
        ),
    ],
)
def test_too_many_fail_the_run_and_nothing_is_published(
    tmp_path: Path, policy: dict[str, Any], what: str
) -> None:
    with pytest.raises(RecordError, match=what):
        prepare_from_config(config(tmp_path, broken(), on_error=policy))
    assert not list((tmp_path / "runs").rglob("COMPLETE"))


@pytest.mark.parametrize("policy", ["ignore", {"action": "skip", "max_share": 2}, {"most": 1}])
def test_a_policy_that_is_none_is_refused_by_name(tmp_path: Path, policy: Any) -> None:
    with pytest.raises(ConfigError, match=r"data\.on_error"):
        prepare_from_config(config(tmp_path, rows(), on_error=policy))


def test_a_damaged_row_group_loses_its_rows_and_no_more(tmp_path: Path) -> None:
    made = config(tmp_path, rows(), on_error={"action": "skip", "max_share": 0.5})
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table(rows()), path, row_group_size=100, write_page_checksum=True)
    column = pq.read_metadata(path).row_group(2).column(0)
    content = bytearray(path.read_bytes())
    content[column.file_offset or column.dictionary_page_offset or column.data_page_offset] ^= 0xFF
    middle = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size // 2
    content[middle] ^= 0xFF
    path.write_bytes(bytes(content))
    found = features_of(prepare_from_config(made).path)
    assert found == [float(at) for at in range(N) if not 200 <= at < 300]


def test_further_columns_are_kept_as_they_are(tmp_path: Path) -> None:
    table = rows() | {"tokens": [list(range(at % 4)) for at in range(N)]}
    made = config(tmp_path, table)
    made["data"]["preprocessing"]["columns"] = ["text", "tokens"]
    artifact = prepare_from_config(made)
    shards = ShardCatalog.load(artifact.path)
    found: dict[str, list[int]] = {}
    for shard in shards:
        part = pa.ipc.open_file(shard.path(shards.root)).read_all()
        found |= dict(zip(part["text"].to_pylist(), part["tokens"].to_pylist(), strict=True))
    assert found == {f"t{at}": list(range(at % 4)) for at in range(N)}
    described = json.loads((artifact.path / "dataset_metadata.json").read_bytes())
    assert [column["name"] for column in described["columns"]] == ["text", "tokens"]


def test_files_of_each_split_stay_in_it(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("test", 100)):
        part = {"x": list(range(first, first + 50)), "label": [0, 1] * 25}
        pq.write_table(pa.table(part), tmp_path / f"{split}.parquet")
    uris = {split: str(tmp_path / f"{split}.parquet") for split in ("train", "test")}
    section = {"dataset_name": "x", "source_uri": uris}
    made = prepare_from_config({"data": section, "experiment": {"output_dir": str(tmp_path / "runs")}})
    shards = ShardCatalog.load(made.path)
    assert {shard.split: shard.records for shard in shards} == {"train": 50, "test": 50}


def test_integers_are_stored_as_what_the_config_says(tmp_path: Path) -> None:
    table = {"v": [[at % 256, 255] for at in range(N)], "text": ["t"] * N, "label": [0, 1] * (N // 2)}
    made = config(tmp_path, table)
    made["data"]["preprocessing"] |= {"dtype": "uint8", "columns": []}
    artifact = prepare_from_config(made)
    shard = next(iter(ShardCatalog.load(artifact.path)))
    schema = pa.ipc.open_file(shard.path(artifact.path)).schema
    assert schema.field("features").type == pa.fixed_shape_tensor(pa.uint8(), [2])
    table["v"][7] = [1, 256]
    wrong = config(tmp_path, table)
    wrong["data"]["preprocessing"] |= {"dtype": "uint8", "columns": []}
    with pytest.raises(RecordError, match=r"row 7: column 'v' has 256 there, which uint8 can't hold"):
        prepare_from_config(wrong)
