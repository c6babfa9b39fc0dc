from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from nexa_data.datasets.synthetic import SyntheticClassificationDataset
from nexa_data.errors import ConfigError, RecordError


def test_the_same_seed_gives_the_same_records_and_another_others() -> None:
    one, two = (SyntheticClassificationDataset(300, 5, 3, seed=4) for _ in range(2))
    other = SyntheticClassificationDataset(300, 5, 3, seed=5)
    assert torch.equal(one.features, two.features)
    assert torch.equal(one.labels, two.labels)
    assert not torch.equal(one.features, other.features)
    assert not torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("longer", [101, 4096, 4097, 9000])
def test_a_longer_dataset_begins_with_the_records_of_a_shorter(longer: int) -> None:
    short = SyntheticClassificationDataset(100, 3, 4, seed=1)
    long = SyntheticClassificationDataset(longer, 3, 4, seed=1)
    assert len(long) == longer
    assert torch.equal(long.features[:100], short.features)
    assert torch.equal(long.labels[:100], short.labels)


def test_blocks_differ_from_each_other() -> None:
    features = SyntheticClassificationDataset(8192, 2, 2, seed=0).features
    assert not torch.equal(features[:4096], features[4096:])


def test_records_have_the_documented_form_and_every_class_occurs() -> None:
    dataset = SyntheticClassificationDataset(1000, 6, 7, seed=0)
    assert (dataset.features.shape, dataset.features.dtype) == ((1000, 6), torch.float32)
    assert (dataset.labels.shape, dataset.labels.dtype) == ((1000,), torch.int64)
    counts = torch.bincount(dataset.labels, minlength=7)
    assert len(counts) == 7
    assert counts.min() > 90


def test_it_can_be_learnt_and_more_separation_makes_it_easier() -> None:
    def accuracy(class_sep: float) -> float:
        dataset = SyntheticClassificationDataset(4000, 16, 5, seed=3, class_sep=class_sep)
        features, labels = dataset.features.numpy(), dataset.labels.numpy()
        # The nearest mean of the first half decides about the second.
        means = np.stack([features[:2000][labels[:2000] == label].mean(axis=0) for label in range(5)])
        distances = ((features[2000:, None] - means[None]) ** 2).sum(axis=2)
        return float((distances.argmin(axis=1) == labels[2000:]).mean())

    assert accuracy(1.0) > 0.9
    assert accuracy(0.01) < 0.4


def test_records_are_found_by_number_and_from_the_end() -> None:
    dataset = SyntheticClassificationDataset(10, 2, 2, seed=0)
    features, label = dataset[-1]
    assert torch.equal(features, dataset.features[9])
    assert torch.equal(label, dataset.labels[9])
    for index in (10, -11):
        with pytest.raises(IndexError, match="has 10"):
            dataset[index]


def test_a_torch_dataloader_takes_it() -> None:
    loader = torch.utils.data.DataLoader(SyntheticClassificationDataset(10, 2, 2), batch_size=4)  # type: ignore[arg-type]
    assert [len(labels) for _, labels in loader] == [4, 4, 2]


@pytest.mark.parametrize(
    "wrong", [{"num_samples": 0}, {"num_features": 0}, {"num_classes": 1}, {"seed": -1}, {"class_sep": 0.0}]
)
def test_impossible_numbers_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SyntheticClassificationDataset(**wrong)


def test_tensors_that_do_not_fit_are_no_dataset() -> None:
    like = SyntheticClassificationDataset(4, 2, 2)
    made = SyntheticClassificationDataset.from_tensors(torch.ones(3, 2), torch.zeros(3), like=like)
    assert (len(made), made.num_classes) == (3, 2)
    for features, labels in ((torch.ones(3), torch.ones(3)), (torch.ones(3, 2), torch.ones(2))):
        with pytest.raises(RecordError, match="are no dataset"):
            SyntheticClassificationDataset.from_tensors(features, labels, like=like)


def test_any_record_of_a_trillion_is_made_alone() -> None:
    dataset = SyntheticClassificationDataset(10**12, 8, 3, seed=2)
    features, labels = dataset.rows([10**12 - 1, 5, 10**12 - 1])
    assert (features[0] == features[2]).all()
    assert labels[0] == labels[2]
    short = SyntheticClassificationDataset(10, 8, 3, seed=2)
    assert torch.equal(dataset[5][0], short.features[5])
    assert torch.equal(dataset[5][1], short.labels[5])


def test_the_terms_of_make_classification_hold() -> None:
    dataset = SyntheticClassificationDataset(
        20_000,
        10,
        3,
        0,
        n_informative=4,
        n_redundant=3,
        n_clusters_per_class=2,
        weights=[0.6, 0.3],
        class_sep=3.0,
    )
    features, labels = dataset.features.numpy(), dataset.labels.numpy()
    assert np.linalg.matrix_rank(features[:, :7], tol=1e-2) == 4
    assert np.linalg.matrix_rank(features, tol=1e-2) == 7
    assert np.bincount(labels) / len(labels) == pytest.approx([0.6, 0.3, 0.1], abs=0.01)
    noise = features[:, 7:]
    assert (noise.mean(), noise.std()) == pytest.approx((0, 1), abs=0.02)
    means = np.stack([noise[labels == label].mean(axis=0) for label in range(3)])
    assert np.abs(means).max() < 0.1
    flipped = SyntheticClassificationDataset(20_000, 10, 3, 0, n_informative=4, n_redundant=3, flip_y=0.3)
    plain = SyntheticClassificationDataset(20_000, 10, 3, 0, n_informative=4, n_redundant=3)
    assert (flipped.labels != plain.labels).float().mean().item() == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_informative": 0},
        {"n_informative": 30, "n_redundant": 5},
        {"n_redundant": -1},
        {"n_clusters_per_class": 0},
        {"weights": [0.5]},
        {"weights": [0.5, -0.1]},
        {"weights": [0.0] * 10},
        {"flip_y": 1.5},
        {"flip_y": float("nan")},
        {"class_sep": float("inf")},
    ],
)
def test_impossible_shapes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SyntheticClassificationDataset(**wrong)
