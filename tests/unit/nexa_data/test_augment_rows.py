from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nexa_data import _core
from nexa_data.augment import AUGMENT_VERSION, batch_augmentor
from nexa_data.augment_rows import (
    feature_dropout,
    gaussian_noise,
    label_noise,
    label_smoothing,
    mixup,
    scale,
)
from nexa_data.config import load_config
from nexa_data.errors import ConfigError, RecordError

ALL = ["gaussian_noise", {"feature_dropout": {"p": 0.3, "scale": True}}, "scale", {"label_noise": {"p": 0.4}}]


def chain(*augmentations: Any, classes: int | None = 5, name: str = "synthetic") -> Any:
    preprocessing = {"seed": 3} | ({} if classes is None else {"num_classes": classes})
    data = {
        "dataset_name": name,
        "augmentations": [*augmentations],
        "preprocessing": preprocessing,
    }
    return batch_augmentor(load_config({"data": data}))


@given(rows=st.lists(st.integers(0, 2**40), min_size=1, max_size=20, unique=True), cut=st.integers(0, 20))
def test_a_row_gets_the_same_in_any_batch_and_order(rows: list[int], cut: int) -> None:
    made = chain(*ALL)

    def run(numbers: list[int]) -> dict[int, tuple[list[float], int]]:
        features, labels = made(
            torch.ones(len(numbers), 7),
            torch.zeros(len(numbers), dtype=torch.int64),
            epoch=2,
            position=len(numbers),
            rows=np.array(numbers, np.uint64),
        )
        return {n: (f, y) for n, f, y in zip(numbers, features.tolist(), labels.tolist(), strict=True)}

    assert run(rows) == run(rows[::-1]) == run(rows[:cut]) | run(rows[cut:])


def test_the_same_name_twice_draws_twice() -> None:
    once = chain("gaussian_noise")(torch.zeros(9, 4), torch.zeros(9), epoch=0, position=0)[0]
    twice = chain("gaussian_noise", "gaussian_noise")(torch.zeros(9, 4), torch.zeros(9), epoch=0, position=0)[
        0
    ]
    assert not torch.equal(twice, once * 2)


def test_features_in_other_forms_get_the_same_draws() -> None:
    plain, _ = gaussian_noise()(torch.zeros(6, 4), torch.zeros(6), seed=1)
    turned, _ = gaussian_noise()(torch.zeros(4, 6).T, torch.zeros(6), seed=1)
    double, _ = gaussian_noise()(torch.zeros(6, 4, dtype=torch.float64), torch.zeros(6), seed=1)
    assert torch.equal(turned, plain)
    assert torch.equal(double, plain.double())
    with pytest.raises(RecordError, match="int64"):
        gaussian_noise()(torch.zeros(6, 4, dtype=torch.int64), torch.zeros(6))


def test_dropout_keeps_the_mean_if_it_scales() -> None:
    features, _ = feature_dropout(p=0.25, scale=True)(torch.ones(20_000, 10), torch.zeros(20_000))
    assert features.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert abs(float(features.mean()) - 1) < 0.01


def test_factors_are_even_between_their_bounds() -> None:
    features, _ = scale(low=0.5, high=1.5)(torch.ones(20_000, 10), torch.zeros(20_000))
    assert 0.5 <= float(features.min()) < 0.501
    assert 1.499 < float(features.max()) <= 1.5
    assert abs(float(features.var()) - 1 / 12) < 0.001


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 4.0])
def test_mixed_labels_sum_to_one_and_weights_are_beta(alpha: float) -> None:
    n = 20_000
    # Row i has feature i, so that the mixed label and feature tell weight and partner.
    features, soft = mixup(alpha=alpha)(
        torch.arange(n, dtype=torch.float32)[:, None], torch.arange(n) % 3, num_classes=3
    )
    assert torch.allclose(soft.sum(1), torch.ones(n), atol=1e-6)
    assert float(features.min()) >= 0
    assert float(features.max()) <= n - 1
    assert soft.min() >= 0
    mixed = soft[torch.arange(n), torch.arange(n) % 3]
    # A third has a partner of its own class, and so a share of 1.
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(float(((mixed - 0.5) ** 2).mean()) - (0.25 + 2 * variance) / 3) < 0.005
    assert abs(float(mixed.mean()) - 2 / 3) < 0.02


def test_smoothed_labels_are_convex() -> None:
    _, soft = label_smoothing(eps=0.2)(torch.zeros(2, 1), torch.tensor([0, 3]), num_classes=4)
    assert torch.allclose(soft, torch.tensor([[0.85, 0.05, 0.05, 0.05], [0.05, 0.05, 0.05, 0.85]]))
    assert soft.dtype == torch.float32


def test_noisy_labels_are_others_at_the_rate_asked_for() -> None:
    labels = torch.full((30_000,), 2)
    _, noisy = label_noise(p=0.3)(torch.zeros(30_000, 1), labels, num_classes=4)
    counts = torch.bincount(noisy, minlength=4) / 30_000
    assert counts.tolist() == pytest.approx([0.1, 0.1, 0.7, 0.1], abs=0.01)
    _, all_other = label_noise(p=1.0, num_classes=4)(torch.zeros(30_000, 1), labels)
    assert not (all_other == 2).any()


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ([{"gaussian_noise": {"std": -1}}], r"\[0\].*std is -1"),
        ([{"scale": {"low": 2, "high": 1}}], r"\[0\].*low is 2"),
        ([{"mixup": {"alpha": 0}}], r"\[0\].*alpha is 0"),
        ([{"gaussian_noise": {"seed": 1}}], r"\[0\].*seed is not an option"),
        (["mixup", "label_noise"], r"\[1\].*put label_noise before mixup"),
        (["mixap"], r"\[0\].*did you mean mixup"),
        ([{"gaussian_noise": {"stdd": 1}}], r"\[0\].*no option 'stdd'; did you mean std\?"),
        ([{"gaussian_noise": {"std": "wide"}}], r"\[0\].*std is 'wide'"),
        ([{"feature_dropout": {"scale": "yes"}}], r"\[0\].*scale is 'yes'"),
        ([{"mixup": {"num_classes": 1}}], r"\[0\].*num_classes is 1"),
        ([{"mixup": 0.4}], r"\[0\].*0.4 names no option"),
    ],
)
def test_a_wrong_list_is_refused_before_the_first_batch(wrong: list[Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        chain(*wrong)


def test_the_number_of_classes_is_asked_for_and_held_to() -> None:
    with pytest.raises(
        ConfigError, match=r"data\.augmentations\[1\]: mixup.*data\.preprocessing\.num_classes"
    ):
        chain("scale", "mixup", classes=None, name="mine")
    assert chain("mixup", classes=None, name="synthetic").num_classes == 10
    assert chain({"mixup": {"num_classes": 3}}, classes=None, name="mine") is not None
    with pytest.raises(ConfigError, match="mixup wants the number of classes"):
        mixup()(torch.zeros(1, 1), torch.tensor([0]))
    with pytest.raises(RecordError, match="not all of 5 classes"):
        chain("mixup")(torch.zeros(1, 1), torch.tensor([5]), epoch=0, position=0)


def test_version_1_draws_what_it_always_drew() -> None:
    assert AUGMENT_VERSION == 1
    rows = np.array([0, 7, 1 << 40], np.uint64)
    noised, _ = gaussian_noise(std=1.0)(torch.zeros(3, 2), torch.zeros(3), rows=rows, epoch=1, seed=2)
    torch.testing.assert_close(noised, torch.tensor(NOISE), rtol=0, atol=0)
    _, labels = label_noise(p=1, num_classes=1000)(
        torch.zeros(3, 1), torch.zeros(3).long(), rows=rows, epoch=1, seed=2
    )
    assert labels.tolist() == LABELS


NOISE = [
    [0.663910448551178, 0.47800204157829285],
    [-1.463680624961853, 0.08548182994127274],
    [-0.2727179229259491, -0.7796616554260254],
]


def test_mixup_version_1_draws_what_it_always_drew() -> None:
    rows = np.array([0, 7, 1 << 40], np.uint64)
    features, soft = mixup(alpha=0.4)(
        torch.eye(3), torch.arange(3), rows=rows, epoch=1, seed=2, num_classes=3
    )
    # Row i is class i with feature i, so that both are mixed alike.
    torch.testing.assert_close(features, soft, rtol=0, atol=1e-6)
    torch.testing.assert_close(soft, torch.tensor(MIXED), rtol=0, atol=0)


@pytest.mark.parametrize("soft", [False, True])
def test_refused_labels_leave_the_features_as_they_are(*, soft: bool) -> None:
    features, labels = torch.ones(2, 2), torch.rand(2, 4) if soft else torch.tensor([0, 3])
    with pytest.raises(RecordError):
        mixup(num_classes=3)(features, labels)
    assert torch.equal(features, torch.ones(2, 2))


def test_features_and_labels_in_one_memory_are_refused() -> None:
    both = np.zeros((4, 2), np.float32)
    rows = np.arange(4, dtype=np.uint64)
    with pytest.raises(ValueError, match="must lie apart"):
        _core.mixup(both, rows, None, both[1:], seed=0, purpose=0, epoch=0, alpha=0.2)


def test_distributions_are_mixed_as_ids_are_and_left_as_they_were() -> None:
    ids = torch.arange(50) % 3
    given = torch.nn.functional.one_hot(ids, 3).float()
    before = given.clone()
    _, from_ids = mixup(num_classes=3)(torch.zeros(50, 2), ids, seed=4)
    _, from_soft = mixup(num_classes=3)(torch.zeros(50, 2), given, seed=4)
    assert torch.equal(given, before)
    torch.testing.assert_close(from_soft, from_ids, rtol=0, atol=1e-6)


MIXED = [
    [0.1569133996963501, 0.8430866003036499, 0.0],
    [0.0, 0.06865391135215759, 0.93134605884552],
    [0.0, 0.0, 1.0],
]
LABELS = [757, 565, 171]
