from __future__ import annotations

from typing import Any

import torch
from nexa_data.loaders.torch_loader import build_loader

STEPS = [{"gaussian_noise": {"std": 0.1}}, {"feature_dropout": {"p": 0.2}}, "label_noise"]


def config(base: dict[str, Any], *steps: Any, **data: Any) -> dict[str, Any]:
    preprocessing = base["data"]["preprocessing"] | {"num_classes": 3}
    return base | {
        "data": base["data"]
        | {"batch": {"tail": "keep"}, "augmentations": [*steps], "preprocessing": preprocessing}
        | data
    }


def records(*loaders: Any) -> list[tuple[Any, ...]]:
    return sorted(
        (*row, label)
        for loader in loaders
        for features, labels in loader
        for row, label in zip(features.tolist(), labels.tolist(), strict=True)
    )


def test_records_are_augmented_alike_under_any_batch_size_world_size_and_thread_count(
    base: dict[str, Any],
) -> None:
    wanted = records(build_loader(config(base, *STEPS), "train"))
    assert records(build_loader(config(base, *STEPS, batch_size=7), "train")) == wanted
    assert records(build_loader(config(base, *STEPS, threads=1), "train")) == wanted
    assert records(build_loader(config(base, *STEPS, shuffle=False), "train")) == wanted
    ranks = [build_loader(config(base, *STEPS, batch_size=5), "train", shard=(rank, 2)) for rank in (0, 1)]
    assert set(records(*ranks)) == set(wanted)


def test_epochs_differ(base: dict[str, Any]) -> None:
    loader = build_loader(config(base, "gaussian_noise"), "train")
    assert records(loader) != records(loader)


def test_a_resumed_loader_augments_as_one_that_never_stopped(base: dict[str, Any]) -> None:
    steps = [*STEPS, "mixup", "label_smoothing"]
    straight = list(build_loader(config(base, *steps), "train"))
    stopped = build_loader(config(base, *steps), "train")
    batches = iter(stopped)
    for _ in range(3):
        next(batches)
    resumed = build_loader(config(base, *steps), "train")
    resumed.load_state_dict(stopped.state_dict())
    for wanted, found in zip(straight[3:], resumed, strict=True):
        assert torch.equal(found[0], wanted[0])
        assert torch.equal(found[1], wanted[1])
        assert found[1].shape == (len(found[0]), 3)
