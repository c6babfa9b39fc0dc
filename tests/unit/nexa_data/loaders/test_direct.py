from __future__ import annotations

import copy
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from nexa_data.datasets.orders import EpochOrder
from nexa_data.datasets.shards import ShardDataset
from nexa_data.errors import NexaError
from nexa_data.loaders.torch_loader import build_loader

if TYPE_CHECKING:
    from pathlib import Path


def blocks(base: dict[str, Any], **order: Any) -> dict[str, Any]:
    """Return the config with an order of small blocks, several windows an epoch."""
    config = copy.deepcopy(base)
    config["data"] |= {"order": {"mode": "block", "block": 7, "window": 4} | order, "batch_size": 10}
    return config


def seen(loader: Any) -> list[Any]:
    return [(features.tolist(), labels.tolist()) for features, labels in loader]


def test_two_epochs_are_those_of_the_mapping(base: dict[str, Any]) -> None:
    mapped = build_loader(blocks(base, direct=False), "train")
    direct = build_loader(blocks(base, direct=True), "train")
    for _ in range(2):
        assert seen(direct) == seen(mapped)
    found = direct.stats()
    assert found.source == "direct"
    assert found.direct_bytes > 0
    assert found.window_bytes > 0
    found = mapped.stats()
    assert (found.source, found.direct_bytes, found.window_bytes) == ("mapped", 0, 0)


@pytest.mark.parametrize(("first", "then"), [(True, False), (False, True), (True, True)], ids=str)
def test_a_state_from_the_middle_of_a_window_knows_nothing_of_the_way(
    base: dict[str, Any], *, first: bool, then: bool
) -> None:
    loader = build_loader(blocks(base, direct=first), "train")
    drawn = seen(islice(loader, 4))
    rest = build_loader(blocks(base, direct=then), "train")
    rest.load_state_dict(loader.state_dict())
    assert drawn + seen(rest) == seen(build_loader(blocks(base, direct=False), "train"))


@pytest.mark.parametrize(
    ("order", "ranks", "direct"),
    [
        ({}, {}, None),
        ({"direct": True}, {}, True),
        ({"direct": False}, {}, False),
        ({}, {"rank": 1, "world_size": 2}, False),
        ({"direct": True}, {"rank": 1, "world_size": 2}, True),
    ],
    ids=str,
)
def test_auto_leaves_data_that_several_ranks_read_mapped(
    base: dict[str, Any], *, order: dict[str, Any], ranks: dict[str, int], direct: bool | None
) -> None:
    dataset: Any = build_loader(blocks(base, **order), "train", **ranks).dataset
    assert dataset.direct is direct


def test_data_that_fits_into_memory_is_mapped(base: dict[str, Any]) -> None:
    loader = build_loader(blocks(base), "train")
    seen(loader)
    assert loader.stats().source == "mapped"
    assert loader.stats().source_reason is None


def test_other_splits_and_listed_records_are_mapped(base: dict[str, Any]) -> None:
    loader = build_loader(blocks(base, direct=True), "test")
    seen(loader)
    assert loader.stats().source == "mapped"
    train: Any = build_loader(blocks(base, direct=True), "train").dataset
    assert len(train[[3, 1, 2]][1]) == 3
    assert train.stats().source == "mapped"


def test_a_filtered_dataset_is_mapped_and_says_why(base: dict[str, Any]) -> None:
    folder: Any = build_loader(base, "train").dataset.folder
    order = EpochOrder(len(ShardDataset(folder, allow_labels=[1])), 0, 0, shuffle=True, block=7, window=4)
    found = []
    for direct in (False, True):
        dataset = ShardDataset(folder, allow_labels=[1], direct=direct)
        found.append(dataset[dataset.submit(order, dataset.native(order), 0, 20)][0].tolist())
    assert found[0] == found[1]
    assert dataset.stats().source == "mapped"
    assert "filter" in str(dataset.stats().source_reason)


def test_lists_and_text_come_as_mapped_ones_do(tmp_path: Path) -> None:
    records = 500
    table = pa.table(
        {
            "tokens": pa.array([[n, n + 1][: n % 3] for n in range(records)], pa.list_(pa.int32())),
            "text": pa.array([f"ä{n}" * (n % 4) for n in range(records)], pa.string()),
            "label": pa.array(range(records), pa.int64()),
        }
    )
    with pa.OSFile(str(tmp_path / "0.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table, max_chunksize=90)
    (tmp_path / "catalog.jsonl").write_text(f'{{"uri": "0.arrow", "split": "train", "records": {records}}}\n')
    order = EpochOrder(records, 3, 0, shuffle=True, block=20, window=3)
    found = []
    for direct in (False, True):
        dataset = ShardDataset(tmp_path, columns=("tokens", "text", "label"), as_dict=True, direct=direct)
        for start in range(0, records, 30):
            batch = dataset[dataset.submit(order, dataset.native(order), start, 30)]
            tokens = batch["tokens"]
            found.append(
                (tokens.values.tolist(), tokens.offsets.tolist(), batch["text"], batch["label"].tolist())
            )
    half = len(found) // 2
    assert found[:half] == found[half:]
    assert dataset.stats().source == "direct"


def test_a_shard_that_was_cut_short_is_named(base: dict[str, Any], tmp_path: Path) -> None:
    config = blocks(base, direct=True)
    config["experiment"]["output_dir"] = str(tmp_path)
    loader = build_loader(config, "train")
    shards = sorted(loader.dataset.folder.glob("shards/train-*.arrow"))
    for shard in shards:
        shard.chmod(0o644)
        with shard.open("r+b") as file:
            file.truncate(shard.stat().st_size - 100)
    with pytest.raises(NexaError, match=r"train-\d+\.arrow: cut short.*copy it again"):
        next(iter(loader))
