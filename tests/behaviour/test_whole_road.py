"""A user's own CSV travels the whole road, and every public function of the API does its part."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import nexa_data
import numpy as np
import pytest
import torch
from nexa_data.artifacts import ArtifactMeta, verify_artifact
from nexa_data.catalog import ShardCatalog

if TYPE_CHECKING:
    from pathlib import Path

SPECIES = ("setosa", "versicolor", "virginica")


def write_flowers(path: Path, rows: int = 900) -> None:
    """Write flowers of three species whose measures overlap a little."""
    random = np.random.default_rng(1)
    centres = np.array([[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.6, 2.0]])
    lines = ["sepal_length,sepal_width,petal_length,petal_width,garden,species"]
    for row in range(rows):
        kind = int(random.integers(3))
        measures = random.normal(centres[kind], 0.25)
        lines.append(",".join(f"{value:.2f}" for value in measures) + f",g{row % 7},{SPECIES[kind]}")
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_flowers(tmp_path / "flowers.csv")
    path = tmp_path / "flowers.yaml"
    path.write_text(
        textwrap.dedent(f"""\
            data:
              dataset_name: flowers
              source_uri: {tmp_path}/flowers.csv
              label: species
              batch_size: 32
              split: {{train: 0.7, validation: 0.15, test: 0.15}}
              checks: [{{max_nan_share: 0}}, {{min_class_count: 50}}]
              cache_dir: {tmp_path}/nvme
            experiment: {{name: road, output_dir: {tmp_path}/runs}}
            model: {{hidden: 16}}
            """)
    )
    return path


def accuracy(model: torch.nn.Module, loader: Any) -> float:
    right = total = 0
    with torch.no_grad():
        for features, labels in loader:
            right += int((model(features).argmax(dim=1) == labels).sum())
            total += len(labels)
    return right / total


def test_from_a_csv_to_a_model_that_has_learnt(config: Path, tmp_path: Path) -> None:
    prepared = nexa_data.prepare_from_config(config)
    assert ShardCatalog.validate(prepared.path, full=True) == (3, [])
    metadata = json.loads((prepared.path / "dataset_metadata.json").read_bytes())
    assert metadata["label"]["classes"] == list(SPECIES)
    assert metadata["features"]["columns"] == ["sepal_length", "sepal_width", "petal_length", "petal_width"]

    staged = nexa_data.stage_catalog_to_nvme(prepared.path / "catalog.jsonl", tmp_path / "local")
    assert staged.labels["source_hash"] == prepared.hash
    assert verify_artifact(staged.path) == staged

    loaders = nexa_data.build_dataloaders(config, ("train", "validation", "test"))
    assert list(loaders) == ["train", "validation", "test"]
    assert sum(len(loader.dataset) for loader in loaders.values()) == 900  # type: ignore[arg-type]

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    before = accuracy(model, loaders["test"])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(8):
        for features, labels in loaders["train"]:
            loss = torch.nn.functional.cross_entropy(model(features), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert accuracy(model, loaders["test"]) > max(0.93, before + 0.2)
    assert accuracy(model, nexa_data.build_loader(config, "validation")) > 0.93


def test_the_road_is_the_same_from_a_mapping_and_from_a_config(config: Path) -> None:
    import yaml

    mapping = yaml.safe_load(config.read_text())
    hashes = {
        nexa_data.prepare_from_config(each).hash
        for each in (config, str(config), mapping, nexa_data.load_config(config))
    }
    assert len(hashes) == 1


# Who calls these by position or by name today must be able to tomorrow.
TABLE: list[tuple[str, str, list[str], list[str]]] = [
    ("nexa_data.augment", "apply_augmentations", ["dataset", "augmentations"], []),
    (
        "nexa_data.distill_materialize",
        "materialize_distilled_dataset",
        ["probabilities", "targets", "output_dir"],
        [],
    ),
    ("nexa_data.prepare", "prepare_from_config", ["config_path"], ["materialize_only"]),
    ("nexa_data.prepare", "stage_catalog_to_nvme", ["catalog_path", "destination"], []),
    ("nexa_data.prepare", "build_dataloaders", ["config_path", "splits"], []),
    ("nexa_data.loaders.torch_loader", "build_loader", ["config_path", "split"], []),
    ("nexa_data.filters.basic", "filter_by_label", ["records", "allowed_labels"], []),
    ("nexa_distill.collect_teacher", "collect_teacher", ["requests", "output_dir"], ["client", "settings"]),
    ("nexa_data.data_generation_job", "main", [], []),
]


@pytest.mark.parametrize(("module", "name", "positional", "keyword"), TABLE)
def test_the_api_has_the_settled_signatures(
    module: str, name: str, positional: list[str], keyword: list[str]
) -> None:
    parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    kinds = inspect.Parameter
    found = [each.name for each in parameters.values() if each.kind is kinds.POSITIONAL_OR_KEYWORD]
    assert found[: len(positional)] == positional
    assert all(parameters[each].default is kinds.empty for each in positional)
    rest = {each.name: each for each in parameters.values() if each.name not in positional}
    assert set(keyword) <= set(rest)
    for each in rest.values():
        assert each.kind is kinds.KEYWORD_ONLY, f"{each.name} may only be added as keyword-only"
        assert each.name in {"client", "settings"} or each.default is not kinds.empty, (
            f"{each.name} needs a default"
        )


def test_the_default_of_materialize_only_is_false() -> None:
    signature = inspect.signature(nexa_data.prepare_from_config)
    assert signature.parameters["materialize_only"].default is False


def test_every_core_type_is_where_the_design_says() -> None:
    for module, names in {
        "nexa_data.pipeline": ["DataPipeline"],
        "nexa_data.artifacts": ["ArtifactMeta"],
        "nexa_data.catalog": ["ShardCatalog", "ShardRecord"],
        "nexa_data.datasets.synthetic": ["SyntheticClassificationDataset"],
        "nexa_data.registry": ["DatasetRegistry"],
        "nexa_data.config": ["load_config"],
    }.items():
        for name in names:
            assert getattr(importlib.import_module(module), name) is getattr(nexa_data, name)
    assert inspect.ismodule(importlib.import_module("nexa_distill.collect_teacher"))


def test_every_public_name_is_importable_and_listed() -> None:
    for name in nexa_data.__all__:
        assert getattr(nexa_data, name) is not None
        assert name in dir(nexa_data)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = nexa_data.nothing


def test_the_errors_are_ours_and_the_standard_librarys() -> None:
    from nexa_data import errors

    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.NexaError)
    assert issubclass(errors.ConfigError, ValueError)
    assert issubclass(errors.CatalogError, ValueError)
    assert issubclass(errors.RecordError, ValueError)
    assert issubclass(errors.ArtifactError, ValueError)
    assert issubclass(errors.ShardNotFoundError, FileNotFoundError)
    assert issubclass(errors.StagingError, OSError)


def test_augmented_data_and_filtered_records_are_what_was_asked_for() -> None:
    dataset = nexa_data.SyntheticClassificationDataset(50, 3, 4, seed=0)
    shifted = nexa_data.apply_augmentations(
        dataset, {"shift": lambda features, labels: (features + 1, labels)}
    )
    assert torch.equal(shifted.features, dataset.features + 1)
    records = [(features, int(label)) for features, label in (shifted[at] for at in range(50))]
    kept = list(nexa_data.filter_by_label(records, {1, 3}))
    assert kept
    assert [label for _, label in kept] == [label for _, label in records if label in {1, 3}]


def test_soft_targets_are_written_as_the_settled_json(tmp_path: Path) -> None:
    path = nexa_data.materialize_distilled_dataset(
        [torch.tensor([[0.25, 0.75], [0.5, 0.5]])], [torch.tensor([1, 0])], tmp_path
    )
    assert path == tmp_path / "distilled_dataset.json"
    assert json.loads(path.read_text()) == [
        {"teacher_probs": [0.25, 0.75], "target": 1},
        {"teacher_probs": [0.5, 0.5], "target": 0},
    ]


def test_materialize_only_stands_for_no_full_run(config: Path) -> None:
    alone = nexa_data.prepare_from_config(config, materialize_only=True)
    assert isinstance(alone, ArtifactMeta)
    assert alone.kind == "dataset-metadata"
    assert not (alone.path / "shards").exists()
    assert not (alone.path.parent / "latest").exists()


def python(code: str, *arguments: Any) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_library_loads_nothing_heavy() -> None:
    heavy = (
        "torch",
        "pyarrow",
        "pydantic",
        "openai",
        "numpy",
        "omegaconf",
        "aiohttp",
        "rich",
        "typer",
        "sklearn",
    )
    assert (
        python(f"import nexa_data, sys; print([name for name in {heavy} if name in sys.modules])").strip()
        == "[]"
    )


WITHOUT_TORCH = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
import nexa_data
from pathlib import Path
from nexa_data.errors import MissingDependencyError

meta = nexa_data.prepare_from_config(Path(sys.argv[1]))
staged = nexa_data.stage_catalog_to_nvme(meta.path, Path(sys.argv[2]))
print(staged.labels["source_hash"] == meta.hash, list(nexa_data.filter_by_label([(1,), (2,)], {2})))
for _ in range(2):
    try:
        if sys.argv[3] == "loader":
            from nexa_data.loaders.torch_loader import build_loader
            build_loader(Path(sys.argv[1]), "train")
        else:
            nexa_data.build_dataloaders(Path(sys.argv[1]), ["train"])
    except MissingDependencyError as error:
        print("torch" in str(error), isinstance(error, ImportError))
"""


@pytest.mark.parametrize("door", ["loader", "dataloaders"])
def test_without_torch_all_works_but_the_loaders_which_say_so(
    config: Path, tmp_path: Path, door: str
) -> None:
    lines = python(WITHOUT_TORCH, config, tmp_path / "staged", door).splitlines()
    assert lines == ["True [(2,)]", "True True", "True True"]
