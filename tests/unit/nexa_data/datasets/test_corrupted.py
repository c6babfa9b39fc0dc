from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from nexa_data.cli import main
from nexa_data.datasets.corrupted import corrupted
from nexa_data.datasets.synthetic import SyntheticClassificationDataset
from nexa_data.errors import ConfigError
from nexa_data.prepare import prepare_from_config
from nexa_data.quality.report import read_report

N = 30_000
SOUND = SyntheticClassificationDataset(N, 12, 4, seed=1)
ALL = {
    "missing": 0.01,
    "infinite": 0.004,
    "outliers": 0.005,
    "duplicates": 0.05,
    "conflicts": 0.02,
    "leakage": 0.1,
    "label_noise": 0.03,
}


def test_every_fault_comes_at_its_rate() -> None:
    numbers = np.arange(N)
    faulty = corrupted(SOUND, **ALL)
    faults, held_out = faulty.faults(numbers), faulty.splits(numbers) > 0
    rates = {
        "missing": faults.missing.mean(),
        "infinite": faults.infinite.mean(),
        "outliers": faults.outlier.mean(),
        "duplicates": faults.duplicate.mean(),
        "conflicts": faults.conflict.mean(),
        # Of what repeats a record of its own split none leaks.
        "leakage": faults.leak[held_out].mean() / 0.93,
        "label_noise": faults.mislabelled.mean() / (1 - 0.07 - 0.2 * 0.093),
    }
    assert rates == pytest.approx(ALL, rel=0.15)
    assert np.bincount(faulty.splits(numbers)) / N == pytest.approx([0.8, 0.1, 0.1], abs=0.01)


def test_records_are_what_their_faults_say() -> None:
    faulty = corrupted(SOUND, **ALL)
    numbers = np.arange(N)
    features, labels, faults = faulty.rows(numbers)
    assert (np.isnan(features) == faults.missing).all()
    assert (np.isinf(features) == faults.infinite).all()
    sound = ~(faults.missing | faults.infinite | faults.outlier)
    before, before_labels = SOUND.rows(faults.origin.astype(np.uint64))
    assert (features[sound] == before[sound]).all()
    assert np.allclose(features[faults.outlier], before[faults.outlier] + 40)
    repeated = faults.duplicate | faults.leak | faults.conflict
    twins, twin_labels, _ = faulty.rows(faults.origin)
    assert (faults.origin[repeated] < numbers[repeated]).all()
    assert np.array_equal(features[repeated], twins[repeated], equal_nan=True)
    alike = faults.duplicate | faults.leak
    assert (labels[alike] == twin_labels[alike]).all()
    assert (labels[faults.conflict] != before_labels[faults.conflict]).mean() > 0.95
    assert (labels[faults.mislabelled] != before_labels[faults.mislabelled]).all()
    splits = faulty.splits(numbers)
    assert (splits[faults.origin[faults.leak]] == 0).all()
    assert (splits[faults.origin[faults.duplicate]] == splits[faults.duplicate]).all()


def test_a_record_is_the_same_however_it_is_asked_for() -> None:
    faulty = corrupted(SOUND, **ALL, seed=5)
    numbers = np.random.default_rng(0).permutation(N)[:500]
    some, whole = faulty.rows(numbers), faulty.rows(np.arange(N))
    assert np.array_equal(some[0], whole[0][numbers], equal_nan=True)
    assert (some[1] == whole[1][numbers]).all()


@pytest.mark.parametrize(
    "wrong", [{"missing": -0.1}, {"missing": 1.1}, {"duplicates": 0.6, "conflicts": 0.6}]
)
def test_impossible_rates_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="are no shares"):
        corrupted(SOUND, **wrong)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_planted_drift_is_found_in_as_many_features_beside_the_sound_data(
    tmp_path: Any, share: float
) -> None:
    def prepared(seed: int, **corrupt: float) -> str:
        shape = {"num_samples": 4000, "num_features": 8, "num_classes": 3, "seed": seed, "class_sep": 3.0}
        data = {"dataset_name": "synthetic", "preprocessing": {**shape, "corrupt": corrupt}}
        return prepare_from_config({"data": data, "experiment": {"output_dir": str(tmp_path)}}).uri

    sound, moved = prepared(1), prepared(1, drift=share)
    main(["validate", moved, "--reference", sound, "--output", str(tmp_path / "report")])
    report = json.loads((tmp_path / "report" / "quality_report.json").read_bytes())
    found = {each["column"] for each in report["drift"]["columns"] if each["drifted"]}
    assert found == {f"features[{k}]" for k in range(round(share * 8))}


@pytest.mark.parametrize(
    ("fault", "rate", "code"),
    [
        ("missing", 0.01, "nan-values"),
        ("infinite", 0.002, "infinite-values"),
        ("outliers", 0.01, "outliers"),
        ("duplicates", 0.05, "duplicate-rows"),
        ("leakage", 0.05, "leakage"),
    ],
)
def test_prepare_finds_a_planted_fault_at_its_rate(tmp_path: Any, fault: str, rate: float, code: str) -> None:
    preprocessing = {"num_samples": N, "num_features": 12, "num_classes": 4, "corrupt": {fault: rate}}
    data = {"dataset_name": "synthetic", "preprocessing": preprocessing}
    found = read_report(prepare_from_config({"data": data, "experiment": {"output_dir": str(tmp_path)}}).path)
    seen = [each for each in found.findings if each.code == code]
    # Two records that repeat the same one of train repeat each other.
    along = {"duplicate-rows"} if fault == "leakage" else set()
    assert {each.code for each in found.findings} - along == {code}
    if fault == "leakage":
        # Validation and test may repeat the same record of train, too.
        seen = [each for each in seen if "stand in train" in each.message]
    for each in seen:
        assert each.share == pytest.approx(rate, rel=0.2), each.message
