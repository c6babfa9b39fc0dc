from __future__ import annotations

import copy
import hashlib
import multiprocessing
import pickle
import warnings
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from nexa_data.datasets.shards import ShardDataset
from nexa_data.errors import CatalogError, ConfigError, RecordError
from nexa_data.loaders.torch_loader import build_loader, build_loaders
from nexa_data.prepare import prepare_from_config
from torch.utils.data import DataLoader, Subset
from torch.utils.data.distributed import DistributedSampler

if TYPE_CHECKING:
    from pathlib import Path

N, F = 150, 4


def having(base: dict[str, Any], **data: Any) -> dict[str, Any]:
    config = copy.deepcopy(base)
    config["data"] |= data
    if "global_batch_size" in data:
        del config["data"]["batch_size"]
    return config


def ids(batches: Any) -> list[int]:
    """Return which source rows the batches hold, in their order."""
    return [
        int(row) // F
        for batch in batches
        for row in (batch["features"] if isinstance(batch, dict) else batch[0])[:, 0]
    ]


def test_len_is_batches_and_len_of_the_dataset_is_records(base: dict[str, Any]) -> None:
    for split, loader in build_loaders(base, ("train", "validation", "test")).items():
        batches = list(loader)
        records = len(loader.dataset)  # type: ignore[arg-type]
        assert len(loader) == len(batches)
        assert len(set(ids(batches))) == (records // 16 * 16 if split == "train" else records)


def test_batches_have_the_documented_form(base: dict[str, Any]) -> None:
    features, labels = next(iter(build_loader(base, "train")))
    assert (features.shape, features.dtype) == ((16, F), torch.float32)
    assert (labels.shape, labels.dtype) == ((16,), torch.int64)
    assert labels.tolist() == [int(row) // F % 3 for row in features[:, 0]]
    assert torch.equal(features - features[:, :1], torch.arange(4.0).expand(16, 4))


def test_epochs_differ_when_shuffled_and_hold_the_same_records(base: dict[str, Any]) -> None:
    loader = build_loader(having(base, batch={"tail": "keep"}), "train")
    epochs = [ids(loader) for _ in range(3)]
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert len({tuple(sorted(epoch)) for epoch in epochs}) == 1
    assert sorted(epochs[0]) != epochs[0]


def test_without_shuffle_the_order_is_that_of_the_source(base: dict[str, Any]) -> None:
    for data in ({"shuffle": False}, {"order": {"mode": "none"}}):
        loader = build_loader(having(base, batch={"tail": "keep"}, **data), "train")
        first, second = ids(loader), ids(loader)
        assert first == second == sorted(first)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_other_splits_are_never_shuffled_and_never_cut(base: dict[str, Any], split: str) -> None:
    loader = build_loader(base, split)
    assert ids(loader) == ids(loader) == sorted(ids(loader))
    assert len(ids(loader)) == len(loader.dataset)  # type: ignore[arg-type]


def test_the_splits_are_disjoint_and_complete(base: dict[str, Any]) -> None:
    keep = having(base, batch={"tail": "keep"})
    found = [ids(loader) for loader in build_loaders(keep, ("train", "validation", "test")).values()]
    assert sorted(chain.from_iterable(found)) == list(range(N + 40))


def test_the_order_is_a_function_of_the_seed(base: dict[str, Any]) -> None:
    def order(seed: int) -> list[int]:
        config = having(base, batch={"tail": "keep"}, split={"train": 1, "validation": 0, "test": 0})
        config["data"]["preprocessing"] |= {"seed": seed}
        return ids(build_loader(config, "train"))

    assert order(0) == order(0) != order(1)
    assert sorted(order(0)) == sorted(order(1))


def test_set_epoch_chooses_and_breaking_off_starts_the_same_again(base: dict[str, Any]) -> None:
    loader = build_loader(base, "train")
    epochs = [ids(loader) for _ in range(3)]
    loader.set_epoch(1)
    assert ids(islice(loader, 3)) == epochs[1][:48]
    assert ids(loader) == epochs[1]
    assert ids(loader) == epochs[2]
    loader.set_epoch(0)
    assert ids(loader) == epochs[0]


def test_train_drops_its_last_batch_unless_it_is_the_only_one(base: dict[str, Any]) -> None:
    records = len(build_loader(base, "train").dataset)  # type: ignore[arg-type]
    assert [len(labels) for _, labels in build_loader(base, "train")] == [16] * (records // 16)
    assert [len(labels) for _, labels in build_loader(having(base, batch_size=1024), "train")] == [records]
    assert [len(labels) for _, labels in build_loader(having(base, batch_size=records), "train")] == [records]


def test_the_tail_is_kept_filled_up_or_refused_as_told(base: dict[str, Any]) -> None:
    records = len(build_loader(base, "train").dataset)  # type: ignore[arg-type]
    assert records % 16
    kept = ids(build_loader(having(base, batch={"tail": "keep"}), "train"))
    assert len(kept) == len(set(kept)) == records
    filled = ids(build_loader(having(base, batch={"tail": "repeat"}), "train"))
    assert len(filled) == -(-records // 16) * 16
    assert filled[:records] == kept
    assert filled[records:] == kept[: len(filled) - records]
    with pytest.raises(ConfigError, match=r"data\.batch\.tail"):
        build_loader(having(base, batch_size=1024, batch={"tail": "drop"}), "train")


def test_a_batch_as_dict_has_the_wanted_columns(base: dict[str, Any]) -> None:
    batch = next(iter(build_loader(having(base, batch={"as": "dict"}), "train")))
    assert {name: tuple(column.shape) for name, column in batch.items()} == {
        "features": (16, F),
        "label": (16,),
    }
    alone = next(iter(build_loader(having(base, batch={"as": "dict", "columns": ["label"]}), "train")))
    assert torch.equal(alone["label"], batch["label"])
    assert set(alone) == {"label"}
    labels, features = next(
        iter(build_loader(having(base, batch={"columns": ["label", "features"]}), "train"))
    )
    assert torch.equal(labels, batch["label"])
    assert torch.equal(features, batch["features"])


@pytest.mark.parametrize("columns", [["labels"], ["features", "nope"]])
def test_a_column_that_is_not_there_is_refused_by_name(base: dict[str, Any], columns: list[str]) -> None:
    with pytest.raises(RecordError, match=columns[-1]):
        build_loader(having(base, batch={"columns": columns}), "train")


def test_augmentations_find_features_and_labels_by_name(base: dict[str, Any]) -> None:
    drop = [{"feature_dropout": {"p": 1.0}}]
    config = having(base, augmentations=drop, batch={"columns": ["label", "features"]})
    labels, features = next(iter(build_loader(config, "train")))
    assert not features.any()
    assert labels.any()
    assert next(iter(build_loader(config, "test")))[1].any()
    with pytest.raises(ConfigError, match=r"data\.augmentations"):
        build_loader(having(base, augmentations=drop, batch={"columns": ["features"]}), "train")


def test_augmented_epochs_can_be_repeated_and_differ_from_each_other(base: dict[str, Any]) -> None:
    def sums(epoch: int) -> list[float]:
        loader = build_loader(having(base, augmentations=["gaussian_noise"]), "train")
        loader.set_epoch(epoch)
        return [float(features.sum()) for features, _ in loader]

    assert sums(0) == sums(0) != sums(1)


@pytest.mark.parametrize("where", [0, 1, 4, 8])
def test_resuming_continues_at_the_next_record_with_every_later_epoch(
    base: dict[str, Any], where: int
) -> None:
    straight = build_loader(base, "train")
    expected = ids(straight) + ids(straight)
    loader = build_loader(base, "train")
    before = ids(islice(loader, where))
    state = pickle.loads(pickle.dumps(loader.state_dict()))  # noqa: S301 (our own)
    resumed = build_loader(base, "train")
    resumed.load_state_dict(state)
    assert len(resumed) == len(straight)
    assert before + ids(resumed) + ids(resumed) == expected


def test_the_state_after_an_epoch_starts_the_next(base: dict[str, Any]) -> None:
    straight = build_loader(base, "train")
    ids(straight)
    state = straight.state_dict()
    resumed = build_loader(base, "train")
    resumed.load_state_dict(state)
    assert ids(resumed) == ids(straight)


def test_a_state_is_small_and_the_same_on_every_rank(base: dict[str, Any]) -> None:
    states = []
    for rank in range(2):
        loader = build_loader(base, "train", rank=rank, world_size=2)
        list(islice(loader, 2))
        states.append(loader.state_dict())
    assert states[0] == states[1]
    assert len(pickle.dumps(states[0])) < 1000
    assert states[0]["consumed"] == 64


def test_resuming_under_another_world_size_and_batch_size_is_exact_in_records(base: dict[str, Any]) -> None:
    config = having(base, batch={"tail": "keep"})
    everything = ids(build_loader(config, "train"))
    two = [build_loader(config, "train", rank=rank, world_size=2) for rank in range(2)]
    seen = [ids(islice(loader, 2)) for loader in two]
    resumed = []
    for rank in range(3):
        loader = build_loader(having(config, batch_size=7), "train", rank=rank, world_size=3)
        loader.load_state_dict(two[0].state_dict())
        resumed += ids(loader)
    assert sorted(chain.from_iterable(seen)) == sorted(everything[:64])
    assert set(resumed) == set(everything[64:])
    assert len(resumed) - len(set(resumed)) < 3


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"order_version": 99},
        {"fingerprint": "sha256:0"},
        {"records": 7},
        {"seed": 5},
        {"shuffle": False},
    ],
)
def test_the_state_of_another_dataset_or_order_is_refused_with_what_differs(
    base: dict[str, Any], change: dict[str, Any]
) -> None:
    loader = build_loader(base, "train")
    with pytest.raises(ConfigError, match=next(iter(change))):
        loader.load_state_dict(loader.state_dict() | change)


@pytest.mark.parametrize(
    "change",
    [
        {"consumed": -1},
        {"consumed": 10**6},
        {"consumed": "3"},
        {"consumed": None},
        {"epoch": None},
        {"epoch": -1},
    ],
)
def test_a_damaged_state_is_refused(base: dict[str, Any], change: dict[str, Any]) -> None:
    loader = build_loader(base, "train")
    with pytest.raises(ConfigError, match="damaged"):
        loader.load_state_dict(loader.state_dict() | change)
    with pytest.raises(ConfigError):
        loader.load_state_dict({})


@pytest.mark.parametrize("world", [2, 3, 5])
@pytest.mark.parametrize("tail", ["drop", "keep"])
def test_ranks_are_disjoint_and_complete(base: dict[str, Any], world: int, tail: str) -> None:
    config = having(base, batch={"tail": tail}, batch_size=8)
    loaders = [build_loader(config, "train", rank=rank, world_size=world) for rank in range(world)]
    assert len({len(loader) for loader in loaders}) == 1
    assert all(isinstance(loader.sampler, DistributedSampler) for loader in loaders)
    found = [ids(loader) for loader in loaders]
    records = len(loaders[0].dataset)  # type: ignore[arg-type]
    together = list(chain.from_iterable(found))
    if tail == "drop":
        assert len(together) == len(set(together)) == records // (8 * world) * 8 * world
    else:
        assert len(set(together)) == records


def test_with_a_global_batch_the_batches_are_the_same_for_every_world_size(base: dict[str, Any]) -> None:
    config = having(base, global_batch_size=24)
    alone = [ids([batch]) for batch in build_loader(config, "train")]
    for world in (2, 3):
        parts = [build_loader(config, "train", rank=rank, world_size=world) for rank in range(world)]
        assert [ids(batches) for batches in zip(*parts, strict=True)] == alone


def test_every_process_sees_all_batches_where_nobody_is_to_cut(
    base: dict[str, Any], monkeypatch: Any
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    cut = build_loader(base, "train")
    assert len(cut) == len(build_loader(base, "train", shard="none")) // 2
    assert ids(build_loader(base, "train", shard=(1, 2))) == ids(cut)


def test_the_loader_survives_being_rebuilt_from_its_parts(base: dict[str, Any]) -> None:
    loader, other = build_loader(base, "train"), build_loader(base, "train")
    rebuilt: DataLoader[Any] = DataLoader(
        other.dataset, sampler=other.sampler, batch_size=None, collate_fn=other.collate_fn
    )
    assert len(rebuilt) == len(loader)
    for _ in range(2):
        assert ids(rebuilt) == ids(loader)


def test_a_sampler_of_somebody_else_may_draw_from_the_dataset(base: dict[str, Any]) -> None:
    dataset = build_loader(base, "train").dataset
    plain: DataLoader[Any] = DataLoader(dataset, batch_size=10)
    assert ids(plain) == list(dict.fromkeys(ids(plain)))
    assert len(ids(plain)) == len(dataset)  # type: ignore[arg-type]
    assert len(Subset(dataset, [3, 1])) == 2
    assert ids(DataLoader(Subset(dataset, [3, 1]), batch_size=2)) == [
        ids([dataset[[3]]])[0],
        ids([dataset[[1]]])[0],
    ]


def test_a_replaced_sampler_has_no_state(base: dict[str, Any]) -> None:
    from nexa_data.loaders.torch_loader import ShardLoader

    dataset = build_loader(base, "train").dataset
    loader = ShardLoader(dataset, torch.utils.data.SequentialSampler(dataset))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="sampler was replaced by a SequentialSampler"):
        loader.state_dict()


def test_records_are_found_by_number_list_and_from_the_end(base: dict[str, Any]) -> None:
    dataset: Any = build_loader(base, "train").dataset
    n = len(dataset)
    features, label = dataset[3]
    assert (features.shape, label.shape) == ((F,), ())
    many = dataset[[3, 0, -1, 3]]
    assert torch.equal(many[0][0], features)
    assert torch.equal(many[0][2], dataset[n - 1][0])
    assert torch.equal(dataset[-n][0], dataset[0][0])
    assert torch.equal(dataset[np.int64(3)][0], features)
    assert [tuple(part.shape) for part in dataset[[]]] == [(0, F), (0,)]
    for index in (n, -n - 1, [0, n]):
        with pytest.raises(IndexError, match=f"has {n}"):
            dataset[index]


def test_a_request_is_a_sequence_of_the_records_of_its_batch(base: dict[str, Any]) -> None:
    loader: Any = build_loader(base, "train")
    for request, batch in zip(loader.sampler, build_loader(base, "train"), strict=True):
        assert len(request) == 16
        assert list(request) == [request[at] for at in range(16)] == request[:]
        assert request[-1] == request[15]
        assert torch.equal(loader.dataset[list(request)][0], batch[0])
        with pytest.raises(IndexError):
            request[16]


def test_a_pickled_dataset_gives_the_same_records(base: dict[str, Any]) -> None:
    loader: Any = build_loader(base, "train")
    twin = pickle.loads(pickle.dumps(loader.dataset))  # noqa: S301 (our own)
    requests = pickle.loads(pickle.dumps(list(loader.sampler)))  # noqa: S301 (our own)
    assert ids(twin[request] for request in requests) == ids(build_loader(base, "train"))


def test_a_pickled_dataset_augments_as_before(base: dict[str, Any]) -> None:
    config = having(base, augmentations=[{"gaussian_noise": {"std": 2.0}}])
    loader: Any = build_loader(config, "train")
    twin = pickle.loads(pickle.dumps(loader.dataset))  # noqa: S301 (our own)
    requests = pickle.loads(pickle.dumps(list(loader.sampler)))  # noqa: S301 (our own)
    again = build_loader(config, "train")
    for request, (features, _) in zip(requests, again, strict=True):
        assert torch.equal(twin[request][0], features)


def _in_another_process(dataset: Any, requests: Any, answer: Any) -> None:
    digest = hashlib.sha256()
    for request in requests:
        for tensor in dataset[request]:
            digest.update(tensor.numpy().tobytes())
    answer.put(digest.hexdigest())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_another_process_assembles_the_same_batches(base: dict[str, Any], method: str) -> None:
    loader: Any = build_loader(base, "train")
    expected = hashlib.sha256()
    for batch in loader:  # The native threads run before the fork.
        for tensor in batch:
            expected.update(tensor.numpy().tobytes())
    context: Any = multiprocessing.get_context(method)
    answer = context.SimpleQueue()
    loader.set_epoch(0)
    child = context.Process(target=_in_another_process, args=(loader.dataset, list(loader.sampler), answer))
    child.start()
    found = answer.get()
    child.join(60)
    assert (child.exitcode, found) == (0, expected.hexdigest())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_worker_processes_of_a_plain_dataloader_are_served(base: dict[str, Any]) -> None:
    loader: Any = build_loader(base, "train")
    expected = ids(loader)
    loader.set_epoch(0)
    workers: DataLoader[Any] = DataLoader(
        loader.dataset,
        sampler=loader.sampler,
        batch_size=None,
        collate_fn=loader.collate_fn,
        num_workers=1,
        multiprocessing_context="fork",
    )
    assert ids(workers) == expected


def test_asking_to_pin_without_a_device_warns_nobody(base: dict[str, Any]) -> None:
    if getattr(torch, "accelerator", torch.cuda).is_available():
        pytest.skip("this machine has a device to pin for")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loader = build_loader(having(base, pin_memory=True), "train")
        assert not next(iter(loader))[0].is_pinned()
    assert loader.pin_memory is False


def test_a_split_that_is_unknown_or_has_no_share_is_refused(base: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="no split 'dev'; known: train"):
        build_loader(base, "dev")
    with pytest.raises(ConfigError, match=r"data\.split\.test is 0"):
        build_loader(having(base, split={"train": 0.9, "validation": 0.1, "test": 0}), "test")


def test_a_bare_catalog_of_arrow_shards_is_a_dataset(base: dict[str, Any], tmp_path: Path) -> None:
    source = prepare_from_config(base).path
    for shard in (source / "shards").iterdir():
        (tmp_path / shard.name).write_bytes(shard.read_bytes())
    names = sorted(path.name for path in tmp_path.glob("test-*.arrow"))
    (tmp_path / "catalog.jsonl").write_text("".join(f'{{"uri": "{name}"}}\n' for name in names))
    dataset = ShardDataset(tmp_path, "anything")
    assert ids([dataset[list(range(len(dataset)))]]) == ids(build_loader(base, "test"))
    (tmp_path / "meta.json").write_text("somebody else's")
    assert ShardDataset(tmp_path, "anything").fingerprint == dataset.fingerprint != ""
    with pytest.raises(CatalogError, match="no split 'nope'"):
        ShardDataset(source, "nope")


def test_a_shard_that_was_cut_short_is_a_typed_error(base: dict[str, Any], tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(prepare_from_config(base).path, folder)
    shard = sorted((folder / "shards").glob("train-*"))[1]
    shard.write_bytes(shard.read_bytes()[:-100])
    dataset = ShardDataset(folder, "train")
    with pytest.raises(RecordError, match=shard.name):
        dataset[list(range(len(dataset)))]
