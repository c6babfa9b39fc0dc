"""Files that the formats' own tools wrote are read as those tools read them."""

from __future__ import annotations

import io
import tarfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nexa_data import _core
from nexa_data.datasets.decoding import row_source
from nexa_data.errors import RecordError

SOURCES = Path(__file__).parents[1] / "data" / "sources"
_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

_VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int8(): st.integers(-128, 127),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    pa.large_string(): st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    pa.binary(): st.binary(max_size=6),
    pa.timestamp("us", "UTC"): st.integers(0, 2**50),
    pa.date32(): st.integers(0, 40_000),
    pa.decimal128(12, 2): st.decimals(-(10**9), 10**9, places=2),
    pa.list_(pa.int32()): st.lists(st.none() | st.integers(-5, 5), max_size=3),
    pa.list_(pa.float32(), 2): st.lists(st.floats(-9, 9, width=32), min_size=2, max_size=2),
    pa.struct({"a": pa.int64(), "b": pa.string()}): st.fixed_dictionaries(
        {"a": st.none() | st.integers(-5, 5), "b": st.text("ab", max_size=2)}
    ),
    pa.dictionary(pa.int32(), pa.string()): st.sampled_from(["x", "y", "z"]),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    kinds = draw(st.lists(st.sampled_from(list(_VALUES)), min_size=1, max_size=4))
    rows = draw(st.integers(0, 40))
    columns = {}
    for at, kind in enumerate(kinds):
        values = draw(st.lists(st.none() | _VALUES[kind], min_size=rows, max_size=rows))
        columns[f"c{at}"] = pa.array(values, kind)
    return pa.table(columns)


def read(
    path: Path, form: str, *, threads: int, columns: list[str] | None = None, batch_rows: int = 7
) -> pa.Table:
    reader = _core.SourceReader(path, form, columns=columns, batch_rows=batch_rows)
    batches = []
    for _, batch, bad in reader.batches(threads=threads):
        assert bad == []
        batches.append(pa.record_batch(batch))
    return pa.Table.from_batches(batches, pa.schema(reader))


@given(
    table=tables(),
    codec=st.sampled_from(["none", "snappy", "zstd", "gzip", "brotli", "lz4"]),
    group=st.integers(1, 50),
    threads=st.integers(1, 3),
    version=st.sampled_from(["1.0", "2.0"]),
    dictionaries=st.booleans(),
)
@_FOLDER
def test_parquet_is_what_pyarrow_reads(
    tmp_path: Path, *, table: pa.Table, codec: str, group: int, threads: int, version: str, dictionaries: bool
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(
        table,
        path,
        compression=codec,
        row_group_size=group,
        data_page_version=version,
        use_dictionary=dictionaries,
    )
    expected = pq.read_table(path)
    assert read(path, "parquet", threads=threads).to_pylist() == expected.to_pylist()
    names = table.column_names[::-1][:2]
    assert (
        read(path, "parquet", threads=threads, columns=names).to_pylist()
        == expected.select(names).to_pylist()
    )


@pytest.mark.parametrize("checksums", [True, False])
def test_a_flipped_number_is_found_by_its_pages_checksum_alone(tmp_path: Path, *, checksums: bool) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"x": pa.array(range(1000), pa.int64())})
    pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=checksums)
    content = bytearray(path.read_bytes())
    content[content.index((500).to_bytes(8, "little") + (501).to_bytes(8, "little"))] ^= 1
    path.write_bytes(content)
    (only,) = _core.SourceReader(path, "parquet").batches()
    lost = sum(records for _, records, *_ in only[2])
    assert (len(only[1]), lost) == ((0, 1000) if checksums else (1000, 0))


@given(values=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=60), text=st.booleans())
@_FOLDER
def test_parquet_that_polars_has_written_is_what_polars_reads(
    tmp_path: Path, *, values: list[int | None], text: bool
) -> None:
    frame = pl.DataFrame(
        {"x": values, "l": [[each] for each in values]}, schema={"x": pl.Int64, "l": pl.List(pl.Int64)}
    )
    frame = frame.with_columns(pl.col("x").cast(pl.String)) if text else frame
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=11)
    assert (
        read(tmp_path / "a.parquet", "parquet", threads=2).to_pylist()
        == pl.read_parquet(tmp_path / "a.parquet").to_dicts()
    )


@given(
    table=tables(),
    codec=st.sampled_from([None, "lz4", "zstd"]),
    chunk=st.integers(1, 50),
    threads=st.integers(1, 3),
    stream=st.booleans(),
)
@_FOLDER
def test_arrow_files_and_streams_are_what_pyarrow_reads(
    tmp_path: Path, *, table: pa.Table, codec: str | None, chunk: int, threads: int, stream: bool
) -> None:
    path = tmp_path / "a.arrow"
    # Files can't replace a dictionary; streams may, batch by batch.
    options = pa.ipc.IpcWriteOptions(compression=codec)
    opened = pa.ipc.new_stream if stream else pa.ipc.new_file
    with opened(path, table.schema, options=options) as sink:
        sink.write_table(table.unify_dictionaries(), max_chunksize=chunk)
    form = "arrow_stream" if stream else "arrow"
    assert _core.recognise_source(path) == (form, None)
    assert read(path, form, threads=threads).to_pylist() == table.to_pylist()


_DTYPES = st.sampled_from(
    [
        np.dtype(order + kind)
        for order in "<>"
        for kind in ("i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8")
    ]
    + [np.dtype("b"), np.dtype("u1"), np.dtype("?")]
)


@given(
    array=_DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(max_dims=4, max_side=5))),
    threads=st.integers(1, 3),
)
@_FOLDER
def test_arrays_are_what_numpy_loads(tmp_path: Path, *, array: Any, threads: int) -> None:
    np.save(tmp_path / "a.npy", array)
    table = read(tmp_path / "a.npy", "npy", threads=threads)
    (column,) = table.columns
    found = column.combine_chunks()
    native = array.astype(array.dtype.newbyteorder("="))
    if array.ndim == 1:
        found = found.to_numpy(zero_copy_only=False)
    else:
        storage = found.storage if isinstance(found, pa.ExtensionArray) else found
        while pa.types.is_fixed_size_list(storage.type):
            storage = storage.flatten()
        found = storage.to_numpy(zero_copy_only=False).reshape(array.shape)
    np.testing.assert_array_equal(found, native)
    assert found.dtype == native.dtype


@given(
    samples=st.lists(
        st.dictionaries(st.sampled_from(["txt", "bin", "seg.png"]), st.binary(max_size=700), min_size=1),
        min_size=1,
        max_size=12,
    ),
    form=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    long=st.booleans(),
    threads=st.integers(1, 3),
)
@_FOLDER
def test_archives_are_what_tarfile_extracts(
    tmp_path: Path, *, samples: list[dict[str, bytes]], form: int, long: bool, threads: int
) -> None:
    long = long and form != tarfile.USTAR_FORMAT
    keys = [f"{'folder' * 30 if long else 'd'}/{at:04}" for at in range(len(samples))]
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as tar:
        for key, sample in zip(keys, samples, strict=True):
            for name, content in sample.items():
                content = content.decode("latin1").encode() if name == "txt" else content  # noqa: PLW2901
                member = tarfile.TarInfo(f"{key}.{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    rows = read(tmp_path / "a.tar", "webdataset", threads=threads).to_pylist()
    assert [row["__key__"] for row in rows] == keys
    for row, sample in zip(rows, samples, strict=True):
        for name, content in sample.items():
            assert row[name] == (content.decode("latin1") if name == "txt" else content)
        assert all(row[name] is None for name in set(row) - set(sample) - {"__key__"})


def test_tfrecords_of_another_writer_are_read_as_they_were_written() -> None:
    rows = read(SOURCES / "a.tfrecord", "tfrecord", threads=2).to_pylist()
    assert rows == [
        {"id": at, "image": bytes([at] * 3), "vector": [at + 0.5, -at], "tags": list(range(at))}
        for at in range(5)
    ]


@pytest.mark.parametrize("folder", ["mds", "mds-zstd"])
def test_shards_of_streaming_are_read_as_they_were_written(folder: str) -> None:
    source = row_source([str(SOURCES / folder)])
    rows = [row for part in source.batches() for row in part.batch.to_pylist()]
    assert len(rows) == 5
    for at, row in enumerate(rows):
        assert (row["b"], row["s"], row["i"], row["u"]) == (bytes([at] * at), f"é{at}", at - 2, at)
        assert (row["f"], row["sf"], row["si"]) == (at + 0.5, at / 4, 10**at)
        assert Decimal(str(row["dec"])) == Decimal(f"{at}.25")
        assert np.asarray(row["v"]).tolist() == list(range(at + 1))
        assert np.asarray(row["t"]).ravel().tolist() == [at] * 6


def test_what_only_unpickling_would_bring_back_is_refused_by_column(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    with pytest.raises(RecordError, match="never unpickled"):
        read(tmp_path / "o.npy", "npy", threads=1)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("0.txt", "0.pyd"):
            member = tarfile.TarInfo(name)
            tar.addfile(member, io.BytesIO())
    with pytest.raises(RecordError, match=r'"pyd".*never unpickled'):
        read(tmp_path / "a.tar", "webdataset", threads=1)
    assert read(tmp_path / "a.tar", "webdataset", threads=1, columns=["txt"]).to_pylist() == [{"txt": ""}]
