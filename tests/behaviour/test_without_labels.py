"""Data without a label, such as embeddings, goes the whole road: `label: null` says that there is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from nexa_data.cli import main
from nexa_data.config import load_config
from nexa_data.errors import ConfigError, RecordError
from nexa_data.inspection import inspect_target
from nexa_data.pipeline import DataPipeline
from nexa_data.prepare import build_dataloaders, prepare_from_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

N = 300


@pytest.fixture
def make(tmp_path: Path, make_config: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Return a function to a config of embeddings and their texts, without a label."""
    vectors = np.arange(N * 4, dtype=np.float32).reshape(N, 4)
    table = {
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 4),
        "text": [f"row {at}" for at in range(N)],
    }
    pq.write_table(pa.table(table), tmp_path / "e.parquet", row_group_size=90)
    keys = {"dataset_name": "e", "source_uri": str(tmp_path / "e.parquet"), "label": None, "batch_size": 16}
    return lambda **data: make_config(**keys, **data)


def test_shards_have_no_label_and_the_metadata_says_so(make: Callable[..., dict[str, Any]]) -> None:
    made = prepare_from_config(make(preprocessing={"columns": ["text"]}, checks=[{"max_nan_share": 0}]))
    described = json.loads((made.path / "dataset_metadata.json").read_bytes())
    summary = json.loads((made.path / "dataset_summary.json").read_bytes())
    assert (described["label"], summary["records"]) == (None, N)
    seen = inspect_target(made.uri)
    assert [column["name"] for column in seen.schema] == ["features", "text"]
    assert main(["inspect", made.uri]) == main(["validate", made.uri, "--full"]) == 0


def test_batches_are_of_features_alone(make: Callable[..., dict[str, Any]]) -> None:
    seen = []
    for splits in (["train", "validation", "test"],):
        for loader in build_dataloaders(make(), splits).values():
            for batch in loader:
                assert (type(batch), len(batch)) == (tuple, 1)
                seen += batch[0][:, 0].tolist()
            state = loader.state_dict()
            loader.load_state_dict(state)
    # Train drops a last batch that isn't full.
    assert len(set(seen)) == len(seen) > N - 16
    loader = build_dataloaders(make(batch={"as": "dict", "tail": "pad"}), ["train"])["train"]
    assert {tuple(batch) for batch in loader} == {("features", "mask")}


def test_kept_columns_come_beside_the_features(make: Callable[..., dict[str, Any]]) -> None:
    config = make(preprocessing={"columns": ["text"]}, batch={"columns": ["features", "text"]})
    batch = next(iter(build_dataloaders(config, ["train"])["train"]))
    assert set(batch) == {"features", "text"}
    assert [f"row {int(first) // 4}" for first in batch["features"][:, 0]] == list(batch["text"])


def test_a_first_look_yields_features_alone(make: Callable[..., dict[str, Any]]) -> None:
    batches = list(DataPipeline(make(split={"train": 1, "validation": 0, "test": 0})).batches("train"))
    assert {len(batch) for batch in batches} == {1}
    assert torch.cat([batch[0] for batch in batches]).shape == (N, 4)


@pytest.mark.parametrize(
    "data",
    [
        {"split": {"stratify": True}},
        {"order": {"balance": "classes"}},
        {"augmentations": ["gaussian_noise"]},
        {"preprocessing": {"label_map": {"a": 0}}},
        {"batch": {"columns": ["features", "label"]}},
        {"filters": [{"label": {"allow": [1]}}]},
        {"checks": [{"min_class_count": 1}]},
    ],
)
def test_what_wants_a_label_is_refused_by_name(
    make: Callable[..., dict[str, Any]], data: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="label") as refused:
        DataPipeline(make(**data))
    assert next(iter(data)) in str(refused.value)


def test_a_label_that_is_only_not_there_stays_an_error_that_names_the_way(
    make: Callable[..., dict[str, Any]],
) -> None:
    config = make()
    del config["data"]["label"]
    with pytest.raises(RecordError, match=r"no column 'label'.*to null, if the data has no label"):
        prepare_from_config(config)


@pytest.mark.parametrize("keys", [{}, {"label": None}, {"label": "y"}, {"preprocessing": {"label": "y"}}])
def test_a_config_that_is_shown_or_changed_keeps_its_label(keys: dict[str, Any]) -> None:
    config = load_config({"data": {"dataset_name": "x", **keys}})
    shown = config.model_dump(mode="json", by_alias=True)["data"]["label"]
    again = load_config({"data": {"dataset_name": "x", "label": shown}})
    overridden = load_config(config, overrides=["data.batch_size=7"])
    assert again.data.label_config == overridden.data.label_config == config.data.label_config
    assert (config.data.label_config is None) == (keys == {"label": None})
    assert again.data.content() == config.data.content()
