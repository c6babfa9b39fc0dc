from __future__ import annotations

import json
import os
import shutil
from pathlib import Path  # noqa: TC003 (pytest reads annotations of fixtures)
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nexa_data.artifact_diff import compare_artifacts
from nexa_data.artifacts import ArtifactWriter, partial_path
from nexa_data.cli import main
from nexa_data.distill_materialize import materialize_distilled_dataset
from nexa_data.errors import ArtifactError, ShardNotFoundError
from nexa_data.holds import hold_artifact
from nexa_data.prepare import prepare_from_config, stage_catalog_to_nvme
from nexa_data.store_view import collect_garbage, find_artifacts, find_garbage, lineage


def prepared(folder: Path, version: str = "1", **preprocessing: Any) -> Path:
    data = {
        "dataset_name": "synthetic",
        "dataset_version": version,
        "preprocessing": {"num_samples": 400, "num_features": 4} | preprocessing,
    }
    return prepare_from_config({"data": data, "experiment": {"output_dir": str(folder / "runs")}}).path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for version in ("1", "2", "3"):
        prepared(tmp_path, version)
    return tmp_path / "runs"


def names(garbage: list[Any]) -> list[str]:
    return [each.path.name[:2] for each in garbage]


def test_a_store_is_listed_whatever_else_lies_in_it(store: Path) -> None:
    newest = find_artifacts(store)[-1]
    assert newest.latest
    damaged = find_artifacts(store)[0].path
    (damaged / "meta.json").write_text("{")
    (store / "default" / "notes").mkdir()
    (store / "loop").symlink_to(store)
    partial_path(newest.path.with_name("4-dead")).mkdir()
    found = find_artifacts(store)
    assert [each.state for each in found] == ["unfinished", "damaged", "complete", "complete"]
    assert [each.records for each in found if each.meta] == [400, 400]
    assert [each.latest for each in found if each.meta] == [False, True]
    with pytest.raises(ShardNotFoundError, match="no folder"):
        find_artifacts(store / "nowhere")


def test_the_newest_what_is_latest_and_what_others_came_from_stay(store: Path) -> None:
    assert names(find_garbage(store)) == ["1-", "2-"]
    assert names(find_garbage(store, keep=2)) == ["1-"]
    assert names(find_garbage(store, keep=3)) == []
    assert names(find_garbage(store, older_than_s=3600)) == []
    oldest = find_artifacts(store)[0].path
    stage_catalog_to_nvme(oldest, store / "staged")
    assert names(find_garbage(store)) == ["2-"]


def test_what_is_held_or_being_written_stays(store: Path) -> None:
    first, second, _ = (each.path for each in find_artifacts(store))
    hold = hold_artifact(first)
    assert hold
    gone = collect_garbage(find_garbage(store))
    assert names(gone) == ["2-"]
    assert first.is_dir()
    assert not second.exists()
    hold.close()
    assert names(collect_garbage(find_garbage(store))) == ["1-"]
    assert len(find_artifacts(store)) == 1


def test_what_a_stopped_run_has_left_goes(store: Path) -> None:
    left = partial_path(find_artifacts(store)[0].path.with_name("9-dead"))
    left.mkdir()
    (left / "shard").write_bytes(b"x" * 1000)
    found = find_garbage(store, keep=9)
    assert [(each.path, each.bytes) for each in found] == [(left, 1000)]
    collect_garbage(found)
    assert not left.exists()


def test_lineage_leads_back_to_the_files(tmp_path: Path) -> None:
    rows = {"x": [float(k) for k in range(300)], "label": [k % 2 for k in range(300)]}
    source = tmp_path / "rows.parquet"
    pq.write_table(pa.table(rows), source)
    data = {"dataset_name": "rows", "source_uri": str(source)}
    made = prepare_from_config({"data": data, "experiment": {"output_dir": str(tmp_path / "runs")}})
    staged = stage_catalog_to_nvme(made.path, tmp_path / "staged")
    assert [line.split("  ")[-2:-1] or line for line in lineage(staged.path).lines()]
    tree = lineage(staged.path)
    assert (tree.what, tree.inputs[0].where, tree.inputs[0].hash) == ("staged-dataset", made.uri, made.hash)
    assert [(each.what, each.where, each.state) for each in tree.inputs[0].inputs] == [
        ("source", str(source), "there")
    ]
    source.unlink()
    assert lineage(made.path).inputs[0].state == "gone"
    shutil.rmtree(made.path)
    assert lineage(staged.path).inputs[0].state == "gone"
    with pytest.raises(ArtifactError):
        lineage(tmp_path)


@pytest.mark.parametrize(
    "said", ["{}/shards/*.arrow", "{}/catalog.jsonl", "file://{}/shards/train-00000.arrow"]
)
def test_what_was_made_from_an_artifacts_files_leads_to_it_and_keeps_it(tmp_path: Path, said: str) -> None:
    first = prepared(tmp_path, "1")
    prepared(tmp_path, "2")
    assert names(find_garbage(tmp_path / "runs")) == ["1-"]
    with ArtifactWriter(
        tmp_path / "runs" / "other", kind="x", inputs={"source": said.format(first)}
    ) as writer:
        (writer.path / "payload").write_text("1")
        made = writer.publish()
    assert lineage(made.path).inputs[0].where == str(first)
    assert names(find_garbage(tmp_path / "runs")) == []


def test_a_distilled_dataset_leads_back_to_what_the_teacher_was_asked_about(tmp_path: Path) -> None:
    asked = tmp_path / "rows.parquet"
    asked.write_bytes(b"rows")
    inputs = {"files": {str(asked): "sha256:0"}}
    with ArtifactWriter(tmp_path / "answers", kind="teacher-outputs", inputs=inputs) as writer:
        (writer.path / "teacher_outputs.parquet").write_bytes(b"answers")
        answers = writer.publish()
    catalog = materialize_distilled_dataset(
        [[0.5, 0.5]], [1], tmp_path / "made", form="arrow", origin=answers.path / "teacher_outputs.parquet"
    )
    tree = lineage(catalog.parent)
    assert [each.where for each in tree.inputs] == [answers.uri]
    assert (tree.inputs[0].hash, tree.inputs[0].state) == (answers.hash, "there")
    assert [(each.where, each.state) for each in tree.inputs[0].inputs] == [(str(asked), "there")]
    with ArtifactWriter(tmp_path / "answers", kind="teacher-outputs", inputs=inputs) as writer:
        (writer.path / "teacher_outputs.parquet").write_bytes(b"other answers")
        writer.publish()
    assert lineage(catalog.parent).inputs[0].state == "changed"


def test_what_differs_is_told_and_what_doesnt_isnt(tmp_path: Path) -> None:
    one, same = prepared(tmp_path, "1"), prepared(tmp_path, "2")
    assert not any(compare_artifacts(one, one).values())
    assert {part: lines for part, lines in compare_artifacts(one, same).items() if lines} == {
        "config": ["+ config.dataset_version: 2"]
    }
    other = prepared(tmp_path, "1", num_samples=900, num_features=5, class_sep=9.0)
    found = compare_artifacts(one, other)
    assert found["columns"] == ["~ features: float32 [4] → float32 [5]"]
    assert "~ config.preprocessing.num_samples: 400 → 900" in found["config"]
    assert any(line.startswith("~ train") for line in found["splits"])
    assert any(line.startswith("features[0] in train: PSI") for line in found["drift"])


def test_the_commands_say_what_they_found(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, _ = (str(each.path) for each in find_artifacts(store))
    assert main(["artifacts", "list", str(store)]) == 0
    assert capsys.readouterr().out.count("dataset ") >= 3
    assert main(["artifacts", "list", str(store), "--json", "--kind", "dataset"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3
    assert main(["artifacts", "show", first]) == 0
    assert "train" in capsys.readouterr().out
    assert main(["artifacts", "lineage", first]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "  source  synthetic"
    assert main(["artifacts", "diff", first, first, "--exit-code"]) == 0
    assert capsys.readouterr().out == "they are the same\n"
    assert main(["artifacts", "diff", first, second, "--exit-code"]) == 1
    assert "dataset_version: 2" in capsys.readouterr().out
    assert main(["artifacts", "gc", str(store), "--dry-run"]) == 0
    assert "2 folders" in capsys.readouterr().out
    assert main(["artifacts", "gc", str(store)]) == 2
    assert "--yes" in capsys.readouterr().err
    assert main(["artifacts", "gc", str(store), "--older-than", "soon"]) == 2
    assert main(["artifacts", "gc", str(store), "--yes"]) == 0
    assert not os.path.exists(first)  # noqa: PTH110 (a text)
    assert main(["artifacts", "list", str(store / "nowhere")]) == 1
