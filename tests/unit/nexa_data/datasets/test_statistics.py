from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nexa_data.datasets.statistics import SplitStatistics

VALUES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.floats(-1000, 1000, width=32) | st.just(math.nan),
)


def gathered(values: Any, cuts: list[int]) -> SplitStatistics:
    seen = SplitStatistics()
    for part in np.split(values, sorted(cut % (len(values) + 1) for cut in cuts)):
        seen.add(part, np.zeros(len(part), np.int64))
    return seen


def near(found: Any, expected: Any) -> None:
    assert (found is None) == bool(np.isnan(expected)), (found, expected)
    if found is not None:
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-6)


@given(VALUES, st.lists(st.integers(0, 100), max_size=4))
def test_the_moments_are_those_of_numpy_however_the_rows_are_cut(values: Any, cuts: list[int]) -> None:
    summary = gathered(values, cuts).as_dict()
    wide = values.astype(np.float64)
    present = wide[~np.isnan(wide)]
    assert summary["records"] == len(values)
    assert summary["nan_count"] == int(np.isnan(values).sum())
    assert summary["nan_rows"] == int(np.isnan(values).any(axis=1).sum())
    for name in ("min", "max", "mean", "std"):
        near(summary[name], getattr(np, name)(present) if len(present) else math.nan)
    each = summary["per_feature"]
    assert each["nan_count"] == np.isnan(values).sum(axis=0).tolist()
    for at, column in enumerate(wide.T):
        kept = column[~np.isnan(column)]
        if len(kept):
            for name in ("min", "max", "mean", "std"):
                near(each[name][at], getattr(np, name)(kept))
    json.dumps(summary, allow_nan=False)


def test_a_large_mean_does_not_drown_a_small_spread() -> None:
    values = (1e6 + np.random.default_rng(0).integers(0, 2, (10_000, 1))).astype(np.float32)
    summary = gathered(values, [3, 77, 5000]).as_dict()
    np.testing.assert_allclose(summary["std"], values.astype(np.float64).std(), rtol=1e-9)


@given(st.lists(st.integers(0, 9), max_size=50), st.lists(st.integers(0, 100), max_size=3))
def test_classes_are_counted(labels: list[int], cuts: list[int]) -> None:
    seen = SplitStatistics()
    for part in np.split(np.array(labels, np.int64), sorted(cut % (len(labels) + 1) for cut in cuts)):
        seen.add(np.zeros((len(part), 1), np.float32), part)
    assert seen.class_counts == {label: labels.count(label) for label in set(labels)}


def test_classes_and_features_are_listed_up_to_a_thousand_and_counted_beyond() -> None:
    seen = SplitStatistics()
    seen.add(np.zeros((1500, 1200), np.float32), np.arange(1500))
    summary = seen.as_dict()
    assert summary["classes"] == 1500
    assert list(summary["records_per_class"]) == [str(at) for at in range(1000)]
    assert len(summary["per_feature"]["mean"]) == 1000


def test_infinities_are_told_by_name_and_do_not_break_the_json() -> None:
    seen = SplitStatistics()
    seen.add(np.array([[np.inf, -np.inf], [1.0, 2.0]], np.float32), np.zeros(2, np.int64))
    seen.add(np.array([[3.0, 4.0]], np.float32), np.zeros(1, np.int64))
    summary = seen.as_dict()
    assert (summary["min"], summary["max"]) == ("-inf", "inf")
    assert summary["per_feature"]["min"] == [1.0, "-inf"]
    json.dumps(summary, allow_nan=False)


def test_the_first_nan_is_remembered_with_its_place() -> None:
    seen = SplitStatistics()
    values = np.zeros((3, 2), np.float32)
    seen.add(values, np.zeros(3, np.int64), origin="a.csv", rows=np.array([4, 7, 9]))
    values[1, 1] = np.nan
    for origin in ("b.csv", "c.csv"):
        seen.add(values, np.zeros(3, np.int64), origin=origin, rows=np.array([14, 17, 19]))
    assert seen.first_nan == ("b.csv", 17, 1)


def test_nothing_at_all_has_no_moments() -> None:
    summary = SplitStatistics().as_dict()
    assert (summary["records"], summary["min"], summary["mean"]) == (0, None, None)
