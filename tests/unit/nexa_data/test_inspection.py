"""Whatever holds rows can be looked at: schema, counts and the first of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from nexa_data.errors import CatalogError, RecordError, ShardNotFoundError
from nexa_data.inspection import inspect_target, show_inspection
from nexa_data.prepare import prepare_from_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _write(table: pa.Table, path: Path) -> None:
    writers: dict[str, Callable[..., Any]] = {
        ".parquet": pq.write_table,
        ".csv": pyarrow.csv.write_csv,
        ".arrow": pyarrow.feather.write_feather,
    }
    writers[path.suffix](table, str(path))


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".arrow"])
def test_a_source_file_shows_schema_count_and_first_rows(
    table: pa.Table, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"rows{suffix}"
    _write(table, path)
    seen = inspect_target(str(path), n_rows=3)
    assert seen.facts["format"] == suffix[1:]
    assert seen.facts["records"] == 60
    assert [column["name"] for column in seen.schema] == ["a", "b", "kind"]
    assert [row["kind"] for row in seen.rows] == ["cat", "dog", "eel"]


def test_a_glob_is_counted_over_all_its_files(table: pa.Table, tmp_path: Path) -> None:
    _write(table, tmp_path / "1.parquet")
    _write(table, tmp_path / "2.parquet")
    seen = inspect_target(str(tmp_path / "*.parquet"), n_rows=61)
    assert (seen.facts["files"], seen.facts["records"], len(seen.rows)) == (2, 120, 61)


def test_an_artifact_shows_counts_per_split_as_its_catalog_says(small_config: dict[str, Any]) -> None:
    meta = prepare_from_config(small_config)
    seen = inspect_target(meta.uri)
    assert (seen.facts["hash"], seen.facts["records"]) == (meta.hash, 150)
    assert [split["split"] for split in seen.splits] == ["train", "validation", "test"]
    assert seen.facts["features"]["shape"] == [4]
    assert seen.schema[0] == {"name": "features", "type": "float tensor [4]"}
    assert len(seen.rows) == 5


def test_an_artifact_of_metadata_alone_has_no_rows(small_config: dict[str, Any]) -> None:
    meta = prepare_from_config(small_config, materialize_only=True)
    seen = inspect_target(meta.uri)
    assert seen.facts["kind"] == "dataset-metadata"
    assert (seen.splits, seen.rows) == ([], [])


def test_a_catalog_with_unknown_counts_says_that_it_does_not_know(
    table: pa.Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(table, tmp_path / "a.arrow")
    (tmp_path / "catalog.jsonl").write_text('{"uri": "a.arrow"}\n')
    for target in (tmp_path, tmp_path / "catalog.jsonl"):
        seen = inspect_target(str(target), n_rows=1)
        assert seen.facts["records"] is None
        assert seen.splits == [{"split": None, "records": None, "shards": 1, "bytes": None}]
        assert len(seen.rows) == 1
    show_inspection(seen)
    assert "(none)" in capsys.readouterr().out


def test_a_catalog_whose_shards_are_gone_still_shows_its_counts(tmp_path: Path) -> None:
    (tmp_path / "catalog.jsonl").write_text('{"uri": "gone.arrow", "records": 7, "split": "train"}\n')
    seen = inspect_target(str(tmp_path))
    assert (seen.facts["records"], seen.rows) == (7, [])


def test_no_rows_are_read_when_none_are_wanted(table: pa.Table, tmp_path: Path) -> None:
    _write(table, tmp_path / "a.parquet")
    seen = inspect_target(str(tmp_path / "a.parquet"), n_rows=0)
    assert (seen.rows, len(seen.schema)) == ([], 3)


def test_long_values_are_shortened_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {
        "vector": [[float(at) for at in range(100)]],
        "text": ["x" * 500],
        "raw": [b"12345"],
        "none": [None],
    }
    _write(pa.table(rows), tmp_path / "a.parquet")
    show_inspection(inspect_target(str(tmp_path / "a.parquet")))
    out = capsys.readouterr().out
    assert "[0, 1, 2, 3, 4, 5, …] 100 long" in out
    assert "5 bytes" in out
    assert "x" * 50 not in out
    assert "null" in out


def test_damage_is_named_with_its_file(table: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "cut.parquet"
    _write(table, path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RecordError, match=r"cut\.parquet"):
        inspect_target(str(path))
    (tmp_path / "c.jsonl").write_text("{\n")
    with pytest.raises(RecordError, match=r"c\.jsonl"):
        inspect_target(str(tmp_path / "c.jsonl"))
    (tmp_path / "catalog.jsonl").write_text("{\n")
    with pytest.raises(CatalogError, match=r"catalog\.jsonl:1"):
        inspect_target(str(tmp_path / "catalog.jsonl"))
    with pytest.raises(RecordError, match=r"odd\.txt"):
        inspect_target(str(_odd(tmp_path)))


def _odd(folder: Path) -> Path:
    path = folder / "odd.txt"
    path.write_text("hello")
    return path


@pytest.mark.parametrize("name", ["", "nope.csv", "*.parquet"])
def test_where_nothing_is_the_error_says_what_would_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(ShardNotFoundError, match="name an artifact's folder"):
        inspect_target(str(tmp_path / name))
