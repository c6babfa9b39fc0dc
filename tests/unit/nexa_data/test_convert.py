from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nexa_data.cli import main
from nexa_data.convert import convert
from nexa_data.errors import ArtifactError, ConfigError, RecordError
from nexa_data.prepare import prepare_from_config

if TYPE_CHECKING:
    from pathlib import Path

N = 250


@pytest.fixture
def table() -> pa.Table:
    numbers = np.random.default_rng(1)
    vectors = numbers.standard_normal((N, 3)).astype(np.float32)
    return pa.table(
        {
            "id": pa.array(range(N), pa.int64()),
            "text": [f"zeile {at} ü\n" for at in range(N)],
            "blob": [bytes([at % 256, 255]) for at in range(N)],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 3),
            "tokens": [list(range(at % 5)) for at in range(N)],
        }
    )


@pytest.fixture
def source(tmp_path: Path, table: pa.Table) -> Path:
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=60)
    return tmp_path / "in.parquet"


def test_parquet_to_arrow_and_back_is_the_same_table(source: Path, table: pa.Table, tmp_path: Path) -> None:
    written = convert(source, tmp_path / "a.arrow", "arrow")
    assert written.records == N
    assert pa.ipc.open_file(tmp_path / "a.arrow").read_all().equals(table)
    convert(tmp_path / "a.arrow", tmp_path / "b.parquet", "parquet")
    assert pq.read_table(tmp_path / "b.parquet").equals(table)


def test_jsonl_has_an_object_a_line(source: Path, table: pa.Table, tmp_path: Path) -> None:
    convert(source, tmp_path / "a.jsonl", "jsonl")
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines()]
    assert [row["text"] for row in rows] == table["text"].to_pylist()
    assert [row["tokens"] for row in rows] == table["tokens"].to_pylist()
    np.testing.assert_array_equal(
        np.array([row["vector"] for row in rows], np.float32), table["vector"].to_pylist()
    )
    assert rows[0]["blob"] == "AP8="


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_jsonl_keeps_numbers_that_json_has_no_name_for(tmp_path: Path, value: float) -> None:
    pq.write_table(pa.table({"x": [1.5, value], "l": [[1.0], [value]]}), tmp_path / "in.parquet")
    convert(tmp_path / "in.parquet", tmp_path / "a.jsonl", "jsonl")
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    np.testing.assert_array_equal([rows[0]["x"], rows[1]["x"], rows[1]["l"][0]], [1.5, value, value])


def test_webdataset_has_a_member_for_each_value(source: Path, table: pa.Table, tmp_path: Path) -> None:
    convert(source, tmp_path / "a.tar", "webdataset")
    with tarfile.open(tmp_path / "a.tar") as tar:
        members = {member.name: tar.extractfile(member) for member in tar}
        contents = {name: file.read() for name, file in members.items() if file}
    assert len(contents) == N * 5
    assert contents["000000007.text.txt"].decode() == "zeile 7 ü\n"
    assert contents["000000007.id.cls"] == b"7"
    assert contents["000000007.blob.bin"] == bytes([7, 255])
    vector = np.load(io.BytesIO(contents["000000007.vector.npy"]))
    assert (vector.dtype, vector.tolist()) == (np.float32, table["vector"][7].as_py())
    assert np.load(io.BytesIO(contents["000000004.tokens.npy"])).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("to", "ending"), [("arrow", "arrow"), ("parquet", "parquet"), ("jsonl", "jsonl")])
def test_a_folder_gets_files_of_so_many_records(source: Path, tmp_path: Path, to: str, ending: str) -> None:
    written = convert(source, tmp_path / "out", to, file_records=100)
    assert [path.name for path in written.files] == [f"data-{at:05d}.{ending}" for at in range(3)]
    assert all(path.is_file() for path in written.files)
    assert written.bytes == sum(path.stat().st_size for path in written.files)
    if to == "parquet":
        assert [pq.read_metadata(path).num_rows for path in written.files] == [100, 100, 50]


def test_an_artifact_keeps_its_splits_and_tensors(tmp_path: Path) -> None:
    preprocessing = {"num_samples": 300, "num_features": 6}
    config = {"data": {"dataset_name": "synthetic", "preprocessing": preprocessing, "shards": {"rows": 100}}}
    artifact = prepare_from_config({**config, "experiment": {"output_dir": str(tmp_path)}})
    written = convert(artifact.path, tmp_path / "out", "parquet")
    assert written.records == 300
    assert [path.name for path in written.files] == [
        f"{split}-00000.parquet" for split in ("train", "validation", "test")
    ]
    table = pq.read_table(tmp_path / "out" / "train-00000.parquet")
    assert table.schema.field("features").type.value_type == pa.float32()


def test_a_catalog_of_any_name_is_one_and_records_in_json_lines_are_not(tmp_path: Path) -> None:
    config = {"data": {"dataset_name": "synthetic", "preprocessing": {"num_samples": 60}}}
    artifact = prepare_from_config({**config, "experiment": {"output_dir": str(tmp_path)}})
    (artifact.path / "mine.jsonl").write_bytes((artifact.path / "catalog.jsonl").read_bytes())
    assert convert(artifact.path / "mine.jsonl", tmp_path / "a", "jsonl").records == 60
    assert len(convert(artifact.path / "mine.jsonl", tmp_path / "b", "jsonl").files) == 3
    assert convert(tmp_path / "a" / "train-00000.jsonl", tmp_path / "c.parquet", "parquet").records > 0


def test_what_a_killed_run_has_left_is_not_put_in_place(source: Path, tmp_path: Path) -> None:
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "data-00099.arrow").write_bytes(b"of another run")
    written = convert(source, tmp_path / "out", "arrow", file_records=200)
    assert sorted((tmp_path / "out").iterdir()) == sorted(written.files)


def test_a_source_without_records_gives_a_file_of_its_columns(tmp_path: Path, table: pa.Table) -> None:
    pq.write_table(table.slice(0, 0), tmp_path / "in.parquet")
    assert convert(tmp_path / "in.parquet", tmp_path / "out", "arrow").records == 0
    assert pa.ipc.open_file(tmp_path / "out" / "data-00000.arrow").schema.equals(table.schema)


def test_a_format_of_the_source_that_is_unknown_is_refused_by_name(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(source), str(tmp_path / "a.jsonl"), "--to", "jsonl", "--from", "lance"]) == 2
    assert "lance" in capsys.readouterr().err


def test_a_broken_record_leaves_nothing_at_the_destination(source: Path, tmp_path: Path) -> None:
    content = source.read_bytes()
    source.write_bytes(content[:200] + b"\0" * 400 + content[600:])
    with pytest.raises(RecordError, match=r"in\.parquet"):
        convert(source, tmp_path / "out", "arrow", file_records=50)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet"]


def test_what_exists_is_not_overwritten_and_unknown_formats_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"in\.parquet exists"):
        convert(source, source, "parquet")
    with pytest.raises(ConfigError, match=r"no format 'lance'.*known: arrow"):
        convert(source, tmp_path / "x", "lance")
    pq.write_table(pa.table({"a.b": [1]}), tmp_path / "dots.parquet")
    with pytest.raises(RecordError, match=r"column 'a\.b'"):
        convert(tmp_path / "dots.parquet", tmp_path / "x.tar", "webdataset")


def test_the_command_says_what_it_wrote(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(source), str(tmp_path / "a.jsonl"), "--to", "jsonl", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (found["records"], found["files"]) == (N, [str(tmp_path / "a.jsonl")])
    assert main(["convert", str(source), str(tmp_path / "a.jsonl"), "--to", "jsonl"]) != 0
    assert "exists" in capsys.readouterr().err
