from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from nexa_data.errors import ConfigError, RecordError
from nexa_data.findings import Finding, Severity
from nexa_data.quality.checks import RULES, parse_checks
from nexa_data.quality.custom import register_check, unregister_check
from nexa_data.quality.measure import Described, Measurement
from nexa_data.quality.row_checks import RowChecks
from nexa_data.quality.verdict import Seen, judge, refusal

NAN = float("nan")
TRAIN = {"x": [0.0, NAN, 3.0], "y": [1.0, 2.0, 4.0], "city": ["Rome", "Oslo", "rome"], "label": [0, 0, 1]}
VALIDATION = {"x": [5.0], "y": [6.0], "city": ["Rome"], "label": [2]}


def found(
    checks: list[Any], num_classes: int | None = 3, **rows: dict[str, list[Any]]
) -> list[tuple[str, str, str | None]]:
    return [(each.code, str(each.severity), each.column) for each in findings(checks, num_classes, **rows)]


def findings(checks: list[Any], num_classes: int | None = 3, **rows: dict[str, list[Any]]) -> list[Finding]:
    parsed = parse_checks(checks)
    row_checks = RowChecks(parsed)
    seen = Measurement(Described(label="label", kind="class"), row_checks=row_checks)
    for split, columns in (rows or {"train": TRAIN, "validation": VALIDATION}).items():
        seen.add(split, pa.record_batch(columns))
    judged = judge(parsed, Seen(seen.statistics(), num_classes), row_checks)
    return [each for each in judged if each.severity is not Severity.WARNING]


@pytest.mark.parametrize(
    ("check", "codes"),
    [
        ({"max_nan_share": 0}, ["nan-share"]),
        ({"max_nan_share": 0.16}, ["nan-share"]),
        ({"max_nan_share": 0.17}, []),
        ({"max_nan_share": {"value": 0.3, "column": "x"}}, ["nan-share"]),
        ({"max_nan_share": {"value": 0, "column": "y"}}, []),
        ({"range": {"min": 0, "max": 6}}, []),
        ({"range": {"min": 0, "max": 5}}, ["out-of-range"]),
        ({"range": {"max": 3}}, ["out-of-range", "out-of-range"]),
        ({"range": {"min": 1}}, ["out-of-range"]),
        ({"range": {"min": 1, "columns": ["y"]}}, []),
        ({"range": {"min": 1, "max_share": 0.34}}, []),
        ({"range": {"min": 1, "max_count": 0}}, ["out-of-range"]),
        ({"min_class_count": 1}, ["few-records-of-class"]),
        ({"min_class_count": 0}, []),
        ({"max_class_imbalance": 2}, []),
        ({"max_class_imbalance": 1.5}, ["class-imbalance"]),
        ({"min_rows": 2}, ["few-rows"]),
        ({"not_null": {"column": "x"}}, ["null-values"]),
        ({"not_null": {"column": "x", "max_count": 1}}, []),
        ({"not_null": {"column": "c*"}}, []),
        ({"dtype": {"column": "x", "value": "float32"}}, ["wrong-dtype", "wrong-dtype"]),
        ({"dtype": {"column": ["x", "y"], "value": "float64"}}, []),
        ({"allowed": {"column": "city", "value": ["Rome", "Oslo"]}}, ["not-allowed"]),
        ({"allowed": {"column": "city", "value": ["Rome", "Oslo"], "max_share": 0.34}}, []),
        ({"allowed": {"column": "label", "value": [0, 1, 2]}}, []),
        ({"regex": {"column": "city", "value": "[A-Z].*"}}, ["no-match"]),
        ({"regex": {"column": "city", "value": "R|O"}}, ["no-match", "no-match"]),
        ({"unique": {"column": "y"}}, []),
        ({"unique": {"column": "city"}}, ["not-unique"]),
        ({"mean": {"min": 2, "column": "y"}}, []),
        ({"mean": {"max": 5, "column": "y"}}, ["mean-out-of-range"]),
        ({"std": {"min": 1, "column": "y"}}, ["std-out-of-range"]),
        ({"shape": {"column": "y", "value": []}}, []),
        ({"shape": {"column": "y", "value": [2]}}, ["wrong-shape", "wrong-shape"]),
        ("no_leakage", []),
        ("no_conflicts", []),
        ({"max_duplicates": 0}, []),
    ],
)
def test_a_rule_finds_what_breaks_it_and_nothing_else(check: Any, codes: list[str]) -> None:
    assert [each[:2] for each in found([check])] == [(code, "error") for code in codes]


def test_equal_rows_are_found_within_a_split_across_splits_and_with_other_labels() -> None:
    rows = {
        "train": {"x": [1.0, 1.0, 2.0], "label": [0, 0, 1]},
        "test": {"x": [2.0, 3.0], "label": [0, 1]},
    }
    checks = [{"max_duplicates": 0}, "no_conflicts", {"no_leakage": {"severity": "critical"}}]
    leak, *others = findings(checks, **rows)
    assert (leak.code, leak.severity, leak.count, leak.share) == ("leakage", Severity.CRITICAL, 1, 0.5)
    assert [(each.code, each.count) for each in others] == [
        ("duplicate-rows", 1),
        ("conflicting-labels", 1),
        ("conflicting-labels", 1),
    ]
    tolerant = [{"max_duplicates": 0.34}, {"no_conflicts": 0.5}, {"no_leakage": {"max_count": 1}}]
    assert found(tolerant, **rows) == []


def test_a_class_that_never_occurs_counts_as_few() -> None:
    finding = findings([{"min_class_count": 2}], train=TRAIN)[0]
    assert finding.count == 2
    assert "(1: 1, 2: 0)" in finding.message


def test_the_place_of_the_first_nan_is_told() -> None:
    finding = findings([{"max_nan_share": 0}], train=TRAIN)[0]
    assert (finding.count, finding.rows, finding.column) == (1, (1,), "x")
    assert finding.share == pytest.approx(1 / 6)


@pytest.mark.parametrize("severity", ["error", "critical"])
def test_the_long_form_sets_the_severity(severity: str) -> None:
    assert found([{"max_nan_share": {"value": 0, "severity": severity}}]) == [("nan-share", severity, "x")]


def test_a_warning_refuses_nothing() -> None:
    assert found([{"max_nan_share": {"value": 0, "severity": "warning"}}]) == []


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ("max_nan_share", "has no bound"),
        ({}, "not one rule"),
        ({"max_nan_share": 0, "range": {"min": 0}}, "not one rule"),
        ({"max_nan_shares": 0}, "did you mean max_nan_share"),
        ({"max_nan_share": "few"}, "a number from 0 to 1"),
        ({"max_nan_share": True}, "has no bound"),
        ({"max_nan_share": {}}, "has no bound"),
        ({"max_nan_share": {"value": 0, "bound": 1}}, "there is no 'bound'"),
        ({"max_nan_share": {"value": 0, "severty": "error"}}, "did you mean severity"),
        ({"max_nan_share": {"value": 0, "severity": "mild"}}, "severity is none of warning, error, critical"),
        ({"max_nan_share": {"value": 0, "max_share": 0.1}}, "counts no rows"),
        ({"range": 3}, "there is no 'value'"),
        ({"range": {"min": 2, "max": 1}}, "min 2 is above max 1"),
        ({"range": {"severity": "error"}}, "has no bound"),
        ({"allowed": {"column": "x", "value": "Rome"}}, "a list of values"),
        ({"allowed": {"value": ["Rome"]}}, "which column"),
        ({"unique": {}}, "which column"),
        ({"no_leakage": {"column": "x"}}, "about the records as a whole"),
        ({"no_leakage": {"max_share": 2}}, "max_share is 2"),
        ({"min_rows": -1}, "a whole number"),
        (3, "not one rule"),
    ],
)
def test_a_malformed_rule_is_refused_with_its_number(wrong: Any, what: str) -> None:
    with pytest.raises(ConfigError, match=rf"data\.checks\[1\].*{what}"):
        parse_checks([{"max_nan_share": 0}, wrong])


@pytest.mark.parametrize(
    ("check", "what"),
    [
        ({"allowed": {"column": "town", "value": ["Rome"]}}, "no column town"),
        ({"allowed": {"column": "label", "value": ["Rome"]}}, "no values of column 'label'"),
        ({"regex": {"column": "x", "value": "a"}}, "column 'x' is a double"),
        ({"regex": {"column": "city", "value": "("}}, "no regular expression"),
    ],
)
def test_a_rule_that_fits_no_column_says_so(check: Any, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        findings([check])


def test_a_function_of_ones_own_is_a_rule_once_it_is_registered() -> None:
    import pyarrow.compute as pc

    register_check("small_y", lambda batch: pc.greater(batch["y"], 3))
    try:
        assert found(["small_y"]) == [("small_y", "error", None)] * 2
        assert found([{"small_y": {"max_share": 1.0}}]) == []
        assert [each.rows for each in findings(["small_y"])] == [(2,), (0,)]
    finally:
        unregister_check("small_y")
    with pytest.raises(ConfigError, match="unknown rule 'small_y'"):
        parse_checks(["small_y"])


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        (lambda _: [True], r"shape \(1,\)"),
        (lambda batch: batch["y"], "type float64"),
        (lambda _: 1 / 0, "raised ZeroDivisionError"),
    ],
)
def test_a_rule_that_doesnt_do_what_it_should_is_named(rule: Any, what: str) -> None:
    register_check("mine", rule)
    try:
        with pytest.raises(RecordError, match=what):
            findings(["mine"])
    finally:
        unregister_check("mine")


def test_a_text_of_ones_own_is_a_finding() -> None:
    register_check("mine", lambda batch: None if batch.num_rows > 1 else "only one row")
    try:
        assert [each.message for each in findings(["mine"])] == ["validation: only one row"]
    finally:
        unregister_check("mine")


def test_names_of_our_rules_and_taken_ones_cant_be_registered() -> None:
    with pytest.raises(ConfigError, match="rule of ours"):
        register_check(next(iter(RULES)), len)
    register_check("mine", len)
    try:
        with pytest.raises(ConfigError, match="registered already"):
            register_check("mine", max)
    finally:
        unregister_check("mine")


def test_failure_cases_of_a_polars_schema_are_rows() -> None:
    pandera = pytest.importorskip("pandera.polars", reason="the extra `quality` isn't installed")
    schema = pandera.DataFrameSchema({"y": pandera.Column(float, pandera.Check.lt(3))})
    register_check("schema", schema)
    try:
        seen = findings(["schema"])
        assert [(each.column, each.count, each.rows) for each in seen] == [("y", 1, (2,)), ("y", 1, (0,))]
    finally:
        unregister_check("schema")


def test_a_refusal_fits_on_a_screen() -> None:
    many = [
        Finding("nan-share", Severity.ERROR, f"column {k}", rows=(k,), remedy="fill it") for k in range(200)
    ]
    worst = Finding("leakage", Severity.CRITICAL, "rows leak")
    lines = refusal([*many, worst, Finding("drift", Severity.WARNING, "no matter")]).splitlines()
    assert lines[0] == "  critical: rows leak"
    assert lines[1] == "  error: column 0 (rows 0); fill it"
    assert (len(lines), lines[-1]) == (11, "  and 191 more")
