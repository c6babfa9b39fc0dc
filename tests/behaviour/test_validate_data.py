"""`validate`, `report` and the gate of `prepare`, as a shell sees them."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 (pytest reads annotations of fixtures)
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from nexa_data.artifacts import read_meta
from nexa_data.cli import main
from nexa_data.quality.model import QualityReport
from nexa_data.quality.report import report_schema


def rows(n: int = 3000, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "age": random.uniform(18, 80, n),
        "income": random.lognormal(10, 1, n),
        "city": np.array(["Rome", "Oslo", "Bern"])[random.integers(0, 3, n)],
        "label": random.integers(0, 2, n),
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table(rows()), tmp_path / "sound.parquet")
    faulty = rows(seed=1)
    faulty["age"][:30] = -1.0
    faulty["income"] = faulty["income"] * 4
    pq.write_table(pa.table(faulty), tmp_path / "faulty.parquet")
    (tmp_path / "rules.yaml").write_text(
        "checks:\n- range: {min: 0, max: 120, column: age}\n- max_drift: {psi: 0.2}\n"
    )
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump(
            {
                "data": {
                    "dataset_name": "people",
                    "source_uri": "faulty.parquet",
                    "preprocessing": {"features": ["age", "income"], "columns": ["city"]},
                    "checks": [
                        {"range": {"min": 0, "column": "age"}},
                        {"allowed": {"column": "city", "value": ["Rome", "Oslo"]}},
                    ],
                },
                "experiment": {"output_dir": "runs"},
            }
        )
    )
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_sound_files_are_fit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "validate", "sound.parquet") == (
        0,
        f"source {folder / 'sound.parquet'}: no findings (quality of 3,000 rows)\n",
        "",
    )


def test_rules_and_a_reference_refuse_what_breaks_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = told(
        capsys,
        "validate",
        "faulty.parquet",
        "--rules",
        "rules.yaml",
        "--reference",
        "sound.parquet",
        "-o",
        "report",
    )
    assert code == 3
    assert "values of age in data lie in [-1," in out
    assert "income in data has moved from the reference: PSI" in out
    assert "quality_report.json" in err
    report = QualityReport.model_validate_json((folder / "report" / "quality_report.json").read_bytes())
    assert (report.verdict, report.drift and report.drift.reference.uri) == ("refused", "sound.parquet")
    page = (folder / "report" / "quality_report.html").read_text()
    assert "Not fit for training" in page
    assert told(capsys, "report", "report/quality_report.json", "-o", "again.html")[:2] == (0, "again.html\n")
    assert (folder / "again.html").read_text() == page


def test_the_schema_is_that_of_what_is_written(folder: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    main(["validate", "faulty.parquet", "--reference", "sound.parquet", "-o", "report"])
    stored = json.loads((folder / "report" / "quality_report.json").read_bytes())
    jsonschema.Draft202012Validator(report_schema()).validate(stored)
    assert stored["schema_version"] == 1


@pytest.mark.usefixtures("folder")
def test_warnings_refuse_where_they_are_asked_to(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("validate", "faulty.parquet", "--reference", "sound.parquet")
    assert told(capsys, *arguments)[0] == 0
    assert told(capsys, *arguments, "--fail-on", "warning")[0] == 3
    code, out, _ = told(capsys, *arguments, "--fail-on", "critical", "--json")
    assert (code, json.loads(out)["verdict"]) == (0, "accepted")


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("- max_nan_shar: 0\n", 2, "did you mean max_nan_share"),
        ("rules: 3\n", 2, "no list of rules"),
        ("- [\n", 2, "no YAML"),
        ("- allowed: {column: town, value: [x]}\n", 2, "no column town"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_rules_that_are_none_are_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, code: int, said: str
) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    found, out, err = told(capsys, "validate", "sound.parquet", "--rules", "bad.yaml")
    assert (found, out) == (code, "")
    assert said in err


def test_a_refused_prepare_leaves_nothing_and_says_in_a_screen_what_to_mend(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = told(capsys, "prepare", "config.yaml")
    assert (code, out) == (3, "")
    lines = err.splitlines()
    assert len(lines) < 20
    assert "nothing was published" in lines[0]
    assert any("age in train lie in [-1" in line for line in lines)
    assert any("city in train are none of ['Rome', 'Oslo']" in line and "rows " in line for line in lines)
    store = folder / "runs" / "default" / "datasets" / "people"
    assert not [each for each in store.iterdir() if each.is_dir()]


def test_what_was_allowed_although_invalid_says_so_and_is_refused_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = told(capsys, "prepare", "config.yaml", "--allow-invalid")
    assert code == 0
    assert "not fit for training" in out
    latest = folder / "runs" / "default" / "datasets" / "people" / "latest"
    assert read_meta(latest).labels["invalid"].endswith("findings")
    code, _, err = told(capsys, "prepare", "config.yaml")
    assert code == 3
    assert "although it breaks data.checks" in err
    assert told(capsys, "prepare", "config.yaml", "--allow-invalid")[0] == 0
    assert told(capsys, "validate", str(latest))[0] == 0


def test_an_artifact_is_judged_from_what_is_stored_with_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, "prepare", "config.yaml", "--set", "data.checks=[]")[0] == 0
    latest = folder / "runs" / "default" / "datasets" / "people" / "latest"
    code, out, _ = told(capsys, "validate", str(latest), "--rules", "rules.yaml")
    assert code == 3
    assert "values of age in train lie in" in out
    assert "quality of 3,000 rows" in out
    assert told(capsys, "report", str(latest), "-o", "page.html")[0] == 0
    assert "<h1>" in (folder / "page.html").read_text()


def test_damaged_and_newer_reports_are_refused_with_what_they_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "r.json").write_text('{"schema_version": 99}')
    code, _, err = told(capsys, "report", "r.json")
    assert (code, "version 99" in err) == (1, True)
    (folder / "r.json").write_text('{"verdict": "maybe"}')
    assert "is damaged" in told(capsys, "report", "r.json")[2]
    code, _, err = told(capsys, "report", "nowhere")
    assert code == 1
    assert "nexa-data validate" in err
