"""A dataset of the hub becomes an artifact through the real library `datasets`, from a hub on the loopback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_server import Hub

pytest.importorskip("datasets", reason="the extra hf is not installed: pip install 'nexa-data[hf]'")

OLD, NEW, CODED = "a" * 40, "b" * 40, "c" * 40
NAMES = ["cat", "dog", "eel"]


def parquet(first: int, n: int) -> bytes:
    """Return a Parquet file as `datasets` pushes it, its classes named in the schema's metadata."""
    features = {
        "x": {"dtype": "float32", "_type": "Value"},
        "label": {"names": NAMES, "_type": "ClassLabel"},
    }
    rows = range(first, first + n)
    table = pa.table(
        {"x": pa.array(rows, pa.float32()), "label": pa.array([row % 3 for row in rows], pa.int64())}
    )
    named = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    sink = io.BytesIO()
    pq.write_table(named, sink)
    return sink.getvalue()


@pytest.fixture
def hub() -> Iterator[Hub]:
    card = b"---\nlicense: mit\n---\n"
    test = parquet(1000, 30)
    old = {
        "README.md": card,
        "data/train-00000-of-00001.parquet": parquet(0, 60),
        "data/test-00000-of-00001.parquet": test,
    }
    new = {**old, "data/train-00000-of-00001.parquet": parquet(0, 90)}
    coded = {"README.md": card, "tiny.py": b"raise SystemExit('code of the dataset was run')"}
    with serving("me/tiny", {OLD: old, NEW: new, CODED: coded}, {"main": NEW, "v1": OLD}) as hub:
        yield hub


def run(hub: Hub, folder: Path, uri: str, *changes: str, **env: str) -> tuple[int, dict[str, Any], str]:
    """Return exit code, result and messages of `prepare`; the endpoint is read when the hub's library is imported."""
    config = folder / "config.yaml"
    config.write_text(f"experiment: {{output_dir: {folder}}}\ndata: {{dataset_name: tiny}}\n")
    command = [sys.executable, "-m", "nexa_data.cli", "prepare", str(config), "--json"]
    overrides = [f"data.source_uri={uri}", *changes]
    done = subprocess.run(
        [*command, *(part for change in overrides for part in ("--set", change))],
        env={**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / "hf"), **env},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def metadata(made: dict[str, Any]) -> dict[str, Any]:
    with open(f"{made['uri']}/dataset_metadata.json", encoding="utf-8") as file:  # noqa: PTH123 (a text path)
        found: dict[str, Any] = json.load(file)
    return found


def test_a_name_brings_splits_and_class_names_and_its_content_is_in_the_key(hub: Hub, tmp_path: Path) -> None:
    code, newest, said = run(hub, tmp_path, "hf://me/tiny")
    assert code == 0, said
    assert newest["records"] == 120
    assert metadata(newest)["split"] == ["train", "test"]
    assert metadata(newest)["label"]["classes"] == NAMES
    code, old, said = run(hub, tmp_path, "hf://datasets/me/tiny@v1")
    assert (code, old["records"]) == (0, 90), said
    assert old["labels"]["key"] != newest["labels"]["key"]
    # The same name over other content: the branch moves back.
    hub.branches["main"] = OLD
    code, moved, said = run(hub, tmp_path, "hf://me/tiny")
    assert (code, moved["records"], moved["reused"]) == (0, 90, False), said


def test_one_split_is_cut_as_the_config_says(hub: Hub, tmp_path: Path) -> None:
    code, made, said = run(hub, tmp_path, f"hf://me/tiny@{OLD}?split=train")
    assert (code, made["records"]) == (0, 60), said
    assert metadata(made)["split"] == {"train": 0.8, "validation": 0.1, "test": 0.1}


def test_what_the_hub_does_not_have_is_named(hub: Hub, tmp_path: Path) -> None:
    for uri, what in {
        "hf://me/tiny@v9": "names no commit of 'v9'",
        "hf://me/other": "me/other",
        "hf://me/tiny?config=german": "Available: ['default']",
        "hf://me/tiny?split=dev": "no split 'dev'; known: train, test",
    }.items():
        code, _, said = run(hub, tmp_path, uri)
        assert code in {1, 2}, uri
        assert what in said, said


def test_code_of_a_dataset_is_never_run(hub: Hub, tmp_path: Path) -> None:
    code, _, said = run(hub, tmp_path, f"hf://me/tiny@{CODED}", HF_DATASETS_TRUST_REMOTE_CODE="1")
    assert code == 3, said
    assert "source_uri 'hf://me/tiny@" in said
    assert "code of the dataset was run" not in said


def test_without_the_hub_another_commit_than_the_named_one_is_refused(hub: Hub, tmp_path: Path) -> None:
    assert run(hub, tmp_path, "hf://me/tiny")[0] == 0
    code, _, said = run(hub, tmp_path, f"hf://me/tiny@{OLD}", HF_HUB_OFFLINE="1")
    assert (code, f"the newest in the cache is commit {NEW}" in said) == (3, True), said
    code, made, said = run(hub, tmp_path, f"hf://me/tiny@{NEW}", HF_HUB_OFFLINE="1")
    assert (code, made.get("records")) == (0, 120), said


def test_a_folder_of_the_same_name_is_not_taken_for_the_dataset(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "me" / "tiny").mkdir(parents=True)
    (tmp_path / "me" / "tiny" / "x.csv").write_text("x,label\n1,0\n")
    code, _, said = run(hub, tmp_path, "hf://me/tiny")
    assert (code, "the working directory has a 'me/tiny'" in said) == (2, True), said
