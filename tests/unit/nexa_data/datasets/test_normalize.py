from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from nexa_data.config import load_config
from nexa_data.datasets.normalize import fitted_normalization
from nexa_data.datasets.statistics import SplitStatistics
from nexa_data.errors import ConfigError
from nexa_data.pipeline import DataPipeline

if TYPE_CHECKING:
    import numpy.typing as npt


def pipeline(normalize: Any, **preprocessing: Any) -> DataPipeline:
    section = {"num_samples": 500, "num_features": 3, "normalize": normalize, **preprocessing}
    return DataPipeline({"data": {"dataset_name": "synthetic", "preprocessing": section}})


def features(made: DataPipeline, split: str) -> npt.NDArray[Any]:
    return np.concatenate([part.features for part in made if part.split == split])


def test_standard_gives_train_mean_zero_and_deviation_one_and_the_others_the_same_change() -> None:
    raw, made = pipeline(None), pipeline("standard")
    train = features(made, "train")
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train.std(axis=0), 1, rtol=1e-5)
    before = features(raw, "train").astype(np.float64)
    expected = (features(raw, "test") - before.mean(axis=0)) / before.std(axis=0)
    np.testing.assert_allclose(features(made, "test"), expected, rtol=1e-4, atol=1e-5)


def test_minmax_gives_train_the_range_zero_to_one() -> None:
    train = features(pipeline("minmax"), "train")
    np.testing.assert_allclose((train.min(axis=0), train.max(axis=0)), [[0] * 3, [1] * 3], atol=1e-6)


def test_fixed_numbers_are_used_as_they_are() -> None:
    raw = features(pipeline(None), "train").astype(np.float64)
    one = features(pipeline({"mean": 2.0, "std": 4.0}), "train")
    np.testing.assert_allclose(one, (raw - 2) / 4, rtol=1e-6)
    each = features(pipeline({"mean": [1, 2, 3], "std": [1, 2, 4]}), "train")
    np.testing.assert_allclose(each, (raw - [1, 2, 3]) / [1, 2, 4], rtol=1e-6)


def test_a_feature_that_does_not_vary_or_has_no_number_is_not_divided() -> None:
    seen = SplitStatistics()
    values = np.array([[1, 5, np.nan], [3, 5, np.nan]], np.float32)
    seen.add(values, np.zeros(2, np.int64))
    fitted = fitted_normalization("standard", seen)
    assert (fitted.shift.tolist(), fitted.scale.tolist()) == ([2, 5, 0], [1, 1, 1])
    np.testing.assert_array_equal(fitted.apply(values), [[-1, 0, np.nan], [1, 0, np.nan]])


@pytest.mark.parametrize(
    ("normalize", "more", "what"),
    [
        ({"mean": [1, 2]}, {}, None),
        ({"std": 0}, {}, "divided by 0"),
        ({"std": [1, 0]}, {}, "divided by 0"),
        ("zscore", {}, "normalize"),
        ("standard", {"dtype": "uint8"}, "uint8 can't hold"),
    ],
)
def test_what_cannot_be_normalised_is_refused(normalize: Any, more: dict[str, Any], what: str | None) -> None:
    if what is None:
        with pytest.raises(ConfigError, match="2 numbers for 3 features"):
            list(pipeline(normalize))
        return
    with pytest.raises(ConfigError, match=what):
        load_config({"data": {"dataset_name": "x", "preprocessing": {"normalize": normalize, **more}}})
