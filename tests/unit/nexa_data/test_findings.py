from __future__ import annotations

import json

import pytest
from nexa_data.findings import SCHEMA_VERSION, Finding, Severity, findings_report, refuses

WARNING = Finding("a", Severity.WARNING, "mild")
ERROR = Finding("b", Severity.ERROR, "bad", shard="x.arrow", line=3, rows=(1, 2), remedy="fix it")
CRITICAL = Finding("c", Severity.CRITICAL, "worst")


@pytest.mark.parametrize(
    ("fail_on", "refused"),
    [
        (Severity.WARNING, [True, True, True]),
        (Severity.ERROR, [False, True, True]),
        (Severity.CRITICAL, [False, False, True]),
    ],
)
def test_a_finding_refuses_from_the_wanted_severity_on(fail_on: Severity, refused: list[bool]) -> None:
    assert [refuses([finding], fail_on) for finding in (WARNING, ERROR, CRITICAL)] == refused


def test_no_finding_refuses_nothing_and_one_of_many_is_enough() -> None:
    assert not refuses([], Severity.WARNING)
    assert refuses([WARNING, ERROR])


def test_the_report_has_the_settled_form() -> None:
    report = json.loads(json.dumps(findings_report([WARNING, ERROR])))
    assert report["schema_version"] == SCHEMA_VERSION
    assert report["verdict"] == "refused"
    assert findings_report([WARNING])["verdict"] == "accepted"
    assert findings_report([WARNING], Severity.WARNING)["verdict"] == "refused"
    assert set(report["findings"][1]) == {
        "code", "severity", "message", "column", "count", "share", "shard", "line", "rows", "remedy",
    }  # fmt: skip
    assert report["findings"][1]["severity"] == "error"
    assert report["findings"][1]["rows"] == [1, 2]


def test_a_finding_reads_as_place_what_and_remedy() -> None:
    assert str(ERROR) == "x.arrow:3: bad; fix it"
    assert str(WARNING) == "mild"
