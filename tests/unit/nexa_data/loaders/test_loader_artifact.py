from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest
from nexa_data.artifacts import read_meta, verify_artifact
from nexa_data.errors import ArtifactError, ShardNotFoundError
from nexa_data.loaders.torch_loader import build_loader
from nexa_data.prepare import prepare_from_config

if TYPE_CHECKING:
    from pathlib import Path


def folder_of(config: dict[str, Any], **arguments: Any) -> Path:
    loader: Any = build_loader(config, "train", **arguments)
    folder: Path = loader.dataset.folder
    return folder


def test_alone_it_prepares_what_is_missing_and_reuses_what_is_there(small_config: dict[str, Any]) -> None:
    folder = folder_of(small_config)
    assert prepare_from_config(small_config).path == folder
    before = (folder / "COMPLETE").stat().st_mtime_ns
    assert folder_of(small_config) == folder
    assert (folder / "COMPLETE").stat().st_mtime_ns == before


def test_in_a_distributed_run_it_never_prepares_but_says_the_command(
    small_config: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match=r"not prepared.*call build_loader in a process of its own"):
        build_loader(small_config, "train", rank=1, world_size=2)
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(small_config))
    with pytest.raises(ArtifactError, match=rf"not prepared.*`nexa-data run {re.escape(str(file))}`"):
        build_loader(file, "train", rank=1, world_size=2)
    assert not (tmp_path / "runs").exists()
    prepare_from_config(small_config)
    assert folder_of(small_config, rank=1, world_size=2) == prepare_from_config(small_config).path


def test_metadata_alone_is_no_dataset_to_load(small_config: dict[str, Any]) -> None:
    prepare_from_config(small_config, materialize_only=True)
    with pytest.raises(ArtifactError, match="not prepared"):
        build_loader(small_config, "train", shard=(0, 2))


def test_with_a_cache_alone_it_stages_first_and_reads_there(
    small_config: dict[str, Any], tmp_path: Path
) -> None:
    small_config["data"]["cache_dir"] = str(tmp_path / "fast")
    folder = folder_of(small_config)
    assert folder.parent == tmp_path / "fast"
    meta = verify_artifact(folder)
    assert meta.labels["source_hash"] == prepare_from_config(small_config).hash
    assert folder_of(small_config) == folder
    assert folder_of(small_config, rank=0, world_size=2) == folder


def test_in_a_distributed_run_an_unstaged_dataset_is_read_where_it_is_and_said(
    small_config: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small_config["data"]["cache_dir"] = str(tmp_path / "fast")
    prepared = prepare_from_config(small_config)
    assert folder_of(small_config, rank=0, world_size=2) == prepared.path
    assert "is not staged" in caplog.text
    assert not (tmp_path / "fast").exists()


def test_a_cache_that_cannot_be_written_costs_speed_and_is_said(
    small_config: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    small_config["data"]["cache_dir"] = str(tmp_path / "file" / "cache")
    with caplog.at_level(logging.WARNING):
        assert folder_of(small_config) == prepare_from_config(small_config).path
    assert "could not be staged" in caplog.text


def test_a_state_may_move_between_the_staged_copy_and_the_original(
    small_config: dict[str, Any], tmp_path: Path
) -> None:
    plain = build_loader(small_config, "train")
    next(iter(plain))
    small_config["data"]["cache_dir"] = str(tmp_path / "fast")
    staged = build_loader(small_config, "train")
    staged.load_state_dict(plain.state_dict())
    assert len(list(staged)) == len(plain) - 1


def test_a_changed_config_is_not_served_from_the_old_copy(
    small_config: dict[str, Any], tmp_path: Path
) -> None:
    small_config["data"]["cache_dir"] = str(tmp_path / "fast")
    first = folder_of(small_config)
    small_config["data"]["preprocessing"]["seed"] = 3
    second = folder_of(small_config)
    assert first != second
    assert read_meta(first).labels["source_hash"] != read_meta(second).labels["source_hash"]


def test_what_was_prepared_is_served_when_its_source_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make_config: Any
) -> None:
    (tmp_path / "in.csv").write_text("x,label\n" + "".join(f"{at},{at % 2}\n" for at in range(100)))
    config = make_config(dataset_name="mine", source_uri=str(tmp_path / "in.csv"))
    folder = folder_of(config)
    (tmp_path / "in.csv").unlink()
    assert folder_of(config) == folder
    assert "is not there; using" in caplog.text
    config["data"]["preprocessing"] = {"seed": 9}
    with pytest.raises(ShardNotFoundError, match=r"in\.csv"):
        build_loader(config, "train")
