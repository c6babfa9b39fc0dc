"""Types that are found, and types that are said."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from nexa_data.config_reading import ReadConfig
from nexa_data.datasets.decoding import count_records, row_source
from nexa_data.errors import ConfigError, RecordError

if TYPE_CHECKING:
    from pathlib import Path


def lines(path: Path, *rows: dict[str, Any] | str) -> str:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return str(path)


def read(uris: list[str], **options: Any) -> tuple[pa.Schema, list[dict[str, Any]], list[tuple[int, str]]]:
    """Return the schema, the good rows, and number and reason of the bad ones."""
    source = row_source(uris, read=ReadConfig(**options))
    rows: list[dict[str, Any]] = []
    bad: list[tuple[int, str]] = []
    for part in source.batches():
        rows += part.batch.to_pylist()
        bad += [(each.row, each.reason) for each in part.bad]
    return source.schema, rows, bad


def test_a_type_that_is_said_makes_what_does_not_fit_a_bad_record(tmp_path: Path) -> None:
    uri = lines(tmp_path / "a.jsonl", {"x": [1, 2]}, {"x": "word"}, {"x": [3, 4]}, {"x": [5]})
    with pytest.raises(
        RecordError, match=r"column \"x\" is a list in record 0 and a text in record 1; .*read\.types"
    ):
        read([uri])
    schema, rows, bad = read([uri], types={"x": "float32[2]"})
    assert schema.field("x").type == pa.list_(pa.float32(), 2)
    assert rows == [{"x": [1, 2]}, {"x": [3, 4]}]
    assert [row for row, _ in bad] == [1, 3]


def test_a_column_that_the_sample_lacks_is_no_silent_loss(tmp_path: Path) -> None:
    uri = lines(tmp_path / "a.jsonl", *({"x": at} for at in range(50)), {"x": 50, "late": 1})
    source = row_source([uri], read=ReadConfig(infer=20))
    for _ in range(2):
        reasons = [(each.row, each.reason) for part in source.batches() for each in part.bad]
        assert [row for row, _ in reasons] == [50]
        assert "'late'" in reasons[0][1] or '"late"' in reasons[0][1]
    assert read([uri], infer="whole")[1][-1] == {"x": 50, "late": 1}


def test_files_of_records_that_lack_columns_are_one_table(tmp_path: Path) -> None:
    uris = [
        lines(tmp_path / "a.jsonl.gz", {"x": 1}, {"x": None}),
        lines(tmp_path / "b.jsonl", {"x": 1.5, "y": "a"}, {"y": "b"}),
    ]
    schema, rows, bad = read(uris)
    assert schema == pa.schema({"x": pa.float64(), "y": pa.string()})
    assert rows == [
        {"x": 1.0, "y": None},
        {"x": None, "y": None},
        {"x": 1.5, "y": "a"},
        {"x": None, "y": "b"},
    ]
    assert bad == []
    assert count_records(uris) == 4


def test_csv_is_read_as_the_config_says(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1;NA;007\n2;5;x\n")
    _, rows, _ = read([str(tmp_path / "a.csv")], header=False, delimiter=";", nulls=["NA"])
    assert rows == [
        {"column0": 1, "column1": None, "column2": "007"},
        {"column0": 2, "column1": 5, "column2": "x"},
    ]


def test_a_type_of_a_column_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,label\n1,2\n")
    with pytest.raises(ConfigError, match=r"no column 'lable'; did you mean 'label'"):
        read([str(tmp_path / "a.csv")], types={"lable": "int8"})


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_packed_file_that_was_cut_short_gives_what_came_before(tmp_path: Path, share: float) -> None:
    uri = lines(tmp_path / "a.jsonl.gz", *({"x": at, "text": f"row {at * 7919}"} for at in range(3000)))
    content = (tmp_path / "a.jsonl.gz").read_bytes()
    (tmp_path / "a.jsonl.gz").write_bytes(content[: int(len(content) * share)])
    _, rows, bad = read([uri], infer=10)
    assert [row["x"] for row in rows] == list(range(len(rows)))
    assert 0 < len(rows) < 3000
    assert len(bad) == 1
