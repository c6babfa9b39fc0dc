from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import torch
from nexa_data.augment import (
    apply_augmentations,
    batch_augmentor,
    feature_dropout,
    gaussian_noise,
    register_augmentation,
)
from nexa_data.config import load_config
from nexa_data.datasets.synthetic import SyntheticClassificationDataset
from nexa_data.errors import ConfigError, RecordError

if TYPE_CHECKING:
    from torch import Tensor


@pytest.fixture
def dataset() -> SyntheticClassificationDataset:
    return SyntheticClassificationDataset(20, 3, 2, seed=0)


def doubled(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return features * 2, labels


def plus_one(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return features + 1, labels


def first_half(dataset: SyntheticClassificationDataset) -> SyntheticClassificationDataset:
    half = len(dataset) // 2
    return SyntheticClassificationDataset.from_tensors(
        dataset.features[:half], dataset.labels[:half], like=dataset
    )


def test_functions_are_applied_in_their_order(dataset: SyntheticClassificationDataset) -> None:
    one = apply_augmentations(dataset, {"double": doubled, "plus": plus_one})  # type: ignore[dict-item]
    two = apply_augmentations(dataset, {"plus": plus_one, "double": doubled})  # type: ignore[dict-item]
    assert torch.equal(one.features, dataset.features * 2 + 1)
    assert torch.equal(two.features, (dataset.features + 1) * 2)
    assert torch.equal(one.labels, dataset.labels)


def test_functions_of_a_dataset_and_of_a_batch_mix(dataset: SyntheticClassificationDataset) -> None:
    made = apply_augmentations(dataset, {"half": first_half, "double": doubled})  # type: ignore[dict-item]
    assert len(made) == 10
    assert torch.equal(made.features, dataset.features[:10] * 2)
    assert [tuple(part.shape) for part in made[3]] == [(3,), ()]


def test_each_is_logged_with_its_name_and_counts(
    dataset: SyntheticClassificationDataset, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "nexa_data"):
        apply_augmentations(dataset, {"half": first_half, "double": doubled})  # type: ignore[dict-item]
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert messages[0].startswith("augmentation half: 20 records in, 10 out")
    assert messages[1].startswith("augmentation double: 10 records in, 10 out")


def test_the_given_dataset_is_left_as_it_is(dataset: SyntheticClassificationDataset) -> None:
    before = dataset.features.clone(), dataset.labels.clone()

    def in_place(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return features.zero_(), labels.zero_()

    made = apply_augmentations(dataset, {"zero": in_place})  # type: ignore[dict-item]
    assert not made.features.any()
    assert torch.equal(dataset.features, before[0])
    assert torch.equal(dataset.labels, before[1])


def test_nothing_to_apply_changes_nothing(dataset: SyntheticClassificationDataset) -> None:
    assert torch.equal(apply_augmentations(dataset, {}).features, dataset.features)


def test_a_function_with_options_of_its_own_is_taken_by_its_required_arguments(
    dataset: SyntheticClassificationDataset,
) -> None:
    def scaled(
        features: Tensor, labels: Tensor, factor: float = 3.0, *, plus: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        return features * factor + plus, labels

    made = apply_augmentations(dataset, {"scaled": scaled})  # type: ignore[dict-item]
    assert torch.equal(made.features, dataset.features * 3.0)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda _: None,
        lambda _: (torch.ones(2, 2), torch.ones(2)),
        lambda _features, _labels: None,
        lambda features, _labels: features,
        lambda features, labels: [features, labels],
        lambda features, labels: (features.numpy(), labels),
        lambda features, labels: (features[:3], labels),
        lambda features, labels: (features[:, 0], labels),
        lambda features, labels: (features[:0], labels[:0]),
        lambda features, labels: (features, labels.sum()),
    ],
)
def test_a_wrong_return_is_refused(dataset: SyntheticClassificationDataset, wrong: Any) -> None:
    with pytest.raises(RecordError):
        apply_augmentations(dataset, {"odd": wrong})


def test_the_exception_of_a_function_passes(dataset: SyntheticClassificationDataset) -> None:
    def broken(_: SyntheticClassificationDataset) -> SyntheticClassificationDataset:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        apply_augmentations(dataset, {"broken": broken})


def chain(*augmentations: Any, seed: int = 0) -> Any:
    config = {"dataset_name": "synthetic", "augmentations": [*augmentations], "preprocessing": {"seed": seed}}
    return batch_augmentor(load_config({"data": config}))


def run(made: Any, epoch: int = 0, position: int = 0) -> Tensor:
    features: Tensor = made(torch.ones(50, 4), torch.zeros(50), epoch=epoch, position=position)[0]
    return features


def test_randomness_is_a_function_of_seed_name_epoch_and_position_alone() -> None:
    noise = run(chain("gaussian_noise"))
    torch.manual_seed(99)
    torch.rand(7)
    assert torch.equal(run(chain("gaussian_noise")), noise)
    others = [
        run(chain("gaussian_noise", seed=1)),
        run(chain("gaussian_noise"), epoch=1),
        run(chain("gaussian_noise"), position=64),
    ]
    assert not any(torch.equal(other, noise) for other in others)


def test_the_options_of_the_config_reach_the_function() -> None:
    small, large = run(chain({"gaussian_noise": {"std": 0.01}})), run(chain({"gaussian_noise": {"std": 1.0}}))
    torch.testing.assert_close((small - 1) * 100, large - 1, rtol=0, atol=1e-3)
    assert not run(chain({"feature_dropout": {"p": 1.0}})).any()
    assert torch.equal(run(chain({"feature_dropout": {"p": 0.0}})), torch.ones(50, 4))
    share = float((run(chain({"feature_dropout": {"p": 0.3}})) == 0).float().mean())
    assert 0.15 < share < 0.45


def test_several_are_applied_in_their_order() -> None:
    assert run(chain({"feature_dropout": {"p": 1.0}}, "gaussian_noise")).any()
    assert not run(chain("gaussian_noise", {"feature_dropout": {"p": 1.0}})).any()


def test_without_augmentations_there_is_no_step() -> None:
    assert chain() is None


def test_the_built_in_ones_have_the_documented_size() -> None:
    noised, labels = gaussian_noise(std=0.5)(torch.zeros(1000, 10), torch.arange(1000))
    assert 0.45 < float(noised.std()) < 0.55
    assert torch.equal(labels, torch.arange(1000))
    kept, _ = feature_dropout(p=0.25)(torch.ones(1000, 10), labels)
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    assert 0.7 < float(kept.mean()) < 0.8


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ("gausian_noise", "did you mean gaussian_noise"),
        ("zzz", "known: feature_dropout, gaussian_noise"),
        ({"gaussian_noise": {"sigma": 1}}, "sigma"),
        ({"gaussian_noise": {"std": 1}, "feature_dropout": {}}, "is not one name"),
        ({}, "is not one name"),
    ],
)
def test_a_wrong_augmentation_is_refused_with_its_number(wrong: Any, what: str) -> None:
    with pytest.raises(ConfigError, match=rf"data\.augmentations\[1\].*{what}"):
        chain("gaussian_noise", wrong)


def test_a_users_augmentation_is_found_by_its_name_and_no_other_takes_it() -> None:
    def negated(features: Tensor, labels: Tensor, *, generator: Any) -> tuple[Tensor, Tensor]:
        del generator
        return -features, labels

    register_augmentation("negated_in_this_test", negated)
    register_augmentation("negated_in_this_test", negated)
    assert torch.equal(run(chain("negated_in_this_test")), -torch.ones(50, 4))
    with pytest.raises(ConfigError, match="exists already"):
        register_augmentation("negated_in_this_test", gaussian_noise)
