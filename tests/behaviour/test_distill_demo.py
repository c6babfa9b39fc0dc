"""The whole road of distillation as the README shows it, with a real teacher on loopback."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from nexa_data.distill_demo import run_distill_demo, show_distill_demo

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
TEACHER = ROOT / "tests" / "data" / "teacher" / "tiny.gguf"


def test_a_student_learns_more_from_a_teachers_probabilities_than_from_hard_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("xllamacpp", reason="the real teacher needs xllamacpp (extra `dev`)")
    result = run_distill_demo(TEACHER, tmp_path)
    assert result.report.counts["ok"] == 600
    assert result.soft.accuracy > result.hard.accuracy + 0.03
    assert result.soft.entropy < result.soft.cross_entropy < result.hard.cross_entropy - 0.05
    show_distill_demo(result)
    shown = capsys.readouterr().out
    assert "600 of 600" in shown
    assert re.search(r"on hard labels +0\.\d{3}", shown)


def nexa_data(folder: Path, url: str, arguments: Sequence[str]) -> str:
    environment = {"OPENAI_BASE_URL": url, "PYTHONPATH": str(ROOT / "python"), "PATH": "/usr/bin:/bin"}
    ended = subprocess.run(
        [sys.executable, "-m", "nexa_data.cli", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_commands_of_the_readme_run_as_written(teacher_url: str, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    section = readme[readme.index("## Distil a classifier") : readme.index("## From Python")]
    commands = re.findall(r"^nexa-data (distill .*?)(?: +#.*)?$", section, re.MULTILINE)
    assert len(commands) == 3
    for name in ("configs", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    plan, collected, _ = (nexa_data(tmp_path, teacher_url, command.split()) for command in commands)
    assert "nothing was sent" in plan
    assert re.search(r"^ok +32$", collected, re.MULTILINE)
    metadata = json.loads((tmp_path / "runs/distill/soft-targets/dataset_metadata.json").read_text())
    assert metadata["dataset_name"] == "soft-targets"
