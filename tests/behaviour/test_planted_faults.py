"""Faults planted at known rates, each alone, in made-up and in real data: all are found at their rates, and sound data raises none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import planted_faults
import pytest
from nexa_data.quality.drift import measure_drift
from nexa_data.quality.model import Target
from nexa_data.quality.observations import observe
from planted_faults import FAULTS, MOVED, cut, findings, made_up, moved, statistics

if TYPE_CHECKING:
    from collections.abc import Callable

    from planted_faults import Splits


def digits() -> Splits:
    pytest.importorskip("sklearn")
    return planted_faults.digits()


@pytest.mark.parametrize("data", [made_up, digits])
def test_sound_data_raises_nothing(data: Callable[[], Splits]) -> None:
    assert [str(each) for each in findings(data())] == []


@pytest.mark.parametrize("seed", range(5))
def test_other_sound_data_raises_nothing_either(seed: int) -> None:
    random = np.random.default_rng(seed)
    n = int(random.choice([200, 2000, 50_000]))
    rows = {
        "normal": random.normal(size=n),
        "uniform": random.random(n),
        "laplace": random.laplace(size=n),
        "beta": random.beta(0.5, 0.5, n),
        "lognormal": random.lognormal(0, 2, n),
        "gamma": random.gamma(0.5, size=n),
        "inflated": np.where(random.random(n) < 0.4, 0, random.lognormal(size=n)),
        "modes": np.where(random.random(n) < 0.9, random.normal(size=n), random.normal(12, 1, n)),
        "time": 1.7e9 + random.random(n) * 1e6,
        "code": random.integers(0, 256, n),
        "flag": random.random(n) < 0.1,
        "label": random.integers(0, 5, n),
    }
    assert [str(each) for each in findings(cut(rows))] == []


@pytest.mark.parametrize("data", [made_up, digits])
@pytest.mark.parametrize("code", FAULTS)
def test_a_planted_fault_is_found_at_its_rate_and_nothing_else(code: str, data: Callable[[], Splits]) -> None:
    plant, rates, along = FAULTS[code]
    for rate in rates:
        splits = data()
        planted = plant(splits, rate)
        seen = findings(splits)
        assert {each.code for each in seen} - along == {code}, (rate, [str(each) for each in seen])
        found = next(each for each in seen if each.code == code)
        if planted is None:
            continue
        if code == "class-imbalance":
            assert found.share == pytest.approx(planted)
        elif code == "outliers":
            # Of as many rows as this the sample holds all.
            assert found.count == pytest.approx(planted, rel=0.02)
        else:
            assert found.count == planted, (rate, str(found))


@pytest.mark.parametrize("by", [0.5, 2.0])
def test_drift_is_found_where_it_was_planted(by: float) -> None:
    splits = moved(made_up(seed=1), by)
    drift = measure_drift(
        statistics(splits), statistics(made_up(seed=2)), Target(kind="dataset", uri="before")
    )
    assert {(each.split, each.column) for each in drift.columns if each.drifted} == MOVED
    assert [each.code for each in observe(statistics(splits), drift)] == ["drift"]
