from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import torch
from nexa_data.datasets.packed import PackedDataset, PackedRequest
from nexa_data.datasets.shards import EpochOrder
from nexa_data.errors import ConfigError
from nexa_data.loaders.packed import PackedSampler
from nexa_data.loaders.plan import BatchPlan
from nexa_data.loaders.torch_loader import ShardLoader

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = [[1, 2, 3], [4, 5, 6, 7, 8, 9], [10, 11, 12, 13, 14, 15, 16], [17, 18, 19, 20]]


def write(folder: Path, column: pa.Array, name: str = "tokens") -> Path:
    batch = pa.record_batch([column], names=[name])
    with pa.OSFile(str(folder / "0.arrow"), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as file:
        file.write(batch)
    (folder / "catalog.jsonl").write_text(
        f'{{"uri": "0.arrow", "split": "train", "records": {len(column)}}}\n'
    )
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path, pa.array(TOKENS, pa.list_(pa.uint16())))


def batch(folder: Path, **pack: Any) -> Any:
    dataset = PackedDataset(folder, "train", pack={"length": 10, **pack})
    order = EpochOrder(len(dataset), 0, 0, shuffle=False)
    return dataset[PackedRequest(order, 0, dataset.epoch(order).rows)]


def test_documents_stand_end_to_end_with_positions_of_their_own(folder: Path) -> None:
    made = batch(folder)
    assert made["input_ids"].tolist() == [
        [4, 5, 6, 7, 8, 9, 17, 18, 19, 20],
        [1, 2, 3, 10, 11, 12, 13, 14, 15, 16],
    ]
    assert torch.equal(made["labels"], made["input_ids"])
    assert made["position_ids"].tolist() == [[0, 1, 2, 3, 4, 5, 0, 1, 2, 3], [0, 1, 2, 0, 1, 2, 3, 4, 5, 6]]
    assert made["cu_seqlens"].tolist() == [0, 6, 10, 13, 20]
    assert {key: value.dtype for key, value in made.items()} == {
        "input_ids": torch.int64, "labels": torch.int64, "position_ids": torch.int64, "cu_seqlens": torch.int32,
    }  # fmt: skip


def test_padding_is_a_document_of_its_own_and_no_label(folder: Path) -> None:
    made = batch(folder, length=8, pad_id=99, ignore_index=-1, dtype="int32")
    assert made["input_ids"].dtype == torch.int32
    assert made["input_ids"].tolist() == [
        [4, 5, 6, 7, 8, 9, 99, 99],
        [10, 11, 12, 13, 14, 15, 16, 99],
        [1, 2, 3, 17, 18, 19, 20, 99],
    ]
    assert made["labels"][0].tolist() == [4, 5, 6, 7, 8, 9, -1, -1]
    assert made["position_ids"][0].tolist() == [0, 1, 2, 3, 4, 5, 0, 1]
    assert made["cu_seqlens"].tolist() == [0, 6, 8, 15, 16, 19, 23, 24]


def test_a_long_sequence_is_cut_and_a_window_packs_its_own_positions_alone(folder: Path) -> None:
    assert batch(folder, length=4)["input_ids"].tolist() == [
        [1, 2, 3, 0], [4, 5, 6, 7], [8, 9, 0, 0], [10, 11, 12, 13], [14, 15, 16, 0], [17, 18, 19, 20],
    ]  # fmt: skip
    assert batch(folder, length=16, lookahead=1)["input_ids"].shape == (4, 16)


def test_a_record_comes_unpacked_and_a_request_survives_pickling(folder: Path) -> None:
    dataset = PackedDataset(folder, "train", pack={"length": 10})
    assert len(dataset) == 4
    assert dataset[1]["tokens"].tolist() == TOKENS[1]
    request = PackedRequest(EpochOrder(4, 0, 0, shuffle=True), 0, 2)
    again, other = pickle.loads(pickle.dumps((dataset, request)))  # noqa: S301 (our own bytes)
    assert torch.equal(again[other]["input_ids"], dataset[request]["input_ids"])
    assert (list(other), other[-1], other[:1]) == ([0, 1], 1, range(1))


def test_epochs_differ_and_the_loader_counts_its_rows(folder: Path) -> None:
    dataset = PackedDataset(folder, "train", pack={"length": 10, "lookahead": 2})
    rows = dataset.epoch(EpochOrder(4, 0, 0, shuffle=True)).rows
    sampler = PackedSampler(dataset, BatchPlan(rows, 1, 0, 1, "keep"), seed=0, shuffle=True)
    loader = ShardLoader(dataset, sampler)
    epochs = []
    for _ in range(6):
        expected = len(loader)
        epochs.append([batch["input_ids"].tolist() for batch in loader])
        assert len(epochs[-1]) == expected == sampler.plan.records
    assert len({str(each) for each in epochs}) > 1


def test_a_state_counts_windows_and_rows_and_fits_its_packing_alone(folder: Path) -> None:
    def made(length: int) -> ShardLoader:
        dataset = PackedDataset(folder, "train", pack={"length": length, "lookahead": 2})
        rows = dataset.epoch(EpochOrder(4, 0, 0, shuffle=False)).rows
        return ShardLoader(
            dataset, PackedSampler(dataset, BatchPlan(rows, 1, 0, 1, "keep"), seed=0, shuffle=False)
        )

    loader = made(6)
    batches = iter(loader)
    for _ in range(3):
        next(batches)
    state = loader.state_dict()
    assert (state["consumed"], state["window"], state["row"]) == (3, 1, 1)
    with pytest.raises(ConfigError, match="pack is"):
        made(7).load_state_dict(state)
    resumed = made(6)
    resumed.load_state_dict(state)
    rest = [batch["input_ids"].tolist() for batch in resumed]
    assert rest == [batch["input_ids"].tolist() for batch in batches]


@pytest.mark.parametrize(
    ("column", "pack", "message"),
    [
        (pa.array([[1.5]]), {}, "can't become int64"),
        (pa.array([[1 << 40]]), {"dtype": "int32"}, "can't become int32"),
        (pa.array([1]), {}, "only lists are packed"),
        (pa.array(["a"]), {}, "text and bytes come as a list"),
        (pa.array([[1]]), {"pad_id": 1 << 40, "dtype": "int32"}, "can't become int32|is no int32"),
    ],
    ids=["floats", "too wide", "no lists", "text", "pad"],
)
def test_what_can_not_be_packed_is_refused(
    tmp_path: Path, column: pa.Array, pack: dict[str, Any], message: str
) -> None:
    write(tmp_path, column)
    with pytest.raises(ConfigError, match=message):
        batch(tmp_path, **pack)
