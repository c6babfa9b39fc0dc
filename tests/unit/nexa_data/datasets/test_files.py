from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nexa_data.datasets.decoding import count_records, row_source
from nexa_data.datasets.files import find_files, recognise
from nexa_data.errors import ConfigError, RecordError, ShardNotFoundError
from nexa_data.prepare import prepare_from_config
from pyarrow import csv

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCES = Path(__file__).parents[3] / "data" / "sources"


def to_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, row_group_size=25)


def to_csv(table: pa.Table, path: Path) -> None:
    csv.write_csv(table, path)


def to_tsv(table: pa.Table, path: Path) -> None:
    csv.write_csv(table, path, csv.WriteOptions(delimiter="\t"))


def to_arrow_file(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=25)


def to_arrow_stream(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=25)


FORMS: list[tuple[str, Callable[[pa.Table, Any], None]]] = [
    ("t.parquet", to_parquet),
    ("t.csv", to_csv),
    ("t.tsv", to_tsv),
    ("t.arrow", to_arrow_file),
    ("t.feather", to_arrow_stream),
]


def rows_of(*uris: str, form: str | None = None) -> list[dict[str, Any]]:
    found = []
    for rows in row_source(uris, form).batches():
        for bad in rows.bad:
            raise bad.error()
        found += rows.batch.to_pylist()
    return found


@pytest.mark.parametrize(("name", "write"), FORMS)
def test_every_form_gives_the_same_rows_twice(
    tmp_path: Path, table: pa.Table, name: str, write: Callable[[pa.Table, Any], None]
) -> None:
    write(table, tmp_path / name)
    source = row_source([str(tmp_path / name)])
    for _ in range(2):
        batches = list(source.batches())
        assert [rows.first_row for rows in batches] == [
            sum(each.batch.num_rows for each in batches[:at]) for at in range(len(batches))
        ]
        found = [row for rows in batches for row in rows.batch.to_pylist()]
        assert [(row["b"], row["kind"]) for row in found] == [
            (row["b"], row["kind"]) for row in table.to_pylist()
        ]
        assert [row["a"] for row in found] == pytest.approx(table["a"].to_pylist())


@pytest.mark.parametrize(("name", "write"), [form for form in FORMS if "sv" not in form[0]])
def test_a_form_is_recognised_by_content_not_by_name(
    tmp_path: Path, table: pa.Table, name: str, write: Callable[[pa.Table, Any], None]
) -> None:
    del name
    write(table, tmp_path / "t.dat")
    assert len(rows_of(str(tmp_path / "t.dat"))) == 60


def test_a_folder_a_glob_and_a_list_name_the_same_files_in_order(tmp_path: Path, table: pa.Table) -> None:
    for name in ("b.csv", "a.csv", "sub/c.csv", ".hidden.csv", "_temporary/d.csv", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        to_csv(table, tmp_path / name)
    wanted = ["a.csv", "b.csv", "sub/c.csv"]
    for uris in (
        [str(tmp_path)],
        [str(tmp_path / "**" / "*.csv")],
        [str(tmp_path), str(tmp_path / "a.csv")],
        [tmp_path.as_uri()],
    ):
        assert [file.origin for file in find_files(uris)] == wanted, uris
    assert len(rows_of(str(tmp_path))) == 180


def test_origins_do_not_depend_on_where_the_folder_lies(tmp_path: Path, table: pa.Table) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        to_csv(table, tmp_path / folder / "x.csv")
    origins = [[file.origin for file in find_files([str(tmp_path / folder)])] for folder in ("here", "there")]
    assert origins == [["x.csv"], ["x.csv"]]


@pytest.mark.parametrize("uri", ["s3://bucket/x.parquet", "gs://b/x.csv", "https://example.org/x.csv"])
def test_a_scheme_that_is_not_served_is_named(uri: str) -> None:
    with pytest.raises(ConfigError, match=f"{uri.partition(':')[0]}:// is not served"):
        find_files([uri])


def test_a_missing_source_is_named_with_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for uri in ("none.csv", "none/*.csv", "none/"):
        with pytest.raises(ShardNotFoundError, match=str(tmp_path / "none")):
            find_files([uri])


def test_a_folder_without_data_is_said_to_hold_none(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(ShardNotFoundError, match=r"holds none of .*\.parquet"):
        find_files([str(tmp_path)])


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.parquet", "x.arrow"])
def test_an_empty_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(RecordError, match=name):
        row_source([str(tmp_path / name)])


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow", "x.csv", "x.dat"])
def test_a_foreign_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0" * 20)
    with pytest.raises(RecordError, match=name):
        row_source([str(tmp_path / name)])


@pytest.mark.parametrize(("name", "write"), [form for form in FORMS if "sv" not in form[0]])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused_by_name(
    tmp_path: Path, table: pa.Table, name: str, write: Callable[[pa.Table, Any], None], share: float
) -> None:
    write(table, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    # A stream may lose its end-of-stream mark and still be whole.
    (tmp_path / name).write_bytes(content[: min(int(len(content) * share), len(content) - 9)])
    with pytest.raises(RecordError, match=name):
        rows_of(str(tmp_path / name))


def test_a_csv_with_a_ragged_line_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,label\n1,2\n1,2,3\n")
    with pytest.raises(RecordError, match=r"x\.csv"):
        rows_of(str(tmp_path / "x.csv"))


def test_files_of_other_columns_are_refused_with_the_difference(tmp_path: Path, table: pa.Table) -> None:
    to_csv(table, tmp_path / "a.csv")
    to_csv(table.rename_columns(["a", "c", "kind"]), tmp_path / "b.csv")
    with pytest.raises(RecordError, match=r"b\.csv: .*a\.csv: missing \['b'\], more \['c'\]"):
        row_source([str(tmp_path)])


def test_the_order_of_columns_may_differ_between_files(tmp_path: Path, table: pa.Table) -> None:
    to_csv(table, tmp_path / "a.csv")
    to_parquet(table.select(["kind", "b", "a"]), tmp_path / "b.parquet")
    rows = rows_of(str(tmp_path))
    assert [row["b"] for row in rows] == [*range(60), *range(60)]


def test_integers_and_floats_of_one_column_become_floats(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,label\n1,0\n")
    (tmp_path / "b.csv").write_text("x,label\n1.5,0\n")
    assert [row["x"] for row in rows_of(str(tmp_path))] == [1.0, 1.5]


def test_types_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,label\n1,0\n")
    (tmp_path / "b.csv").write_text("x,label\nword,0\n")
    with pytest.raises(RecordError, match=r"b\.csv"):
        rows_of(str(tmp_path))


def test_a_file_without_rows_among_others_changes_nothing(tmp_path: Path, table: pa.Table) -> None:
    to_csv(table, tmp_path / "b.csv")
    whole = rows_of(str(tmp_path))
    for name in ("a.csv", "c.csv"):
        (tmp_path / name).write_text("a,b,kind\n")
    assert rows_of(str(tmp_path)) == whole


EMPTY = {"zero": b"", "line": b"\n", "blanks": b"  \r\n\n", "mark": b"\xef\xbb\xbf"}


@pytest.mark.parametrize("content", EMPTY.values(), ids=list(EMPTY))
@pytest.mark.parametrize("ending", ["csv", "jsonl", "csv.gz", "jsonl.zst"])
def test_empty_files_among_others_give_no_records_and_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ending: str, content: bytes
) -> None:
    def write(name: str, text: bytes) -> None:
        codec = {"gz": "gzip", "zst": "zstd"}.get(ending.rpartition(".")[2])
        with pa.output_stream(tmp_path / f"{name}.{ending}", compression=codec) as file:
            file.write(text)

    write("b", b"x,y\n1,2\n" if "csv" in ending else b'{"x": 1, "y": 2}\n')
    for name in ("a", "c"):
        write(name, content)
    assert rows_of(str(tmp_path)) == [{"x": 1, "y": 2}]
    assert count_records([str(tmp_path)]) == 1
    assert "2 of 3 files are empty" in caplog.text
    (tmp_path / f"b.{ending}").unlink()
    with pytest.raises(RecordError, match=r"a\.\S+: it has no records .*, nor has any of the 1 others"):
        row_source([str(tmp_path)])


def test_an_empty_file_of_records_among_others_gives_none(tmp_path: Path) -> None:
    for name in ("a.tfrecord", "a.tar"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"1-{name}").write_bytes((SOURCES / name).read_bytes())
        whole = rows_of(str(tmp_path / name))
        (tmp_path / name / f"0-{name}").write_bytes(b"\0" * 10240 if name == "a.tar" else b"")
        assert rows_of(str(tmp_path / name)) == whole


def test_an_empty_file_of_a_split_leaves_the_split_without_records(tmp_path: Path, make_config: Any) -> None:
    (tmp_path / "train.csv").write_text("x,label\n1,0\n2,1\n")
    (tmp_path / "test.csv").touch()
    uris = {"train": str(tmp_path / "train.csv"), "test": str(tmp_path / "test.csv")}
    with pytest.raises(RecordError, match="of 2 records none fell into test"):
        prepare_from_config(make_config(dataset_name="x", source_uri=uris))


@pytest.mark.parametrize(("name", "what"), [("x.npz", r"dict\(numpy\.load"), ("x.dat", "unpack it")])
def test_a_zip_archive_is_refused_with_what_to_do(tmp_path: Path, name: str, what: str) -> None:
    with (tmp_path / name).open("wb") as file:
        np.savez(file, x=np.arange(3))
    with pytest.raises(RecordError, match=rf"{name}: .*zip archive.*{what}"):
        row_source([str(tmp_path / name)])


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_a_file_that_is_not_of_the_configs_format_is_refused(
    tmp_path: Path, table: pa.Table, form: str
) -> None:
    to_csv(table, tmp_path / "t.csv")
    with pytest.raises(RecordError, match=r"t\.csv: not an? (parquet|Arrow IPC) file"):
        rows_of(str(tmp_path / "t.csv"), form=form)


def test_the_format_of_the_config_wins_over_name_and_content(tmp_path: Path) -> None:
    (tmp_path / "x.dat").write_text("x,label\n1,0\n")
    with pytest.raises(RecordError, match=r"x\.dat"):
        recognise(tmp_path / "x.dat")
    assert rows_of(str(tmp_path / "x.dat"), form="csv") == [{"x": 1, "label": 0}]
