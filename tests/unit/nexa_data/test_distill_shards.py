"""Soft targets in shards come out of the loader as they went in, whatever they were stored as."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nexa_data.artifacts import read_meta, verify_artifact
from nexa_data.catalog import ShardCatalog
from nexa_data.datasets.shards import ShardDataset
from nexa_data.distill_materialize import materialize_distilled_dataset
from nexa_data.errors import ArtifactError, ConfigError, RecordError, ShardNotFoundError
from nexa_data.loaders.torch_loader import build_loader
from nexa_data.prepare import prepare_from_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS, CLASSES = 300, 40


@pytest.fixture(scope="module")
def probs() -> torch.Tensor:
    return torch.softmax(torch.randn(ROWS, CLASSES, generator=torch.Generator().manual_seed(3)) * 2, dim=1)


TARGETS = torch.arange(ROWS) % CLASSES


def config(catalog: Path, **data: Any) -> dict[str, Any]:
    return {"data": {"dataset_name": "soft", "source_uri": str(catalog), "batch_size": 32, **data}}


def drawn(loader: Any) -> dict[str, torch.Tensor]:
    """Return an epoch's columns, sorted by `number`."""
    batches = list(loader)
    order = torch.cat([batch["number"] for batch in batches]).argsort()
    return {name: torch.cat([batch[name] for batch in batches])[order] for name in batches[0]}


def numbered() -> Iterator[dict[str, Any]]:
    return ({"number": number, "features": [float(number), 0.5]} for number in range(ROWS))


@pytest.mark.parametrize(
    ("form", "options", "error"),
    [
        ("arrow", {}, 0.0),
        ("arrow", {"dtype": "float16"}, 5e-4),
        ("sparse", {"top_k": CLASSES}, 1e-6),
        ("sparse", {"top_k": CLASSES, "dtype": "float16"}, 2e-3),
    ],
)
def test_shuffled_batches_have_the_probabilities_that_were_written(
    tmp_path: Path, probs: torch.Tensor, form: Any, options: dict[str, Any], error: float
) -> None:
    catalog = materialize_distilled_dataset(
        probs, TARGETS, tmp_path / "out", form=form, columns=numbered(), shard_bytes=8192, **options
    )
    assert catalog == tmp_path / "out" / "catalog.jsonl"
    assert len(ShardCatalog.load(catalog)) > 1
    verify_artifact(catalog.parent)
    asked = {"columns": ["features", "label", "target", "number"], "tail": "keep"}
    loader = build_loader(config(catalog, batch=asked), "train")
    numbers = next(iter(loader))["number"]
    assert numbers.tolist() != sorted(numbers.tolist())
    loader.set_epoch(1)
    found = drawn(loader)
    assert found["label"].dtype == torch.float32
    assert found["label"].shape == (ROWS, CLASSES)
    assert (found["label"] - probs).abs().max() <= error
    assert torch.equal(found["target"], TARGETS)
    assert torch.equal(found["features"][:, 0], torch.arange(ROWS).float())


def test_by_default_a_batch_is_features_and_soft_labels(tmp_path: Path, probs: torch.Tensor) -> None:
    catalog = materialize_distilled_dataset(
        probs, TARGETS, tmp_path / "out", form="sparse", columns=numbered(), split={"train": 0.8, "test": 0.2}
    )
    features, labels = next(iter(build_loader(config(catalog), "test")))
    assert (features.shape[1:], labels.shape[1:]) == ((2,), (CLASSES,))
    assert torch.allclose(labels.sum(1), torch.ones(len(labels)))
    kept = {split: ShardCatalog.load(catalog).records(split) for split in ("train", "test")}
    assert sum(kept.values()) == ROWS
    assert 0.1 < kept["test"] / ROWS < 0.3


@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(1, 4), st.integers(2, 7)), elements=st.floats(0, 1, width=32)
    ),
    st.integers(1, 7),
)
@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25
)
def test_sparse_labels_are_what_dense_ones_are_of_the_largest(
    tmp_path: Path, weights: np.ndarray[Any, Any], top_k: int
) -> None:
    weights[:, 0] += np.float32(0.1)
    dense = torch.from_numpy(weights / weights.sum(axis=1, keepdims=True))
    materialize_distilled_dataset(
        dense, torch.zeros(len(dense), dtype=torch.long), tmp_path / "s", form="sparse", top_k=top_k
    )
    values, ids = dense.topk(min(top_k, dense.shape[1]), dim=1)
    kept = torch.zeros_like(dense).scatter_(1, ids, values)
    rest = (1 - kept.sum(1)).clamp(min=0)
    n_zero = dense.shape[1] - (values > 0).sum(1)
    expected = {
        "keep": kept,
        "renormalize": kept / kept.sum(1, keepdim=True),
        "class": torch.cat([kept, rest[:, None]], dim=1),
        "spread": torch.where(kept > 0, kept, (rest / n_zero.clamp(min=1))[:, None]),
    }
    for residual, wanted in expected.items():
        (labels,) = ShardDataset(tmp_path / "s", columns=["label"], residual=residual)[
            list(range(len(dense)))
        ]
        assert torch.allclose(labels, wanted, atol=2e-6), residual


def test_sparse_columns_are_there_to_be_used_as_they_are(tmp_path: Path) -> None:
    materialize_distilled_dataset(
        [[0.125, 0.5, 0.0, 0.375], [0.0, 0.0, 1.0, 0.0]], [1, 2], tmp_path / "s", form="sparse", top_k=2
    )
    columns = ["target_ids", "target_logprobs", "residual_mass", "label"]
    found = ShardDataset(tmp_path / "s", columns=columns, as_dict=True)[[1, 0]]
    assert found["target_ids"].values.tolist() == [2, 1, 3]
    assert found["target_ids"].offsets.tolist() == [0, 1, 3]
    assert found["residual_mass"].tolist() == [0.0, 0.125]
    assert list(found) == columns
    again = pickle.loads(pickle.dumps(ShardDataset(tmp_path / "s", columns=["label"])))  # noqa: S301
    record = again[0][0]
    assert record.tolist() == pytest.approx([0, 4 / 7, 0, 3 / 7])


def test_the_dtype_of_a_batch_is_the_configs(tmp_path: Path, probs: torch.Tensor) -> None:
    for form in ("arrow", "sparse"):
        catalog = materialize_distilled_dataset(probs, TARGETS, tmp_path / form, form=form, dtype="float16")  # type: ignore[arg-type]
        for dtype in ("float16", "float64"):
            batch = {"columns": ["label"], "convert": {"label": dtype}}
            if (form, dtype) != ("arrow", "float16"):
                (labels,) = next(iter(build_loader(config(catalog, batch=batch), "train")))
                assert labels.dtype == getattr(torch, dtype)


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        ({"residual": "class"}, "stored sparse, and these aren't"),
        ({"residual": "other"}, "residual"),
    ],
)
def test_a_residual_is_of_sparse_labels_alone(
    tmp_path: Path, probs: torch.Tensor, batch: dict[str, Any], says: str
) -> None:
    catalog = materialize_distilled_dataset(probs, TARGETS, tmp_path / "a", form="arrow")
    with pytest.raises(ConfigError, match=says):
        build_loader(config(catalog, batch={"columns": ["label"], **batch}), "train")


def test_what_a_sparse_label_cant_be_is_refused(tmp_path: Path, probs: torch.Tensor) -> None:
    materialize_distilled_dataset(probs, TARGETS, tmp_path / "s", form="sparse")
    materialize_distilled_dataset(
        probs[:, :9] / probs[:, :9].sum(1, keepdim=True), TARGETS % 9, tmp_path / "t", form="sparse"
    )
    for options, says in (
        ({"convert": {"label": "int64"}}, "becomes floats"),
        (
            {"columns": ["label", "target_ids"], "as_dict": True, "ragged": {"target_ids": "padded"}},
            "isn't padded",
        ),
        ({"residual": "nobody"}, "known: renormalize"),
    ):
        with pytest.raises(ConfigError, match=says):
            ShardDataset(tmp_path / "s", **({"columns": ["label"]} | options))  # type: ignore[arg-type]
    sources = [{"artifact": str(tmp_path / name), "weight": 0.5} for name in "st"]
    mixed = {"data": {"dataset_name": "mix", "mixture": sources, "batch": {"columns": ["label"]}}}
    with pytest.raises(ConfigError, match="different classes"):
        build_loader(mixed, "train")


def test_columns_travel_with_their_rows_in_every_form(tmp_path: Path, probs: torch.Tensor) -> None:
    text = [f"row {number}" for number in range(ROWS)]
    tokens = [list(range(number % 4)) for number in range(ROWS)]
    image = torch.arange(ROWS * 6, dtype=torch.uint8).reshape(ROWS, 2, 3)
    single = [
        {"text": text[at], "tokens": tokens[at], "image": image[at], "number": at} for at in range(ROWS)
    ]
    halves = [slice(0, 100), slice(100, ROWS)]
    batched = [
        {"text": text[part], "tokens": tokens[part], "image": image[part], "number": list(range(ROWS))[part]}
        for part in halves
    ]
    ways: dict[str, tuple[Any, Any, Any]] = {
        "single": (probs, TARGETS, single),
        "batched": ([probs[part] for part in halves], [TARGETS[part] for part in halves], batched),
    }
    names = ["text", "tokens", "image", "number", "target"]
    for way, (rows, targets, columns) in ways.items():
        materialize_distilled_dataset(rows, targets, tmp_path / way, form="arrow", columns=columns)
        found = ShardDataset(tmp_path / way, columns=names, as_dict=True)[[7, 3, 299]]
        assert found["text"] == ["row 7", "row 3", "row 299"]
        assert found["tokens"].values.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2]
        assert torch.equal(found["image"], image[[7, 3, 299]])
        assert found["target"].tolist() == [7, 3, 19]
    shards = {ShardCatalog.load(tmp_path / way).shards[0].checksum for way in ways}
    assert len(shards) == 1


def test_one_element_of_many_blocks_has_its_columns_beside_it(tmp_path: Path) -> None:
    rows = 3000
    probs = torch.full((rows, 1000), 0.001)
    number = torch.arange(rows)
    columns = [
        {"number": number, "text": [str(at) for at in range(rows)], "features": number.double()[:, None]}
    ]
    materialize_distilled_dataset(
        [probs], [number % 1000], tmp_path / "a", form="arrow", dtype="float16", columns=columns
    )
    names = ["features", "target", "number", "text"]
    found = ShardDataset(tmp_path / "a", columns=names, as_dict=True)[[0, 1500, 2999]]
    assert found["number"].tolist() == [0, 1500, 2999]
    assert found["text"] == ["0", "1500", "2999"]
    assert found["target"].tolist() == [0, 500, 999]
    assert (found["features"].dtype, found["features"].tolist()) == (
        torch.float32,
        [[0.0], [1500.0], [2999.0]],
    )


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ([{"label": 1}] * 2, "a column of its own"),
        ([{"a": 1}], "row 1: columns end here"),
        ([{"a": 1}, {"b": 1}], "row 1: columns are b, in rows before a"),
        ([{"a": 1}, {"a": None}], "null"),
        ([{"a": 1}, {"a": "x"}], "can't be stored"),
        ([{"features": [1.0]}, {"features": [1.0, 2.0]}], "can't be stored"),
        ([3, 3], "columns are a int"),
        ([pa.record_batch({"a": [1, 2]}), pa.record_batch({"a": [1]})], None),
    ],
)
def test_columns_that_dont_fit_are_refused_and_nothing_is_left(
    tmp_path: Path, columns: list[Any], says: str | None
) -> None:
    rows = [[0.25, 0.75]] * 2
    if says is None:
        materialize_distilled_dataset(rows, [0, 1], tmp_path / "a", form="arrow", columns=columns[:1] * 2)
        return
    with pytest.raises(RecordError, match=says):
        materialize_distilled_dataset(rows, [0, 1], tmp_path / "a", form="arrow", columns=columns)
    assert not [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")]


def test_a_wrong_row_leaves_the_older_artifact_alone(tmp_path: Path, probs: torch.Tensor) -> None:
    catalog = materialize_distilled_dataset(probs, TARGETS, tmp_path / "a", form="arrow")
    before = read_meta(catalog.parent).hash
    bad = probs.clone()
    bad[250] = -1
    with pytest.raises(RecordError, match="row 250"):
        materialize_distilled_dataset(bad, TARGETS, tmp_path / "a", form="arrow", shard_bytes=4096)
    assert verify_artifact(catalog.parent).hash == before
    assert materialize_distilled_dataset(probs[:9], TARGETS[:9], tmp_path / "a", form="sparse") == catalog
    assert ShardCatalog.load(catalog).records() == 9


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ArtifactError, match="not an artifact"):
        materialize_distilled_dataset([[1.0]], [0], tmp_path, form="arrow")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dtype": "float64"}, "no dtype"),
        ({"top_k": 3}, "top_k is of the form sparse"),
        ({"form": "sparse", "top_k": -1}, "top_k is -1"),
        ({"split": "dev"}, "no split 'dev'"),
        ({"split": {"train": 0.5}}, "don't sum to 1"),
        ({"shard_bytes": 0}, "shard_bytes"),
    ],
)
def test_impossible_options_are_refused(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        materialize_distilled_dataset([[1.0]], [0], tmp_path / "a", **({"form": "arrow"} | options))
    assert not (tmp_path / "a").exists()


def test_memory_that_a_generator_uses_again_is_copied(tmp_path: Path) -> None:
    row = torch.zeros(3)

    def reused() -> Iterator[torch.Tensor]:
        for at in range(9):
            row.zero_()[at % 3] = 1.0
            yield row

    materialize_distilled_dataset(reused(), [0] * 9, tmp_path / "a", form="arrow")  # type: ignore[arg-type]
    (labels,) = ShardDataset(tmp_path / "a", columns=["label"])[list(range(9))]
    assert labels.argmax(1).tolist() == [0, 1, 2] * 3


def test_a_catalog_as_source_is_opened_as_it_lies(tmp_path: Path, probs: torch.Tensor) -> None:
    catalog = materialize_distilled_dataset(probs, TARGETS, tmp_path / "a", form="sparse", columns=numbered())
    assert prepare_from_config(config(catalog)) == read_meta(catalog.parent)
    staged = config(catalog, cache_dir=str(tmp_path / "cache"))
    loader = build_loader(staged, "train")
    assert loader.dataset.folder.is_relative_to(tmp_path / "cache")  # type: ignore[attr-defined]
    assert next(iter(loader))[1].shape == (32, CLASSES)
    again = prepare_from_config(
        {
            "data": {
                "dataset_name": "again",
                "source_uri": str(catalog.parent / "shards" / "*.arrow"),
                "preprocessing": {"features": ["features"], "label": "target"},
            },
            "experiment": {"output_dir": str(tmp_path / "runs")},
        }
    )
    assert ShardCatalog.load(again.path).records() == ROWS


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"filters": [{"label": {"allow": [1]}}]}, "filters: the records of .* are loaded as they lie"),
        ({"preprocessing": {"features": ["x"], "seed": 1}}, "preprocessing.features: the records"),
        ({"split": {"train": 1.0, "validation": 0.0, "test": 0.0}}, "split: the records"),
    ],
)
def test_a_catalogs_records_arent_changed_on_the_way(
    tmp_path: Path, probs: torch.Tensor, data: dict[str, Any], says: str
) -> None:
    catalog = materialize_distilled_dataset(probs, TARGETS, tmp_path / "a", form="arrow")
    with pytest.raises(ConfigError, match=says):
        build_loader(config(catalog, **data), "train")


def test_a_catalog_that_isnt_an_artifacts_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShardNotFoundError, match="there is no such file"):
        build_loader(config(tmp_path / "catalog.jsonl"), "train")
    (tmp_path / "catalog.jsonl").write_text(json.dumps({"uri": "a.arrow"}) + "\n")
    with pytest.raises(ConfigError, match=r"no artifact's catalog.*nexa-data stage"):
        build_loader(config(tmp_path / "catalog.jsonl"), "train")
