from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import torch
from nexa_data.config import load_config
from nexa_data.datasets.finish import Finish
from nexa_data.datasets.packed import PackedDataset
from nexa_data.datasets.sources import ShardSource
from nexa_data.errors import ConfigError, RecordError
from nexa_data.loaders.packed import DistributedPackedSampler
from nexa_data.loaders.ranks import Ranks
from nexa_data.loaders.torch_loader import _loader, build_loader

if TYPE_CHECKING:
    from pathlib import Path

    from nexa_data.loaders.torch_loader import ShardLoader


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a catalog of forty records of tokens, text and a label."""
    folder = tmp_path_factory.mktemp("columns")
    table = pa.table(
        {
            "tokens": pa.array([list(range(1, 2 + at % 7)) for at in range(40)], pa.list_(pa.uint16())),
            "text": [str(at) for at in range(40)],
            "label": pa.array(range(40), pa.int64()),
        }
    )
    with pa.OSFile(str(folder / "0.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table, max_chunksize=9)
    (folder / "catalog.jsonl").write_text('{"uri": "0.arrow", "split": "train", "records": 40}\n')
    return folder


def loader(folder: Path, batch: dict[str, Any], ranks: Ranks | None = None, **data: Any) -> ShardLoader:
    config = load_config({"data": {"dataset_name": "s", "batch_size": 8, "batch": batch, **data}})
    return _loader(
        config, [ShardSource(folder, "train")], None, "train", ranks or Ranks(), Finish(), borrow=False
    )


def test_a_loader_serves_text_and_padded_tokens_ahead(folder: Path) -> None:
    batch = {"as": "dict", "columns": ["tokens", "text", "label"], "ragged": {"tokens": {"to": [4, 8]}}}
    batches = list(loader(folder, batch | {"convert": {"tokens": "int64"}}))
    seen = [int(at) for each in batches for at in each["label"]]
    assert sorted(seen) == list(range(40))
    for each in batches:
        assert each["tokens"].shape == each["tokens_mask"].shape == (8, 8)
        assert each["text"] == [str(int(at)) for at in each["label"]]
        assert each["tokens_mask"].sum(dim=1).tolist() == [1 + int(at) % 7 for at in each["label"]]


def test_an_error_of_a_row_reaches_the_loop(folder: Path) -> None:
    made = loader(
        folder, {"as": "dict", "columns": ["tokens"], "ragged": {"tokens": {"to": 3}}}, shuffle=False
    )
    with pytest.raises(RecordError, match="record 3: column 'tokens' has 4 items"):
        list(made)


def test_a_config_packs_rows_for_each_rank(folder: Path) -> None:
    pack = {"pack": {"column": "tokens", "length": 16, "lookahead": 10}}
    ranks = [loader(folder, pack, Ranks(rank, 2), batch_size=2) for rank in range(2)]
    assert all(isinstance(each.dataset, PackedDataset) for each in ranks)
    assert all(isinstance(each.sampler, DistributedPackedSampler) for each in ranks)
    both = [[batch["input_ids"] for batch in each] for each in ranks]
    assert len(both[0]) == len(both[1]) > 0
    whole = [batch["input_ids"] for batch in loader(folder, pack, batch_size=4)]
    assert all(torch.equal(torch.cat(pair), batch) for *pair, batch in zip(*both, whole, strict=True))


@pytest.mark.parametrize("extra", [{"borrow": True}, {"augmentations": ["feature_dropout"]}], ids=str)
def test_packed_rows_are_neither_borrowed_nor_augmented(folder: Path, extra: dict[str, Any]) -> None:
    borrow = bool(extra.pop("borrow", False))
    config = load_config({"data": {"dataset_name": "s", "batch": {"pack": {"length": 16}}} | extra})
    with pytest.raises(ConfigError, match="neither borrowed nor augmented"):
        _loader(config, folder, None, "train", Ranks(), Finish(), borrow=borrow)


def test_packed_rows_balance_no_classes(folder: Path) -> None:
    with pytest.raises(ConfigError, match="balance none"):
        loader(folder, {"pack": {"length": 16}}, order={"balance": "classes"})


def test_a_prepared_dataset_is_converted_as_its_config_says(base: dict[str, Any]) -> None:
    convert = {"features": {"dtype": "bfloat16", "scale": 0.5, "shift": 1}, "label": "float32"}
    config = {**base, "data": {**base["data"], "batch": {"convert": convert}}}
    for (features, labels), (plain, ids) in zip(
        build_loader(config, "train"), build_loader(base, "train"), strict=True
    ):
        assert torch.equal(features, (plain * 0.5 + 1).to(torch.bfloat16))
        assert torch.equal(labels, ids.to(torch.float32))


def test_lists_are_not_augmented(tmp_path: Path) -> None:
    table = pa.table({"features": pa.array([[1.0], [2.0]]), "label": [0, 1]})
    with pa.OSFile(str(tmp_path / "0.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    (tmp_path / "catalog.jsonl").write_text('{"uri": "0.arrow", "split": "train", "records": 2}\n')
    with pytest.raises(ConfigError, match="change tensors, and features are lists"):
        loader(tmp_path, {"as": "dict"}, augmentations=["feature_dropout"])
