"""The installed command as a shell and a scheduler meet it, and the demo from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from nexa_data.cli import main

if TYPE_CHECKING:
    from collections.abc import Sequence

HEAVY = ("torch", "pyarrow", "pydantic", "numpy", "openai", "omegaconf", "sklearn")


def _nexa(arguments: Sequence[object], cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nexa_data.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_help_imports_nothing_heavy() -> None:
    script = f"""
import sys
from nexa_data.cli import main
code = main(["--help"])
loaded = [name for name in {HEAVY!r} if name in sys.modules]
sys.exit(f"loaded {{loaded}}" if loaded or code else 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_console_script_is_installed() -> None:
    script = Path(sys.executable).with_name("nexa-data")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("nexa-data ")


def test_a_shell_gets_results_on_stdout_errors_on_stderr_and_the_code(tmp_path: Path) -> None:
    (tmp_path / "flowers.csv").write_text(
        "size,species\n" + "".join(f"{at}.5,{'ab'[at % 2]}\n" for at in range(99))
    )
    written = _nexa(["init", "flowers.csv"], tmp_path)
    assert (written.returncode, written.stdout) == (0, "config.yaml\n")
    prepared = _nexa(["prepare", "config.yaml", "--json"], tmp_path)
    assert (prepared.returncode, prepared.stderr) == (0, "")
    assert json.loads(prepared.stdout)["records"] == 99
    refused = _nexa(["prepare", "config.yaml", "--set", "data.checks=[{min_class_count: 999}]"], tmp_path)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert refused.stderr.startswith("error: ")


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    script = f"{sys.executable} -m nexa_data.cli config schema | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)  # noqa: S607 (the user's shell)
    assert (done.stdout, done.stderr) == ("{\n0\n", "")


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the demo writes; several tests share it."""
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn (extra `demo`)")
    return tmp_path_factory.mktemp("demo") / "out"


def test_the_demo_learns_digits_and_reuses_its_artifact_the_second_time(
    demo_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--output", str(demo_folder)]) == 0
    first = capsys.readouterr()
    accuracy, reused = first.out.splitlines()[-2:]
    assert first.err == ""
    assert float(accuracy.removeprefix("test_accuracy=")) >= 0.95
    assert reused == "reused=false"

    assert main(["demo", "--output", str(demo_folder), "--json"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["reused"] is True
    assert f"test_accuracy={second['test_accuracy']:.3f}" == accuracy
    assert [step["name"] for step in second["steps"]] == [
        "prepare",
        "validate",
        "stage",
        "load",
        "train",
        "test",
    ]
    assert second["artifact"]["hash"] in first.out


def test_the_commands_that_the_demo_proposes_all_work(
    demo_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo_folder.parent)
    main(["demo", "--output", demo_folder.name])
    lines = capsys.readouterr().out.splitlines()
    proposed = [line.partition("nexa-data ")[2].split() for line in lines if "  nexa-data " in line]
    assert len(proposed) == 7
    monkeypatch.setattr("webbrowser.open", lambda _: True)
    for command in proposed:
        assert main(command) == 0, command


def test_the_demo_without_scikit_learn_names_the_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert main(["demo", "--output", str(tmp_path)]) == 1
    assert "pip install 'nexa-data[demo]'" in capsys.readouterr().err
