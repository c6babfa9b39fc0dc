from __future__ import annotations

import copy
import dataclasses
import gc
import json
import time
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import pytest
import torch
from nexa_data.errors import ConfigError
from nexa_data.loaders.torch_loader import ShardLoader, build_loader

RECORD_BYTES = 4 * 4 + 8


def having(base: dict[str, Any], **data: Any) -> dict[str, Any]:
    config = copy.deepcopy(base)
    config["data"] |= data
    return config


def settled(loader: Any) -> Any:
    """Return the stats once no thread works for the loader any more."""
    until = time.monotonic() + 60
    while (loader.stats().live_buffers or loader.stats().ahead) and time.monotonic() < until:
        gc.collect()
    return loader.stats()


def test_what_was_handed_over_is_counted(base: dict[str, Any]) -> None:
    loader = build_loader(base, "train")
    assert loader.stats().records_per_s == 0.0
    batches = sum(1 for _ in loader) + sum(1 for _ in loader)
    found = settled(loader)
    assert (found.batches, found.records, found.bytes) == (batches, batches * 16, batches * 16 * RECORD_BYTES)
    assert (found.assembled, found.ahead, found.live_buffers) == (batches, 0, 0)
    assert 0 < found.waited_s <= found.seconds
    assert found.assembling_s > 0
    assert found.records_per_s == found.records / found.seconds


def test_stats_are_frozen_and_plain_for_json(base: dict[str, Any]) -> None:
    loader = build_loader(base, "train")
    next(iter(loader))
    found = loader.stats()
    assert json.loads(json.dumps(found.as_dict()))["batches"] == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.batches = 0  # type: ignore[misc]


def test_records_taken_one_by_one_are_counted_as_batches_of_one(base: dict[str, Any]) -> None:
    dataset: Any = build_loader(base, "train").dataset
    for at in range(5):
        dataset[at]
    assert (dataset.stats().batches, dataset.stats().records) == (5, 5)


def test_batches_that_nobody_takes_do_not_pile_up(base: dict[str, Any]) -> None:
    loader: Any = build_loader(having(base, batch_size=1), "train")
    expected = [batch[0] for batch in loader]
    loader.set_epoch(0)
    requests = list(loader.sampler)
    assert len(requests) == len(expected)
    assert 0 < loader.stats().ahead <= 16
    # What was listed is still there for the asking.
    assert all(
        torch.equal(loader.dataset[each][0], kept) for each, kept in zip(requests, expected, strict=True)
    )
    assert loader.stats().ahead == 0


def test_a_dropped_iterator_gives_its_batches_up(base: dict[str, Any]) -> None:
    loader: Any = build_loader(having(base, batch_size=2), "train")
    drawing = iter(loader)
    next(drawing)
    assert 0 < loader.stats().ahead <= 16
    del drawing
    assert settled(loader).ahead == 0
    assert loader.stats().live_buffers == 0


def test_only_the_own_batches_of_a_lane_are_assembled_ahead(base: dict[str, Any]) -> None:
    from nexa_data.loaders.sampler import ShardSampler

    loader: Any = build_loader(having(base, batch_size=2), "train")
    sampler = ShardSampler(loader.dataset, loader.sampler.plan, seed=0, shuffle=True, lane=(1, 3))
    requests = list(islice(sampler, 12))
    assert [request.ticket is not None for request in requests] == [False, True, False] * 4


def test_who_would_cut_a_cut_loader_again_is_stopped(base: dict[str, Any]) -> None:
    cut: Any = build_loader(base, "train", rank=0, world_size=2)
    with pytest.raises(ConfigError, match=r'rank 0 of 2 already.*shard="none"'):
        _ = cut.sampler.batch_size
    assert build_loader(base, "train").sampler.batch_size == 16  # type: ignore[attr-defined]


def test_a_replaced_dataset_has_no_counters(base: dict[str, Any]) -> None:
    loader: Any = build_loader(base, "train")
    other = ShardLoader(torch.utils.data.TensorDataset(torch.zeros(3)), loader.sampler)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="replaced by a TensorDataset"):
        other.stats()


@runtime_checkable
class Stateful(Protocol):
    """The protocol of torchdata, as it is published: two methods."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...


def test_a_loader_and_its_sampler_are_stateful_as_torchdata_means_it(base: dict[str, Any]) -> None:
    loader = build_loader(base, "train")
    assert isinstance(loader, Stateful)
    assert isinstance(loader.sampler, Stateful)
    assert len(json.dumps(loader.state_dict())) <= 1024


def firsts(loader: Any) -> list[float]:
    return [features[0, 0].item() for features, _ in loader]


def test_an_epoch_asked_for_through_the_dataset_is_yielded(base: dict[str, Any]) -> None:
    loader: Any = build_loader(base, "train")
    epochs = [firsts(loader) for _ in range(4)]
    loader = build_loader(base, "train")
    loader.dataset.set_epoch(2)
    # What a fresh wrapper does when it begins.
    loader.dataset.set_epoch(0)
    assert firsts(loader) == epochs[2]
    loader.dataset.set_epoch(3)
    assert firsts(loader) == epochs[3]
    loader.dataset.set_epoch(0)
    assert firsts(loader) == epochs[0]
    assert firsts(loader) == epochs[1]


def test_what_was_chosen_at_the_loader_wins_over_a_wrapper_that_counts_from_0(base: dict[str, Any]) -> None:
    loader: Any = build_loader(base, "train")
    epochs = [firsts(loader) for _ in range(4)]
    loader = build_loader(base, "train")
    loader.set_epoch(2)
    for count, epoch in enumerate(epochs[2:]):
        loader.dataset.set_epoch(count)
        assert firsts(loader) == epoch


def test_choosing_the_epoch_that_is_resumed_goes_on_in_it(base: dict[str, Any]) -> None:
    loader: Any = build_loader(base, "train")
    epochs = [firsts(loader) for _ in range(3)]
    loader.set_epoch(1)
    assert firsts(islice(loader, 2)) == epochs[1][:2]
    resumed: Any = build_loader(base, "train")
    resumed.load_state_dict(loader.state_dict())
    resumed.set_epoch(1)
    assert firsts(resumed) == epochs[1][2:]
    resumed.set_epoch(1)
    assert firsts(resumed) == epochs[1]
    resumed.load_state_dict(loader.state_dict())
    resumed.set_epoch(2)
    assert firsts(resumed) == epochs[2]
