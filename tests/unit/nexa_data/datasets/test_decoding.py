"""Types that are found, and types that are said."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from nexa_data.config_reading import ReadConfig
from nexa_data.datasets.decoding import count_records, row_source
from nexa_data.errors import ConfigError, RecordError
from nexa_data.pipeline import DataPipeline


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


GOLDEN = Path(__file__).parents[3] / "data" / "sources"


@pytest.mark.parametrize(
    "name", ["a.tar", "a.tfrecord", "a.parquet", "a.jsonl", "a.csv", "a.arrow", "a.arrows"]
)
def test_a_source_of_some_columns_has_the_same_rows(tmp_path: Path, name: str) -> None:
    path = GOLDEN / name
    if not path.exists():
        path = tmp_path / name
        table = pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"], "c": [[1.0], [2.0], [3.5]]})
        table = table.drop_columns("c") if name == "a.csv" else table
        write_table(table, path)
    source = row_source([str(path)])
    whole = pa.Table.from_batches([part.batch for part in source.batches()], source.schema)
    for names in ([whole.column_names[0]], [whole.column_names[-1]], whole.column_names[:2]):
        some = source.select(names)
        assert some.schema.names == [each for each in source.schema.names if each in names]
        parts = list(some.batches())
        assert pa.Table.from_batches([part.batch for part in parts], some.schema) == whole.select(
            some.schema.names
        )
        assert not any(part.bad for part in parts)


def write_table(table: pa.Table, path: Path) -> None:
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".csv":
        pa_csv.write_csv(table, path)
    elif path.suffix == ".jsonl":
        lines(path, *table.to_pylist())
    else:
        new = pa.ipc.new_file if path.suffix == ".arrow" else pa.ipc.new_stream
        with new(str(path), table.schema) as writer:
            writer.write_table(table)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_what_is_wrong_in_a_column_that_nothing_asks_for_is_no_flaw(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "csv":
        path.write_text("x,label,note\n" + "1.5,0,7\n" * 3 + "2.5,1,word\n")
    else:
        lines(path, *[{"x": 1.5, "label": 0, "note": 7}] * 3, {"x": 2.5, "label": 1, "note": "word"})
    config = {
        "dataset_name": "a",
        "source_uri": str(path),
        "read": {"infer": 2},
        "split": {"train": 1, "validation": 0, "test": 0},
    }
    asked = DataPipeline({"data": config | {"preprocessing": {"features": ["x"]}}})
    assert [part.features.tolist() for part in asked] == [[[1.5], [1.5], [1.5], [2.5]]]
    kept = DataPipeline({"data": config | {"preprocessing": {"features": ["x"], "columns": ["note"]}}})
    with pytest.raises(RecordError, match="row 3"):
        list(kept)


def test_columns_that_only_filters_and_splits_ask_for_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = {
        "x": [1.0, 2.0, 3.0],
        "label": [0, 1, 0],
        "part": ["train", "test", "train"],
        "score": [1, 1, 0],
        "more": [1, 2, 3],
    }
    pq.write_table(pa.table(rows), path)
    pipeline = DataPipeline(
        {
            "data": {
                "dataset_name": "a",
                "source_uri": str(path),
                "split": {"column": "part"},
                "filters": [{"where": {"column": "score", "op": ">", "value": 0}}],
                "preprocessing": {"features": ["x"]},
            }
        }
    )
    assert [(part.split, part.features.tolist()) for part in pipeline] == [
        ("train", [[1.0]]),
        ("test", [[2.0]]),
    ]


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


def test_types_of_some_columns_of_csv_are_said_and_the_others_found(tmp_path: Path) -> None:
    head = "zip,x,n,late\n" + "01234,1,7,\n" * 30
    (tmp_path / "a.csv").write_text(head + "1234,1.5,x,word\n")
    types = {"zip": "string", "n": "int8", "late": "string"}
    schema, rows, bad = read([str(tmp_path / "a.csv")], types=types, infer=20)
    assert schema == pa.schema({"zip": pa.string(), "x": pa.int64(), "n": pa.int8(), "late": pa.string()})
    assert (rows[0], len(rows)) == ({"zip": "01234", "x": 1, "n": 7, "late": None}, 30)
    # What the sample didn't have is a bad record where the type was found, and fits where it was said.
    assert [row for row, _ in bad] == [30]
    _, rows, bad = read([str(tmp_path / "a.csv")], types={**types, "x": "float64", "n": "string"}, infer=20)
    assert (rows[30], bad) == ({"zip": "1234", "x": 1.5, "n": "x", "late": "word"}, [])


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
