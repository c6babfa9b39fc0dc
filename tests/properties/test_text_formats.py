"""JSON lines and CSV that others wrote are read as they were, on any number of threads and in blocks of any size."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pa_csv
from hypothesis import given
from hypothesis import strategies as st
from nexa_data import _core

if TYPE_CHECKING:
    from pathlib import Path

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_INT = st.integers(-(2**63), 2**63 - 1)
_FLOAT = st.floats(allow_nan=False)
_RECORDS = st.lists(
    st.fixed_dictionaries(
        {"always": _INT},
        optional={
            "whole": st.none() | _INT,
            "real": st.none() | _FLOAT,
            "text": st.none() | _TEXT,
            "truth": st.none() | st.booleans(),
            "numbers": st.none() | st.lists(st.none() | _FLOAT, max_size=3),
            "inner": st.none() | st.fixed_dictionaries({"a": _TEXT, "b": st.lists(_INT, max_size=2)}),
        },
    ),
    min_size=1,
    max_size=30,
)
_HOW = st.tuples(st.integers(1, 3), st.integers(16, 500))


def _read(path: Path, form: str, how: tuple[int, int], **options: Any) -> list[dict[str, Any]]:
    threads, block_bytes = how
    reader = _core.SourceReader(path, form, block_bytes=block_bytes, infer_records=0, **options)
    rows: list[dict[str, Any]] = []
    for first, batch, bad in reader.batches(threads=threads):
        assert (first, bad) == (len(rows), [])
        rows += pa.record_batch(batch).to_pylist()
    return rows


def _filled(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records with every key that any of them has."""
    keys = dict.fromkeys(key for record in records for key in record)
    return [{key: record.get(key) for key in keys} for record in records]


@given(records=_RECORDS, how=_HOW, ascii_only=st.booleans(), spaced=st.booleans(), packed=st.booleans())
def test_json_lines_of_the_standard_library_are_read_as_written(
    tmp_path_factory: Any,
    *,
    records: list[dict[str, Any]],
    how: Any,
    ascii_only: bool,
    spaced: bool,
    packed: bool,
) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "a.jsonl"
    separators = (" , ", " : ") if spaced else (",", ":")
    lines = "".join(
        json.dumps(record, ensure_ascii=ascii_only, separators=separators) + "\n" for record in records
    )
    path.write_bytes(gzip.compress(lines.encode()) if packed else lines.encode())
    read = _read(path, "jsonl", how)
    expected = _filled(records)
    assert [list(row) for row in read] == [list(row) for row in expected]
    assert read == expected


@given(records=_RECORDS, how=_HOW, indent=st.none() | st.integers(0, 2))
def test_an_array_of_records_is_read_as_its_elements(
    tmp_path_factory: Any, records: list[dict[str, Any]], how: Any, indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("array") / "a.json"
    path.write_text(json.dumps(records, indent=indent), encoding="utf-8")
    assert _read(path, "jsonl", how) == _filled(records)


@given(
    table=st.lists(st.tuples(_TEXT, _TEXT), min_size=1, max_size=20),
    how=_HOW,
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    delimiter=st.sampled_from(",;\t|"),
)
def test_csv_of_the_standard_library_is_read_as_written(
    tmp_path_factory: Any, table: list[tuple[str, str]], how: Any, quoting: Any, delimiter: str
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, quoting=quoting).writerows([("a", "b"), *table])
    path.write_bytes(out.getvalue().encode())
    schema = pa.schema([("a", pa.string()), ("b", pa.string())])
    read = _read(path, "csv", how, schema=schema, delimiter=delimiter)
    assert read == [{"a": a, "b": b} for a, b in table]


@given(
    rows=st.lists(
        st.tuples(st.none() | _INT, st.none() | _FLOAT, st.none() | st.booleans()), min_size=1, max_size=20
    ),
    how=_HOW,
)
def test_csv_of_pyarrow_is_read_as_written(tmp_path_factory: Any, rows: list[Any], how: Any) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    columns = list(zip(*rows, strict=True))
    schema = pa.schema([("i", pa.int64()), ("f", pa.float64()), ("b", pa.bool_())])
    table = pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema
    )
    pa_csv.write_csv(table, path)
    assert _read(path, "csv", how, schema=schema) == table.to_pylist()
