from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nexa_data.datasets.statistics import SplitStatistics
from nexa_data.errors import ConfigError
from nexa_data.findings import Severity
from nexa_data.quality.checks import parse_checks, run_checks


def seen(features: list[list[float]], labels: list[int]) -> SplitStatistics:
    statistics = SplitStatistics()
    statistics.add(np.array(features, np.float32), np.array(labels), origin="x.csv")
    return statistics


TRAIN = seen([[0, 1], [float("nan"), 2], [3, 4]], [0, 0, 1])
VALIDATION = seen([[5, 6]], [2])


def found(checks: list[Any], num_classes: int | None = 3) -> list[tuple[str, Severity]]:
    findings = run_checks(parse_checks(checks), {"train": TRAIN, "validation": VALIDATION}, num_classes)
    return [(finding.code, finding.severity) for finding in findings]


@pytest.mark.parametrize(
    ("check", "codes"),
    [
        ({"max_nan_share": 0}, ["nan-share"]),
        ({"max_nan_share": 0.16}, ["nan-share"]),
        ({"max_nan_share": 0.17}, []),
        ({"range": {"min": 0, "max": 6}}, []),
        ({"range": {"min": 0, "max": 5}}, ["out-of-range"]),
        ({"range": {"max": 3}}, ["out-of-range", "out-of-range"]),
        ({"range": {"min": 1}}, ["out-of-range"]),
        ({"min_class_count": 1}, ["few-records-of-class"]),
        ({"min_class_count": 0}, []),
    ],
)
def test_a_rule_finds_what_breaks_it_and_nothing_else(check: dict[str, Any], codes: list[str]) -> None:
    assert found([check]) == [(code, Severity.ERROR) for code in codes]


def test_a_class_that_never_occurs_counts_as_few() -> None:
    findings = run_checks(parse_checks([{"min_class_count": 2}]), {"train": TRAIN}, 3)
    assert findings[0].count == 2
    assert "(1: 1, 2: 0)" in findings[0].message


def test_the_place_of_the_first_nan_is_told() -> None:
    finding = run_checks(parse_checks([{"max_nan_share": 0}]), {"train": TRAIN}, None)[0]
    assert (finding.count, finding.rows) == (1, (1,))
    assert finding.share == pytest.approx(1 / 6)
    assert "feature 0 in x.csv, row 1" in finding.message


@pytest.mark.parametrize("severity", Severity)
def test_the_long_form_sets_the_severity(severity: Severity) -> None:
    assert found([{"max_nan_share": {"value": 0, "severity": str(severity)}}]) == [("nan-share", severity)]
    assert found([{"range": {"max": 5.5, "severity": str(severity)}}]) == [("out-of-range", severity)]


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ("max_nan_share", "has no bound"),
        ({}, "has no bound"),
        ({"max_nan_share": 0, "range": {"min": 0}}, "has no bound"),
        ({"max_nan_shares": 0}, "did you mean max_nan_share"),
        ({"max_nan_share": "few"}, "wants numbers"),
        ({"max_nan_share": True}, "wants numbers"),
        ({"max_nan_share": {}}, "wants numbers"),
        ({"max_nan_share": {"value": 0, "bound": 1}}, "wants numbers"),
        ({"max_nan_share": {"value": 0, "severity": "mild"}}, "severity is none of warning, error, critical"),
        ({"range": 3}, "wants numbers for max or min"),
        ({"range": {"severity": "error"}}, "wants numbers"),
        ({"max_nan_share": {"severity": "error"}}, "wants numbers"),
    ],
)
def test_a_malformed_rule_is_refused_with_its_number(wrong: Any, what: str) -> None:
    with pytest.raises(ConfigError, match=rf"data\.checks\[1\].*{what}"):
        parse_checks([{"max_nan_share": 0}, wrong])
