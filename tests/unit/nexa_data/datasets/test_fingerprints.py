from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from nexa_data.datasets.files import find_files
from nexa_data.datasets.fingerprints import fingerprint_files

if TYPE_CHECKING:
    from pathlib import Path


def fingerprint(folder: Path, cache: Path) -> str:
    return fingerprint_files(find_files([str(folder)]), cache)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for name in ("a.csv", "b.csv"):
        (tmp_path / "data" / name).write_text(name)
    return tmp_path / "data"


def test_it_follows_contents_and_names(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    first = fingerprint(folder, cache)
    assert fingerprint(folder, cache) == first
    assert fingerprint(folder, tmp_path / "other.json") == first
    (folder / "a.csv").write_text("A.csv")
    changed = fingerprint(folder, cache)
    (folder / "a.csv").rename(folder / "c.csv")
    renamed = fingerprint(folder, cache)
    (folder / "d.csv").write_text("")
    assert len({first, changed, renamed, fingerprint(folder, cache)}) == 4


def test_it_is_the_same_after_a_move_or_a_copy(folder: Path, tmp_path: Path) -> None:
    first = fingerprint(folder, tmp_path / "cache.json")
    folder.rename(tmp_path / "moved")
    assert fingerprint(tmp_path / "moved", tmp_path / "cache.json") == first


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_cache_is_made_anew(folder: Path, tmp_path: Path, content: bytes) -> None:
    cache = tmp_path / "cache.json"
    first = fingerprint(folder, cache)
    cache.write_bytes(content)
    assert fingerprint(folder, cache) == first
    assert len(json.loads(cache.read_bytes())) == 2


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert fingerprint(folder, tmp_path / "file" / "cache.json") == fingerprint(
        folder, tmp_path / "cache.json"
    )
