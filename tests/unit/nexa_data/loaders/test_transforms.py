from __future__ import annotations

import copy
import logging
import pickle
from typing import Any

import pytest
import torch
from nexa_data.datasets.shards import ShardDataset
from nexa_data.errors import ConfigError
from nexa_data.loaders.torch_loader import build_loader
from nexa_data.prepare import build_dataloaders, prepare_from_config
from torch.utils.data import DataLoader


def having(base: dict[str, Any], **data: Any) -> dict[str, Any]:
    config = copy.deepcopy(base)
    config["data"] |= data
    return config


def halved(batch: Any) -> Any:
    features, labels = batch
    return features / 2, labels


def named(record: Any) -> Any:
    features, label = record
    return {"first": features[0], "label": label}


def counted(records: list[Any]) -> Any:
    return len(records), torch.stack([features for features, _ in records])


def batches_of(loader: Any) -> list[Any]:
    loader.set_epoch(0)
    return list(loader)


def test_a_transform_gets_the_whole_batch_and_is_said_nowhere(
    base: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    plain, loader = build_loader(base, "train"), build_loader(base, "train", transform=halved)
    assert not caplog.records
    for (features, labels), (found, kept) in zip(plain, loader, strict=True):
        assert torch.equal(found, features / 2)
        assert torch.equal(kept, labels)


def test_a_sample_transform_is_collated_as_torch_does_it_and_named_once(
    base: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        loaders = build_dataloaders(base, ["train", "test"], sample_transform=named)
    assert sum("slow path" in record.message for record in caplog.records) == 1
    for (features, labels), batch in zip(build_loader(base, "train"), loaders["train"], strict=True):
        assert torch.equal(batch["first"], features[:, 0])
        assert torch.equal(batch["label"], labels)
    assert set(loaders["test"].dataset[0]) == {"first", "label"}
    assert set(loaders["test"].dataset[[0, 1]]) == {"first", "label"}


def test_a_collate_fn_gets_the_records(base: dict[str, Any]) -> None:
    for count, features in build_loader(base, "train", collate_fn=counted):
        assert (count, features.shape) == (16, (16, 4))


def test_they_survive_being_taken_apart_and_pickled(base: dict[str, Any]) -> None:
    loader: Any = build_loader(base, "train", transform=halved)
    expected = batches_of(loader)
    loader.set_epoch(0)
    twin = pickle.loads(pickle.dumps(loader.dataset))  # noqa: S301 (our own)
    rebuilt: Any = DataLoader(twin, sampler=loader.sampler, batch_size=None, collate_fn=loader.collate_fn)
    for (features, _), (found, _) in zip(expected, rebuilt, strict=True):
        assert torch.equal(features, found)


def test_a_loader_rebuilt_around_a_batch_sampler_draws_whole_batches(base: dict[str, Any]) -> None:
    loader: Any = build_loader(base, "train", sample_transform=named)
    expected = batches_of(loader)
    loader.set_epoch(0)
    before = loader.stats().batches
    rebuilt: Any = DataLoader(loader.dataset, batch_sampler=loader.sampler, collate_fn=loader.collate_fn)
    for batch, found in zip(expected, rebuilt, strict=True):
        assert torch.equal(batch["first"], found["first"])
    assert loader.stats().batches == before + len(expected)


def test_somebody_elses_batches_are_drawn_at_once_in_either_way(base: dict[str, Any]) -> None:
    loader: Any = build_loader(base, "train", transform=halved)
    whole = loader.dataset[list(range(10))]
    before = loader.stats().batches
    ours = next(iter(DataLoader(loader.dataset, batch_size=10, collate_fn=loader.collate_fn)))
    assert torch.equal(ours[0], whole[0])
    theirs = next(iter(DataLoader(loader.dataset, batch_size=10)))
    assert torch.equal(theirs[0] / 2, whole[0])
    assert loader.stats().batches == before + 3


def test_an_exception_of_a_transform_is_the_users_own_and_the_loader_goes_on(base: dict[str, Any]) -> None:
    seen = []

    def failing(batch: Any) -> Any:
        seen.append(batch)
        if len(seen) == 3:
            raise ArithmeticError("no")
        return batch

    loader = build_loader(base, "train", transform=failing)
    with pytest.raises(ArithmeticError, match="no"):
        list(loader)
    assert len(list(loader)) == len(loader)


def test_a_padded_tail_fills_the_last_batch_and_marks_what_counts(base: dict[str, Any]) -> None:
    plain = build_loader(having(base, batch={"tail": "keep"}), "train")
    records = len(plain.dataset)  # type: ignore[arg-type]
    padded = list(build_loader(having(base, batch={"tail": "pad"}), "train"))
    assert [len(features) for features, _, _ in padded] == [16] * -(-records // 16)
    kept = torch.cat([features[mask] for features, _, mask in padded])
    assert torch.equal(kept, torch.cat([features for features, _ in plain]))
    by_name = next(iter(build_loader(having(base, batch={"tail": "pad", "as": "dict"}), "test")))
    assert set(by_name) == {"features", "label", "mask"}


def test_a_mask_is_the_callers_own(base: dict[str, Any]) -> None:
    loader = build_loader(having(base, batch={"tail": "pad"}), "train")
    for _, _, mask in loader:
        mask.fill_(False)
    assert all(mask.any() for _, _, mask in loader)


def test_a_column_named_mask_and_a_padded_tail_exclude_each_other(base: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="column named mask"):
        build_loader(having(base, batch={"tail": "pad", "columns": ["features", "mask"]}), "train")


def test_a_batch_of_more_than_features_and_label_is_a_mapping_unless_told(base: dict[str, Any]) -> None:
    from nexa_data.config import load_config

    def as_dict(**batch: Any) -> bool:
        return load_config(having(base, batch=batch)).data.batch.as_dict

    assert as_dict(columns=["features", "label", "weight"])
    assert not as_dict(columns=["features", "label", "weight"], **{"as": "tuple"})
    assert not as_dict(columns=["label"])
    assert not as_dict()
    assert as_dict(**{"as": "dict"})


def test_a_dataset_without_anything_to_finish_has_no_step(base: dict[str, Any]) -> None:
    loader: Any = build_loader(base, "train")
    assert loader.dataset.finish is None
    assert ShardDataset(prepare_from_config(base).path, "train").finish is None
