"""The doctor tells what is there, and says so instead of failing where something is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from nexa_data import _core
from nexa_data.doctor import Diagnosis, examine, show_diagnoses
from nexa_data.errors import ShardNotFoundError


def _by_name(folder: Path) -> dict[str, Diagnosis]:
    return {each.name: each for each in examine(folder)}


def test_installation_machine_and_disk_are_described(tmp_path: Path) -> None:
    found = _by_name(tmp_path)
    assert found["core"].value == _core.build_info()
    assert found["threads"].value == _core.default_threads()
    assert found["filesystem"].value == _core.filesystem(tmp_path)[0]
    assert found["writable"].value is True
    assert isinstance(found["direct_io"].value, bool)
    assert isinstance(found["io_uring"].value, bool)
    assert found["free_bytes"].value > 0
    assert found["devices"].value[0] == "cpu"
    assert not list(tmp_path.iterdir())


def test_without_torch_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    found = _by_name(tmp_path)
    assert found["torch"].value is None
    assert "pip install torch" in (found["torch"].warning or "")
    assert "free_bytes" in found


def test_a_debug_build_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = _core.build_info() | {"profile": "debug"}
    monkeypatch.setattr(_core, "build_info", lambda: slow)
    assert "--release" in (_by_name(tmp_path)["core"].warning or "")
    show_diagnoses(examine(tmp_path))
    assert "warning: core: a debug build" in capsys.readouterr().out


def test_a_network_file_system_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "filesystem", lambda _: ("nfs", True))
    assert "network" in (_by_name(tmp_path)["filesystem"].warning or "")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write to: /proc")
def test_a_folder_that_cannot_be_written_is_a_warning() -> None:
    found = _by_name(Path("/proc"))
    assert found["writable"].value is False
    assert "name another folder" in (found["writable"].warning or "")


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ShardNotFoundError, match="no folder"):
        examine(tmp_path / "nope")
