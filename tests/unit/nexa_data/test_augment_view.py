from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from nexa_data import DataPipeline, build_loader, prepare_from_config
from nexa_data.augment import (
    apply_augmentations,
    gaussian_noise,
    label_noise,
    label_smoothing,
    mixup,
    register_augmentation,
    scale,
)
from nexa_data.datasets.synthetic import SyntheticClassificationDataset
from nexa_data.errors import RecordError
from torch.utils.data import DataLoader

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

BUILT_IN: dict[str, Any] = {"noise": gaussian_noise(std=0.3), "scale": scale(), "wrong": label_noise(p=0.3)}


@pytest.fixture
def dataset() -> SyntheticClassificationDataset:
    return SyntheticClassificationDataset(100, 3, 4, seed=0)


class Asked:
    """Remembers the size of each batch it was asked for."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        self.sizes.append(len(features))
        return features + 1, labels


def test_a_function_is_tried_once_and_asked_again_for_what_is_wanted() -> None:
    asked = Asked()
    view = apply_augmentations(SyntheticClassificationDataset(10**9, 3, 4), {"mine": asked})  # type: ignore[dict-item]
    assert len(view) == 10**9
    assert asked.sizes == [32]
    features, _ = view[10**9 - 1]
    assert torch.equal(features, SyntheticClassificationDataset(10**9, 3, 4)[10**9 - 1][0] + 1)
    assert asked.sizes == [32, 1]


def test_a_record_is_the_same_alone_in_a_batch_shuffled_and_materialized(
    dataset: SyntheticClassificationDataset,
) -> None:
    view = apply_augmentations(dataset, BUILT_IN)
    held = view.materialize()
    assert type(held) is SyntheticClassificationDataset
    alone = [view[index] for index in range(100)]
    together = view.__getitems__([*range(99, -1, -1)])[::-1]
    for index, ((one, label), (other, again)) in enumerate(zip(alone, together, strict=True)):
        assert torch.equal(one, other)
        assert torch.equal(one, held.features[index])
        assert label == again == held.labels[index]
    assert not torch.equal(held.features, dataset.features)
    assert not torch.equal(held.labels, dataset.labels)


def test_a_factory_stands_for_what_it_makes_by_default(dataset: SyntheticClassificationDataset) -> None:
    named: Any = {"noise": gaussian_noise, "mix": mixup}
    made: Any = {"noise": gaussian_noise(), "mix": mixup()}
    assert torch.equal(
        apply_augmentations(dataset, named).features, apply_augmentations(dataset, made).features
    )


def test_an_epoch_draws_anew_and_again_the_same(dataset: SyntheticClassificationDataset) -> None:
    view: Any = apply_augmentations(dataset, BUILT_IN)
    first = view.features.clone()
    view.set_epoch(1)
    assert not torch.equal(view.features, first)
    view.set_epoch(0)
    assert torch.equal(view.features, first)


def test_applying_twice_is_applying_both_and_a_name_twice_draws_twice(
    dataset: SyntheticClassificationDataset,
) -> None:
    noise: Any = gaussian_noise(std=1.0)
    once = apply_augmentations(dataset, {"noise": noise})
    twice = apply_augmentations(once, {"noise": noise})
    first, second = once.features - dataset.features, twice.features - once.features
    assert abs(float((first * second).mean())) < 0.2 < float((first * first).mean())
    both = apply_augmentations(dataset, {"scale": scale(), "noise": noise})  # type: ignore[dict-item]
    steps = apply_augmentations(apply_augmentations(dataset, {"scale": scale()}), {"noise": noise})  # type: ignore[dict-item]
    assert torch.equal(both.features, steps.features)


def test_torchs_loader_serves_a_view_from_other_processes(dataset: SyntheticClassificationDataset) -> None:
    view = apply_augmentations(dataset, BUILT_IN)
    dataset[0]  # the native maker of records, which no process can send to another
    loader = DataLoader(view, batch_size=7, num_workers=2, multiprocessing_context="spawn")
    batches = list(loader)
    assert torch.equal(torch.cat([features for features, _ in batches]), view.features)


def test_soft_labels_make_records_and_rows(dataset: SyntheticClassificationDataset) -> None:
    view = apply_augmentations(dataset, {"smooth": label_smoothing(), "mix": mixup()})  # type: ignore[dict-item]
    assert view[3][1].shape == (4,)
    assert torch.allclose(view.labels.sum(1), torch.ones(100))
    batch = next(iter(view.row_source().batches())).batch
    assert batch.schema == view.row_source().schema
    np.testing.assert_array_equal(batch["label"].flatten().to_numpy(), view.labels.flatten().numpy())


def test_what_is_logged_has_the_parameters(
    dataset: SyntheticClassificationDataset, caplog: pytest.LogCaptureFixture
) -> None:
    def moved(features: Tensor, labels: Tensor, by: float = 2.0) -> tuple[Tensor, Tensor]:
        return features + by, labels

    functions: dict[str, Any] = {
        "noise": gaussian_noise(std=0.25),
        "moved": moved,
        "far": partial(moved, by=9.0),
        "drop": torch.nn.Dropout(0.5),
    }
    with caplog.at_level(logging.INFO, "nexa_data"):
        view = apply_augmentations(dataset, functions)
        view.materialize()
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith("augmentation noise: 100 records in, 100 out, 32 tried in 0.")
    for line, parameters in zip(
        said,
        ["gaussian_noise(std=0.25)", "moved(by=2.0)", "moved(by=9.0)", "Dropout(p=0.5, inplace=False)"] * 2,
        strict=True,
    ):
        assert parameters in line
    assert said[4].startswith("augmentation noise, gaussian_noise(std=0.25): 100 records, 0.")


def test_a_function_that_adds_or_drops_records_is_applied_to_all(
    dataset: SyntheticClassificationDataset,
) -> None:
    functions: dict[str, Any] = {
        "twice": lambda features, labels: (torch.cat([features, -features]), labels.repeat(2)),
        "plus": lambda features, labels: (features + 1, labels),
    }
    made = apply_augmentations(dataset, functions)
    assert len(made) == 200
    assert torch.equal(made.features, torch.cat([dataset.features, -dataset.features]) + 1)


def test_one_that_drops_records_only_later_says_so_by_its_name() -> None:
    seen: list[int] = []

    def later(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(0)
        return (features, labels) if len(seen) == 1 else (features[1:], labels[1:])

    view = apply_augmentations(SyntheticClassificationDataset(100, 3, 4), {"later": later})  # type: ignore[dict-item]
    with pytest.raises(
        RecordError, match=r"'later' returned 99 features and 99 labels for 100.*function of the dataset"
    ):
        view.features  # noqa: B018


def test_a_mistake_surfaces_at_once_with_the_name(dataset: SyntheticClassificationDataset) -> None:
    def broken(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return features @ torch.ones(7, 7), labels

    with pytest.raises(RuntimeError) as caught:
        apply_augmentations(dataset, {"broken": broken})  # type: ignore[dict-item]
    assert caught.value.__notes__ == ["in augmentation 'broken'"]
    with pytest.raises(RecordError, match="'text' is str, no function"):
        apply_augmentations(dataset, {"text": "gaussian_noise"})  # type: ignore[dict-item]


def test_modules_and_what_tells_no_signature_are_taken(dataset: SyntheticClassificationDataset) -> None:
    class Mute:
        __signature__ = "none"

        def __call__(self, *batch: Any) -> Any:
            if len(batch) == 1:
                raise TypeError("two are wanted")
            return batch[0] * 2, batch[1]

    class MuteOfDataset(Mute):
        def __call__(self, *batch: Any) -> Any:
            if len(batch) == 2:
                raise TypeError("a dataset is wanted")
            return batch[0]

    functions: dict[str, Any] = {
        "mute": Mute(),
        "mute dataset": MuteOfDataset(),
        "module": torch.nn.Hardtanh(-1.0, 1.0),
    }
    made = apply_augmentations(dataset, functions)
    assert torch.equal(made.features, (dataset.features * 2).clamp(-1, 1))


def test_torchs_own_randomness_is_repeated_and_the_callers_left_alone(
    dataset: SyntheticClassificationDataset,
) -> None:
    def noisy(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return features + torch.randn(features.shape), labels

    torch.manual_seed(5)
    before = torch.get_rng_state()
    view: Any = apply_augmentations(dataset, {"noisy": noisy})  # type: ignore[dict-item]
    first = view.materialize().features
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    view.set_epoch(0)
    assert torch.equal(view.materialize().features, first)
    view.set_epoch(3)
    assert not torch.equal(view.materialize().features, first)


def test_transforms_of_torchvision_compose(dataset: SyntheticClassificationDataset) -> None:
    v2 = pytest.importorskip("torchvision.transforms.v2", reason="torchvision isn't installed")
    functions: dict[str, Any] = {
        "flip": v2.Compose([v2.RandomHorizontalFlip(p=1.0), v2.GaussianNoise(sigma=0.1, clip=False)]),
        "noise": gaussian_noise(),
    }
    view = apply_augmentations(dataset, functions)
    assert torch.equal(view.labels, dataset.labels)
    assert 0 < float((view.features - dataset.features.flip(1)).abs().mean()) < 0.5


def test_a_view_is_prepared_as_any_dataset_and_a_config_draws_the_same_from_source_and_artifact(
    tmp_path: Path,
) -> None:
    register_augmentation("lifted_in_this_test", torch.nn.Softplus())
    config = {
        "data": {
            "dataset_name": "synthetic",
            "batch_size": 10,
            "shuffle": False,
            "split": {"train": 1.0, "validation": 0.0, "test": 0.0},
            "preprocessing": {"num_samples": 50, "num_features": 4},
            "augmentations": ["gaussian_noise", "jitter", "lifted_in_this_test", "mixup"],
        },
        "experiment": {"name": "view", "output_dir": str(tmp_path)},
    }
    prepare_from_config(config)  # type: ignore[arg-type]
    served = list(build_loader(config, "train"))  # type: ignore[arg-type]
    straight = list(DataPipeline(config).batches("train"))
    assert len(served) == len(straight) == 5
    for (features, labels), (others, soft) in zip(served, straight, strict=True):
        assert labels.shape == (10, 10)
        assert torch.equal(features, others)
        assert torch.equal(labels, soft)


@pytest.mark.parametrize("staged", [False, True])
def test_the_number_of_classes_is_what_the_prepared_data_says(tmp_path: Path, *, staged: bool) -> None:
    rows = {"x": [float(k) for k in range(90)], "kind": [("cat", "dog", "emu")[k % 3] for k in range(90)]}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    data = {
        "dataset_name": "rows",
        "source_uri": str(tmp_path / "rows.parquet"),
        "preprocessing": {"label": "kind"},
        "augmentations": ["mixup"],
    } | ({"cache_dir": str(tmp_path / "cache")} if staged else {})
    config: Any = {"data": data, "experiment": {"output_dir": str(tmp_path / "runs")}}
    assert next(iter(build_loader(config, "train")))[1].shape == (32, 3)


def test_tensors_of_ones_own_are_augmented_and_other_datasets_are_refused() -> None:
    features, labels = torch.zeros(6, 2), torch.tensor([0, 4, 1, 2, 3, 0])
    made = SyntheticClassificationDataset.from_tensors(features, labels)
    view = apply_augmentations(made, {"mix": mixup()})  # type: ignore[dict-item]
    assert made.num_classes == 5
    assert view.labels.shape == (6, 5)
    assert not made.features.any()
    other: Any = torch.utils.data.TensorDataset(features, labels)
    with pytest.raises(RecordError, match=r"TensorDataset isn't augmented.*from_tensors"):
        apply_augmentations(other, {"mix": mixup()})  # type: ignore[dict-item]
