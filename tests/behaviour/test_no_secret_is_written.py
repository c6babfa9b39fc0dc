"""A secret in every field that takes text, in source URIs and the environment, stands in no byte of what is written or said."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = ["sk-planted-0123456789abcdef", "swordfish-in-a-variable", "hunter2hunter2"]


def run(arguments: list[Any], folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "nexa_data.cli", *map(str, arguments)],
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "TEACHER_API_TOKEN": SECRETS[1],
            "PROJECT_SECRET": SECRETS[2],
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def config(folder: Path, **data: Any) -> Path:
    said = " ".join(SECRETS[:1]) + " ${oc.env:TEACHER_API_TOKEN} ${oc.env:PROJECT_SECRET}"
    mapping = {
        "data": {
            "dataset_name": "mine",
            "source_uri": "source/*.parquet",
            "preprocessing": {"label": "label", "options": {"note": said, "password": "p", said: said}},
            "checks": [{"allowed": {"column": "city", "value": ["Rome", said]}}],
            "filters": [],
            **data,
        },
        "experiment": {"output_dir": "runs", "tags": [said]},
        "project": {"api_key": said},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(mapping))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    rows = {"x": [float(k) for k in range(200)], "city": ["Rome"] * 200, "label": [k % 2 for k in range(200)]}
    pq.write_table(pa.table(rows), tmp_path / "source" / "a.parquet")
    return tmp_path


def assert_nowhere(folder: Path, said: str, but: Path) -> None:
    for secret in SECRETS:
        assert secret not in said, said
        for file in folder.rglob("*"):
            assert secret not in file.name
            if file.is_file() and file != but:
                assert secret.encode() not in file.read_bytes(), file


def test_nothing_that_is_written_or_said_holds_a_secret(folder: Path) -> None:
    path = config(
        folder,
        preprocessing={
            "label": "label",
            "features": ["x"],
            "columns": ["city"],
            "options": {"token": SECRETS[2], "say": " ".join(SECRETS)},
        },
    )
    said = ""
    for arguments in (
        ["config", "check", path, "--json"],
        ["prepare", path, "--verbose", "--debug"],
        ["prepare", path, "--json"],
        ["run", path],
        ["validate", "runs/default/datasets/mine/latest", "--output", "report"],
        ["report", "runs/default/datasets/mine/latest"],
        ["stage", "runs/default/datasets/mine/latest", "staged"],
        ["inspect", "runs/default/datasets/mine/latest", "--json"],
    ):
        code, told = run(arguments, folder)
        assert code == 0, told
        said += told
    assert_nowhere(folder, said, but=path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"checks": [{"allowed": {"column": "city", "value": [*SECRETS]}}]},
        {"source_uri": f"https://{SECRETS[0]}:{SECRETS[1]}@host/x?sig={SECRETS[2]}"},
        {"source_uri": f"nowhere/{SECRETS[0]}/*.parquet"},
        {"preprocessing": {"label": f"{SECRETS[0]} {SECRETS[1]}"}},
        {"checks": [{SECRETS[0]: 1}]},
    ],
)
def test_no_failure_tells_a_secret(folder: Path, wrong: dict[str, Any]) -> None:
    path = config(folder, **wrong)
    for flags in ([], ["--debug", "--verbose"]):
        code, said = run(["prepare", path, *flags], folder)
        assert code != 0
        assert_nowhere(folder, said, but=path)


def test_a_log_of_ours_holds_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from nexa_data.console import configure_logging

    monkeypatch.setenv("TEACHER_API_TOKEN", SECRETS[1])
    logger = logging.getLogger("nexa_data")
    before = list(logger.handlers), logger.level
    try:
        configure_logging(verbose=False)
        logger.warning("sent %s to %s", SECRETS[1], "https://me:pw@host")
        assert capsys.readouterr().err == "warning: sent [redacted] to https://[redacted]@host\n"
    finally:
        logger.handlers, logger.level = before
