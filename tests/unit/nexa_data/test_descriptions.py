from __future__ import annotations

import json
import logging
import re
from pathlib import Path  # noqa: TC003 (pytest reads annotations of fixtures)
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from nexa_data.artifact_facts import ArtifactFacts, ColumnFacts, SplitFacts
from nexa_data.croissant import CROISSANT_NAME, croissant_description
from nexa_data.dataset_card import CARD_NAME, dataset_card
from nexa_data.prepare import prepare_from_config, stage_catalog_to_nvme

RECOMMENDED = {"citeAs", "license"}
"""What only a person can say."""


def prepared(folder: Path, **preprocessing: Any) -> Path:
    preprocessing = {"num_samples": 300, "num_features": 3, "num_classes": 2} | preprocessing
    data = {"dataset_name": "synthetic", "dataset_version": "2.1", "preprocessing": preprocessing}
    return prepare_from_config({"data": data, "experiment": {"output_dir": str(folder)}}).path


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("described"))


def facts(
    name: str, column: str, label: str, classes: tuple[str, ...], split: str = "train"
) -> ArtifactFacts:
    splits = {split: SplitFacts([(f"shards/{split}-00000.arrow", 12, "ab" * 32)], 3, 12)}
    columns = (ColumnFacts(column, "float32", (4,)), ColumnFacts(label, "int64", (), classes, len(classes)))
    return ArtifactFacts(name, "1", "dataset", splits, columns, "class", {"source": [name]}, ("accepted", 0))


def test_huggingface_hub_reads_the_card(artifact: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="the extra `meta` isn't installed")
    card = hub.DatasetCard.load(artifact / CARD_NAME)
    known = card.data.to_dict()
    assert known["pretty_name"] == "synthetic"
    assert known["size_categories"] == ["n<1K"]
    assert known["task_categories"] == ["tabular-classification"]
    assert [each["split"] for each in known["configs"][0]["data_files"]] == ["train", "validation", "test"]
    assert sum(each["num_examples"] for each in known["dataset_info"]["splits"]) == 300
    for each in known["configs"][0]["data_files"]:
        assert list(artifact.glob(each["path"]))
    assert "| train |" in card.text


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mlcroissant_finds_nothing_wrong(artifact: Path, caplog: pytest.LogCaptureFixture) -> None:
    croissant = pytest.importorskip("mlcroissant", reason="the extra `meta` isn't installed")
    with caplog.at_level(logging.WARNING):
        dataset = croissant.Dataset(jsonld=str(artifact / CROISSANT_NAME))
    said = [line for line in dataset.metadata.ctx.issues.report().splitlines() if "Property" in line]
    assert {name for name in RECOMMENDED for line in said if name in line} == RECOMMENDED
    assert len(said) == len(RECOMMENDED)
    assert [each.name for each in dataset.metadata.record_sets] == ["splits", "train", "validation", "test"]
    assert [each["splits/name"] for each in dataset.records("splits")] == ["train", "validation", "test"]
    files = [each for each in dataset.metadata.distribution if hasattr(each, "sha256") and each.sha256]
    assert {each.content_url for each in files} == {
        str(each.relative_to(artifact)) for each in artifact.glob("shards/*")
    }


def test_neither_is_payload_and_every_artifact_has_them(artifact: Path, tmp_path: Path) -> None:
    before = json.loads((artifact / "meta.json").read_text())
    staged = stage_catalog_to_nvme(artifact, tmp_path / "staged")
    assert (staged.path / CARD_NAME).is_file()
    assert json.loads((staged.path / CROISSANT_NAME).read_text())["name"] == "synthetic"
    from nexa_data.artifacts import payload_hash

    (artifact / CARD_NAME).write_text("edited by hand\n")
    assert payload_hash(artifact)[0] == before["hash"]


HOSTILE = st.text(min_size=1, max_size=40) | st.sampled_from(
    [
        "---",
        "a\n---\nb: 1",
        "x: y",
        "# title",
        "| a | b |",
        "<script>alert(1)</script>",
        "`rm`",
        "[a](javascript:b)",
        "'\"",
        "~",
        "- a",
        "!!python/object",
    ]
)


@settings(max_examples=150)
@given(HOSTILE, HOSTILE, HOSTILE, st.lists(HOSTILE, min_size=2, max_size=3))
def test_no_name_breaks_the_card_or_becomes_markup(
    name: str, column: str, label: str, classes: list[str]
) -> None:
    card = dataset_card(facts(name, column, label, tuple(classes)))
    parts = re.fullmatch(r"---\n([\S\s]*?)\n---\n([\S\s]*)", card)  # as the Hub cuts it
    assert parts is not None
    front, page = parts.groups()
    known = yaml.safe_load(front)
    assert [each["name"] for each in known["dataset_info"]["features"]] == [column, label]
    assert set(known) == {
        "pretty_name",
        "size_categories",
        "task_categories",
        "tags",
        "configs",
        "dataset_info",
    }
    assert "<" not in page
    assert page.count("\n# ") == 1
    tables = [line for line in page.splitlines() if line.startswith("| ")]
    assert all(line.replace("\\|", "").count("|") == 5 for line in tables), tables
    described = json.loads(
        croissant_description(facts(name, column, label, tuple(classes)), "2026-01-01T00:00:00")
    )
    assert [each["name"] for each in described["recordSet"][1]["field"]] == [column, label]


def test_an_artifact_without_shards_has_a_card_all_the_same(tmp_path: Path) -> None:
    data = {"dataset_name": "synthetic"}
    meta = prepare_from_config(
        {"data": data, "experiment": {"output_dir": str(tmp_path)}}, materialize_only=True
    )
    assert "dataset-metadata" in (meta.path / CARD_NAME).read_text().replace("\\", "")
    assert "distribution" in json.loads((meta.path / CROISSANT_NAME).read_text())


def test_very_many_shards_are_described_by_their_pattern() -> None:
    many = [(f"shards/train-{k:05d}.arrow", 1, "ab" * 32) for k in range(5000)]
    of = facts("x", "f", "label", ("a", "b"))
    of.splits["train"].files[:] = many
    assert len(croissant_description(of, "2026-01-01")) < 10_000
    assert len(dataset_card(of)) < 5_000
