from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from nexa_data.errors import ConfigError
from nexa_data.pipeline import DataPipeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_every_record_of_the_source_comes_once_in_its_split(tmp_path: Path, table: pa.Table) -> None:
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=7)
    config = {"data": {"dataset_name": "mine", "source_uri": str(tmp_path / "t.parquet"), "label": "kind"}}
    pipeline = DataPipeline(config)
    for _ in range(2):
        parts = list(pipeline)
        rows = np.concatenate([part.rows for part in parts])
        assert sorted(rows.tolist()) == list(range(60))
        for part in parts:
            assert part.origin == "t.parquet"
            assert part.features[:, 1].tolist() == part.rows.tolist()
            assert part.labels.tolist() == [row % 3 for row in part.rows]
    assert pipeline.layout.classes == ("cat", "dog", "eel")


def test_filters_keep_the_wanted_records_in_the_split_that_they_had(tmp_path: Path, table: pa.Table) -> None:
    pq.write_table(table, tmp_path / "t.parquet")
    data = {"dataset_name": "mine", "source_uri": str(tmp_path / "t.parquet"), "label": "kind"}

    def splits(**more: Any) -> dict[int, str]:
        return {int(row): part.split for part in DataPipeline({"data": data | more}) for row in part.rows}

    everything = splits()
    kept = splits(filters=[{"label": {"allow": ["cat", "eel"]}}])
    assert kept == {row: split for row, split in everything.items() if row % 3 != 1}
    assert splits(filters=[{"label": {"deny": [1]}}]) == kept


def test_filters_want_class_labels() -> None:
    data = {
        "dataset_name": "synthetic",
        "label": {"column": "label", "kind": "float"},
        "filters": [{"label": {"allow": [1]}}],
    }
    with pytest.raises(ConfigError, match="class labels"):
        DataPipeline({"data": data})


@pytest.mark.parametrize("key", ["filters", "checks"])
def test_a_wrong_rule_fails_before_any_row_is_read(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"data\.{key}\[0\]"):
        DataPipeline({"data": {"dataset_name": "synthetic", key: [{"nonsense": 1}]}})


def test_batches_are_all_records_of_the_split_in_order(small_config: dict[str, Any]) -> None:
    pipeline = DataPipeline(small_config)
    for split in ("train", "validation", "test"):
        batches = list(pipeline.batches(split))
        sizes = [len(labels) for _, labels in batches]
        assert all(size == 16 for size in sizes[:-1])
        expected = [part for part in pipeline if part.split == split]
        assert sum(sizes) == sum(len(part.labels) for part in expected)
        np.testing.assert_array_equal(
            torch.cat([features for features, _ in batches]).numpy(),
            np.concatenate([part.features for part in expected]),
        )
        assert batches[0][0].dtype == torch.float32
        assert batches[0][1].dtype == torch.int64


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batches_over_many_parts_lose_nothing(
    tmp_path: Path, table: pa.Table, make_config: Callable[..., dict[str, Any]], size: int
) -> None:
    for at in range(5):
        pq.write_table(table.slice(at * 12, 12), tmp_path / f"{at}.parquet")
    config = make_config(
        source_uri=str(tmp_path / "*.parquet"),
        dataset_name="m",
        label="kind",
        batch_size=size,
        split={"train": 1, "validation": 0, "test": 0},
    )
    batches = list(DataPipeline(config).batches("train"))
    assert [int(row[1]) for features, _ in batches for row in features] == list(range(60))
    assert all(len(labels) == size for _, labels in batches[:-1])


def test_a_batch_is_the_callers_own(small_config: dict[str, Any]) -> None:
    pipeline = DataPipeline(small_config)
    first = next(iter(pipeline.batches("train")))[0]
    kept = first.clone()
    first.zero_()
    assert torch.equal(next(iter(pipeline.batches("train")))[0], kept)


def test_only_train_is_augmented_and_differently_in_each_epoch(small_config: dict[str, Any]) -> None:
    plain = DataPipeline(small_config)
    small_config["data"]["augmentations"] = ["gaussian_noise"]
    noisy = DataPipeline(small_config)

    def features(pipeline: DataPipeline, split: str, epoch: int = 0) -> torch.Tensor:
        return torch.cat([batch for batch, _ in pipeline.batches(split, epoch=epoch)])

    assert torch.equal(features(noisy, "test"), features(plain, "test"))
    assert not torch.equal(features(noisy, "train"), features(plain, "train"))
    assert torch.equal(features(noisy, "train"), features(noisy, "train"))
    assert not torch.equal(features(noisy, "train"), features(noisy, "train", epoch=1))


def test_a_split_that_does_not_exist_is_refused(small_config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="no split 'training'; known: train, validation, test"):
        next(DataPipeline(small_config).batches("training"))


def test_a_registered_name_wins_over_source_uri_and_gets_the_section(tmp_path: Path) -> None:
    config = {"data": {"dataset_name": "synthetic", "source_uri": str(tmp_path / "none.csv")}}
    assert not DataPipeline(config).from_files
    config["data"]["dataset_name"] = "mine"
    assert DataPipeline(config).from_files
