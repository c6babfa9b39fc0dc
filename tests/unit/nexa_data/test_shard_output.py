from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from nexa_data.catalog import ShardRecord
from nexa_data.config import ShardConfig
from nexa_data.datasets.rows import RowBatch
from nexa_data.errors import RecordError
from nexa_data.pipeline import LEFT_OUT, CutRows
from nexa_data.quality.measure import Measurement
from nexa_data.shard_journal import ShardJournal
from nexa_data.shard_output import ShardOutput, WriteQueue

if TYPE_CHECKING:
    from pathlib import Path


def cut(first: int, splits: list[int]) -> CutRows:
    """Return rows whose feature, label and text are their number."""
    numbers = np.arange(first, first + len(splits))
    others = pa.record_batch({"text": pa.array([str(number) for number in numbers])})
    features = numbers.astype(np.float32).reshape(-1, 1)
    return CutRows(RowBatch("a.csv", first, others), np.array(splits, np.uint8), features, numbers, others)


def written(folder: Path, cuts: list[CutRows], *, rows: int) -> tuple[ShardOutput, list[ShardRecord], int]:
    with WriteQueue() as writes:
        output = ShardOutput(
            folder, ShardConfig(rows=rows), writes, ShardJournal(folder, keep=True), Measurement()
        )
        kept = sum(output.add(each) for each in cuts)
        return output, [shard.result() for shard in output.close()], kept


def texts(folder: Path, shard: ShardRecord) -> list[str]:
    table = pa.ipc.open_file(folder / shard.uri).read_all()
    column: list[str] = table["text"].to_pylist()
    assert table["label"].to_pylist() == [int(text) for text in column]
    return column


def test_each_split_has_its_rows_in_order_and_what_is_left_out_is_nowhere(tmp_path: Path) -> None:
    cuts = [cut(0, [0, 1, LEFT_OUT, 0, 0]), cut(5, [2, 0, 0, 0, LEFT_OUT])]
    output, shards, kept = written(tmp_path, cuts, rows=4)

    assert kept == 8
    assert {shard.uri: texts(tmp_path, shard) for shard in shards} == {
        "shards/train-00000.arrow": ["0", "3", "4", "6"],
        "shards/train-00001.arrow": ["7", "8"],
        "shards/validation-00000.arrow": ["1"],
        "shards/test-00000.arrow": ["5"],
    }
    assert {split: seen.records for split, seen in output.statistics.items()} == {
        "train": 6,
        "validation": 1,
        "test": 1,
    }
    assert output.statistics["train"].class_counts == dict.fromkeys([0, 3, 4, 6, 7, 8], 1)


def test_a_shard_that_was_noted_is_neither_written_nor_noted_again(tmp_path: Path) -> None:
    first = written(tmp_path, [cut(0, [0] * 6)], rows=4)[1]
    facts = (tmp_path / first[0].uri).stat()
    noted = (tmp_path / ".written.jsonl").read_text()

    again = written(tmp_path, [cut(0, [0] * 6)], rows=4)[1]
    assert again == first
    assert (tmp_path / first[0].uri).stat().st_mtime_ns == facts.st_mtime_ns
    assert (tmp_path / ".written.jsonl").read_text() == noted


def test_the_first_nan_is_placed_by_its_row_in_the_source(tmp_path: Path) -> None:
    bad = cut(10, [1, 0, 1, 1])
    bad.features[3] = np.nan
    output, _, _ = written(tmp_path, [cut(0, [1, 1]), bad], rows=100)
    assert output.statistics["validation"].first_nan == ("a.csv", 13, 0)
    assert output.statistics["train"].first_nan is None


def test_a_shard_is_synced_beside_the_writing_of_the_next() -> None:
    first, second = ShardRecord("first"), ShardRecord("second")
    second_written = Event()

    def write_second() -> ShardRecord:
        second_written.set()
        return second

    def sync(shard: ShardRecord) -> ShardRecord:
        assert second_written.wait(timeout=60)
        return shard

    with WriteQueue() as writes:
        synced = [writes.submit(lambda: first, sync), writes.submit(write_second, sync)]
        assert [shard.result() for shard in synced] == [first, second]


def test_what_could_not_be_written_ends_the_run_at_the_next_shard() -> None:
    def refuse() -> ShardRecord:
        raise RecordError("the disk is full")

    with WriteQueue() as writes:
        writes.submit(refuse, lambda shard: shard)
        with pytest.raises(RecordError, match="full"):
            writes.submit(refuse, lambda shard: shard)
