from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from nexa_data.quality.drift import measure_drift
from nexa_data.quality.measure import Described, measure_batches
from nexa_data.quality.model import DriftReport, QualityStatistics, Target

TARGET = Target(kind="dataset", uri="reference")
LABELLED = Described(label="label", kind="class")


def statistics(columns: dict[str, Any], described: Described = Described()) -> QualityStatistics:  # noqa: B008
    return measure_batches([("train", pa.record_batch(columns))], described)


def drift(now: dict[str, Any], then: dict[str, Any], described: Described = Described()) -> DriftReport:  # noqa: B008
    return measure_drift(statistics(now, described), statistics(then, described), TARGET)


def sound(random: np.random.Generator, n: int) -> dict[str, Any]:
    kinds = {
        "normal": random.normal(5, 2, n),
        "exponential": random.exponential(size=n),
        "codes": random.integers(0, 50, n),
        "inflated": np.where(random.random(n) < 0.7, 0, random.lognormal(size=n)),
        "flag": random.random(n) < 0.3,
        "text": pa.array([f"city {k}" for k in random.geometric(0.3, n)]),
        "label": random.integers(0, 4, n),
        "constant": np.ones(n),
    }
    return {**kinds, **{f"normal {k}": random.normal(size=n) for k in range(42)}}


@pytest.mark.parametrize("n", [100, 3000, 80_000])
def test_two_draws_from_one_source_havent_drifted(n: int) -> None:
    for seed in range(3):
        random = np.random.default_rng(seed)
        found = drift(sound(random, n), sound(random, n), LABELLED)
        assert [each.column for each in found.columns if each.drifted] == []
        assert len(found.columns) == 50


def test_measures_are_those_of_their_definitions() -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    from scipy.spatial.distance import jensenshannon

    random = np.random.default_rng(0)
    then, now = random.normal(size=50_000), random.normal(0.5, 1.2, 50_000)
    found = drift({"x": now}, {"x": then}).columns[0]
    edges = np.concatenate([[-np.inf], np.quantile(then, np.arange(1, 10) / 10), [np.inf]])
    p, q = (np.histogram(values, edges)[0] / len(values) for values in (now, then))
    assert found.psi == pytest.approx(((p - q) * np.log(p / q)).sum(), rel=0.03)
    assert found.js == pytest.approx(jensenshannon(p, q, 2), rel=0.02)
    assert found.ks == pytest.approx(scipy_stats.ks_2samp(now, then).statistic, abs=0.004)
    assert found.drifted
    assert sum(found.current) == pytest.approx(1)
    assert found.reference == pytest.approx([0.1] * 10, abs=0.005)


@pytest.mark.parametrize(
    ("change", "column"),
    [
        (lambda rows: rows | {"normal": rows["normal"] + 2}, "normal"),
        (lambda rows: rows | {"normal": rows["normal"] * 3}, "normal"),
        (
            lambda rows: rows | {"inflated": np.where(rows["inflated"] == 0, 1.5, rows["inflated"])},
            "inflated",
        ),
        (lambda rows: rows | {"flag": ~rows["flag"]}, "flag"),
        (lambda rows: rows | {"codes": rows["codes"] // 2}, "codes"),
        (lambda rows: rows | {"text": pa.array(["elsewhere"] * len(rows["text"]))}, "text"),
        (lambda rows: rows | {"label": np.minimum(rows["label"], 1)}, "label"),
        (lambda rows: rows | {"constant": rows["constant"] * 2}, "constant"),
        (lambda rows: rows | {"normal": np.where(rows["flag"], np.nan, rows["normal"])}, "normal"),
        (lambda rows: rows | {"normal": np.full(len(rows["flag"]), np.nan)}, "normal"),
    ],
)
def test_what_moved_is_found_and_nothing_else(change: Any, column: str) -> None:
    random = np.random.default_rng(7)
    found = drift(change(sound(random, 4000)), sound(random, 4000), LABELLED)
    assert [each.column for each in found.columns if each.drifted] == [column]
    assert found.columns[0].column == column


def test_columns_that_came_and_went_are_named_and_splits_that_one_lacks_are_passed_over() -> None:
    now, then = statistics({"a": [1.0, 2.0], "b": [1, 2]}), statistics({"a": [1.0, 2.0], "c": ["x", "y"]})
    found = measure_drift(now, then, TARGET)
    assert (found.added, found.removed) == (("b",), ("c",))
    other = then.model_copy(update={"splits": {"test": then.splits["train"]}})
    assert measure_drift(now, other, TARGET).columns == ()
