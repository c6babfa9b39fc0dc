"""The example configs load, say what they mean in every line, and make data wherever their source is at hand."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from nexa_data.catalog import ShardCatalog
from nexa_data.config import Config, load_config
from nexa_data.demo import demo_config
from nexa_data.distill_materialize import materialize_distilled_dataset
from nexa_data.pipeline import DataPipeline
from nexa_data.prepare import build_dataloaders, prepare_from_config

CONFIGS = Path(__file__).parents[3] / "configs"
NAMES = ("digits", "synthetic", "parquet", "distill")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the configs' relative paths start in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLURM_TMPDIR", raising=False)


def _config(name: str) -> Config:
    return load_config(CONFIGS / f"{name}.yaml")


def _records(name: str) -> dict[str, int]:
    catalog = ShardCatalog.load(prepare_from_config(_config(name)).path)
    return {split: catalog.records(split) for split in catalog.splits}


@pytest.mark.parametrize("name", NAMES)
def test_each_config_loads_and_names_nothing_unknown(name: str) -> None:
    DataPipeline(_config(name))


@pytest.mark.parametrize("name", NAMES)
def test_each_key_has_a_comment(name: str) -> None:
    section = {"experiment:", "data:", "preprocessing:", "shards:", "batch:", "label:"}
    for line in (CONFIGS / f"{name}.yaml").read_text().splitlines():
        key = line.strip().partition(" ")[0]
        assert "#" in line or not key.endswith(":") or key in section or _within_commented(name, key), line


def _within_commented(name: str, key: str) -> bool:
    """Say whether the key is one of the three splits, whose section has the comment."""
    return name == "digits" and key in {"train:", "validation:", "test:"}


def test_the_digits_config_is_that_of_the_demo() -> None:
    assert yaml.safe_load((CONFIGS / "digits.yaml").read_text()) == demo_config(Path("runs/demo"))


def test_the_digits_config_prepares() -> None:
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn (extra `demo`)")
    assert sum(_records("digits").values()) == 1797


def test_the_synthetic_config_prepares() -> None:
    assert sum(_records("synthetic").values()) == 10_000


def test_the_parquet_config_prepares_flowers() -> None:
    Path("data").mkdir()
    columns = {
        name: [at / 10 for at in range(300)]
        for name in ("sepal_length", "sepal_width", "petal_length", "petal_width")
    }
    species = [("setosa", "versicolor", "virginica")[at % 3] for at in range(300)]
    pq.write_table(pa.table({**columns, "species": species, "note": species}), "data/flowers.parquet")
    assert sum(_records("parquet").values()) == 300


def test_the_distill_config_yields_the_teachers_probabilities() -> None:
    folder = Path("runs/distill/soft-targets")
    materialize_distilled_dataset(
        [[0.25, 0.75]] * 200,
        [1] * 200,
        folder,
        form="arrow",
        columns=({"features": [0.5, float(at)]} for at in range(200)),
        split={"train": 0.9, "validation": 0.1},
    )
    batch = next(iter(build_dataloaders(_config("distill"), ("train",))["train"]))
    assert tuple(batch["features"].shape) == (64, 2)
    assert batch["label"].tolist() == [[0.25, 0.75]] * 64
    assert batch["target"].tolist() == [1] * 64
