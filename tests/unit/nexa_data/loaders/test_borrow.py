from __future__ import annotations

import gc
import hashlib
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import torch
from nexa_data.datasets.shards import ShardDataset
from nexa_data.loaders.torch_loader import build_loader
from nexa_data.prepare import prepare_from_config

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ("x", "y")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a catalog of one shard with chunks of ten records."""
    table = pa.table({"x": pa.array(range(30), pa.float32()), "y": pa.array(range(30), pa.int64())})
    with pa.OSFile(str(tmp_path / "0.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table, max_chunksize=10)
    (tmp_path / "catalog.jsonl").write_text('{"uri": "0.arrow", "split": "train", "records": 30}\n')
    return tmp_path


def test_records_that_lie_together_are_handed_out_where_they_lie(folder: Path) -> None:
    dataset = ShardDataset(folder, "train", columns=COLUMNS, borrow=True)
    whole, part = dataset[list(range(10))], dataset[list(range(4, 9))]
    for at, (column, shared) in enumerate(zip(whole, part, strict=True)):
        assert shared.data_ptr() == column.data_ptr() + 4 * column.element_size()
        assert shared.tolist() == list(range(4, 9)), at
    assert dataset._assembler.pool_stats() == (0, 0, 0)


@pytest.mark.parametrize("records", [[8, 9, 10, 11], [3, 2, 1], [4, 6], [5, 5]], ids=str)
def test_other_records_are_copied(folder: Path, records: list[int]) -> None:
    dataset = ShardDataset(folder, "train", columns=COLUMNS, borrow=True)
    x, y = dataset[records]
    assert x.tolist() == y.tolist() == records
    assert dataset._assembler.pool_stats()[2] == 2
    x.zero_()
    assert dataset[records][0].tolist() == records


@pytest.mark.parametrize("options", [{"convert": {"x": "float64"}}, {}], ids=["converted", "not asked for"])
def test_what_is_converted_or_not_asked_for_is_copied(folder: Path, options: dict[str, Any]) -> None:
    dataset = ShardDataset(folder, "train", columns=COLUMNS, borrow=bool(options), **options)
    first = dataset[[0, 1]]
    assert first[0].data_ptr() != dataset[[0, 1]][0].data_ptr()


def test_a_write_shows_in_later_batches_and_never_in_the_file(folder: Path) -> None:
    def digest() -> bytes:
        return hashlib.sha256((folder / "0.arrow").read_bytes()).digest()

    before = digest()
    dataset = ShardDataset(folder, "train", columns=COLUMNS, borrow=True)
    dataset[[2, 3]][0].fill_(-1)
    assert dataset[[1, 2, 3]][0].tolist() == [1, -1, -1]
    assert digest() == before
    assert ShardDataset(folder, "train", columns=COLUMNS)[[2, 3]][0].tolist() == [2, 3]


def test_a_borrowed_batch_outlives_its_dataset(folder: Path) -> None:
    x = ShardDataset(folder, "train", columns=COLUMNS, borrow=True)[[5, 6]][0]
    gc.collect()
    assert x.tolist() == [5, 6]


def test_compressed_and_boolean_columns_are_copied(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array([0.0] * 5000), "y": pa.array([True] * 5000)})
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with (
        pa.OSFile(str(tmp_path / "0.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, table.schema, options=options) as file,
    ):
        file.write_table(table)
    (tmp_path / "catalog.jsonl").write_text('{"uri": "0.arrow", "split": "train", "records": 5000}\n')
    for columns in (("x",), ("y",)):
        dataset = ShardDataset(tmp_path, "train", columns=columns, borrow=True)
        held = dataset[[0, 1]]
        assert dataset._assembler.pool_stats()[2] == 1, columns
        del held


def test_a_loader_that_borrows_yields_the_same_batches(base: dict[str, Any]) -> None:
    config = {**base, "data": {**base["data"], "shuffle": False, "shards": {"rows": 48}}}
    prepare_from_config(config)
    borrowing = build_loader(config, "train", borrow=True)
    for (x, y), (copied, labels) in zip(borrowing, build_loader(config, "train"), strict=True):
        assert torch.equal(x, copied)
        assert torch.equal(y, labels)
    assert borrowing.dataset._assembler.pool_stats()[2] == 0  # type: ignore[attr-defined]
