from __future__ import annotations

import json
import multiprocessing
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nexa_data.artifacts import read_meta, verify_artifact
from nexa_data.catalog import ShardCatalog
from nexa_data.errors import (
    ArtifactError,
    ConfigError,
    NexaError,
    RecordError,
    ShardNotFoundError,
    ValidationRefusedError,
)
from nexa_data.prepare import prepare_from_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[..., dict[str, Any]]


def store(config: dict[str, Any]) -> Any:
    from nexa_data.config import load_config

    return load_config(config).store


def names(folder: Any) -> set[str]:
    return set(os.listdir(folder)) if folder.exists() else set()  # noqa: PTH208 (hidden ones too)


def read(meta: Any, name: str) -> Any:
    return json.loads((meta.path / name).read_bytes())


def rows_of(meta: Any, split: str) -> pa.Table:
    catalog = ShardCatalog.load(meta.path)
    return pa.concat_tables(
        [pa.ipc.open_file(shard.path(catalog.root)).read_all() for shard in catalog.of(split)]
    )


def test_the_artifact_holds_what_is_documented(small_config: dict[str, Any]) -> None:
    meta = prepare_from_config(small_config)
    assert meta.kind == "dataset"
    assert meta.path.parent == store(small_config)
    assert meta.path.name == f"1-{meta.labels['key'][:12]}"
    assert names(meta.path) == {
        "shards", "catalog.jsonl", "dataset_metadata.json", "dataset_summary.json", "meta.json", "COMPLETE",
        "quality_report.json", "README.md", "croissant.json",
    }  # fmt: skip
    assert verify_artifact(meta.path) == meta
    assert ShardCatalog.validate(meta.path, full=True, for_staging=True)[1] == []
    catalog = ShardCatalog.load(meta.path)
    assert catalog.splits == ["train", "validation", "test"]
    assert all(
        shard.bytes and shard.records and str(shard.checksum).startswith("sha256:") for shard in catalog
    )


def test_any_arrow_tool_reads_the_shards(small_config: dict[str, Any]) -> None:
    meta = prepare_from_config(small_config)
    table = rows_of(meta, "train")
    assert table.schema.names == ["features", "label"]
    assert table.schema.field("features").type == pa.fixed_shape_tensor(pa.float32(), [4])
    assert table.schema.field("label").type == pa.int64()
    assert len(table) == ShardCatalog.load(meta.path).records("train")


def test_the_same_config_gives_the_same_key_and_hash_in_another_store(
    make_config: Make, tmp_path: Path
) -> None:
    config = make_config(preprocessing={"num_samples": 300})
    one = prepare_from_config(config)
    config["experiment"]["output_dir"] = str(tmp_path / "elsewhere")
    two = prepare_from_config(config)
    assert one.path != two.path
    assert (one.hash, one.labels["key"], one.bytes) == (two.hash, two.labels["key"], two.bytes)


def test_a_second_run_reuses_the_artifact_without_touching_it(small_config: dict[str, Any]) -> None:
    first = prepare_from_config(small_config)
    before = {path: path.stat().st_mtime_ns for path in first.path.rglob("*")}
    assert prepare_from_config(small_config) == first
    assert {path: path.stat().st_mtime_ns for path in first.path.rglob("*")} == before
    assert names(store(small_config)) == {first.path.name, "latest"}


@pytest.mark.parametrize("harm", ["remove", "truncate"])
def test_an_artifact_that_lost_a_shard_is_prepared_again(small_config: dict[str, Any], harm: str) -> None:
    from nexa_data.loaders.torch_loader import build_loader

    first = prepare_from_config(small_config)
    for again in (
        prepare_from_config,
        lambda config: read_meta(build_loader(config, "train").dataset.folder),
    ):  # type: ignore[attr-defined]
        shard = next((first.path / "shards").glob("train-*"))
        if harm == "remove":
            shard.unlink()
        else:
            shard.write_bytes(shard.read_bytes()[:-1])
        with pytest.raises(ArtifactError, match="was changed"):
            verify_artifact(first.path)
        assert again(small_config).hash == first.hash
        verify_artifact(first.path)
    assert names(store(small_config)) == {first.path.name, "latest"}


def test_a_changed_config_makes_a_new_version_beside_and_latest_follows(small_config: dict[str, Any]) -> None:
    first = prepare_from_config(small_config)
    small_config["data"]["preprocessing"]["seed"] = 1
    second = prepare_from_config(small_config)
    assert second.hash != first.hash
    assert names(store(small_config)) == {first.path.name, second.path.name, "latest"}
    assert read_meta(store(small_config) / "latest") == second
    assert verify_artifact(first.path) == first
    small_config["data"]["preprocessing"]["seed"] = 0
    assert prepare_from_config(small_config) == first
    assert read_meta(store(small_config) / "latest") == first


def test_a_changed_source_makes_a_new_version(make_config: Make, tmp_path: Path, table: pa.Table) -> None:
    pq.write_table(table, tmp_path / "t.parquet")
    config = make_config(dataset_name="mine", source_uri=str(tmp_path / "t.parquet"), label="kind")
    first = prepare_from_config(config)
    pq.write_table(table.slice(1), tmp_path / "t.parquet")
    assert prepare_from_config(config).labels["key"] != first.labels["key"]
    pq.write_table(table, tmp_path / "t.parquet")
    assert prepare_from_config(config) == first


def test_materialize_only_writes_metadata_alone_and_never_moves_latest(small_config: dict[str, Any]) -> None:
    alone = prepare_from_config(small_config, materialize_only=True)
    assert alone.kind == "dataset-metadata"
    assert names(alone.path) == {
        "dataset_metadata.json", "dataset_summary.json", "meta.json", "README.md", "croissant.json", "COMPLETE",
    }  # fmt: skip
    assert names(store(small_config)) == {alone.path.name}
    metadata = read(alone, "dataset_metadata.json")
    assert metadata["features"]["shape"] == [4]
    assert metadata["label"]["num_classes"] == 3
    assert read(alone, "dataset_summary.json")["splits"] is None
    full = prepare_from_config(small_config)
    assert full.labels["key"] != alone.labels["key"]
    assert full.path != alone.path
    assert prepare_from_config(small_config, materialize_only=True) == alone
    assert read_meta(store(small_config) / "latest") == full


def test_materialize_only_of_text_labels_reads_no_row(
    make_config: Make, tmp_path: Path, table: pa.Table
) -> None:
    pq.write_table(table, tmp_path / "t.parquet")
    config = make_config(dataset_name="mine", source_uri=str(tmp_path / "t.parquet"), label="kind")
    label = read(prepare_from_config(config, materialize_only=True), "dataset_metadata.json")["label"]
    assert (label["classes"], label["num_classes"]) == (None, None)
    label = read(prepare_from_config(config), "dataset_metadata.json")["label"]
    assert (label["classes"], label["num_classes"]) == (["cat", "dog", "eel"], 3)


def test_the_summary_is_what_numpy_says_of_the_shards(make_config: Make, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    features = random.normal(3, 2, (500, 3)).astype(np.float32)
    features[random.random((500, 3)) < 0.05] = np.nan
    columns = {name: features[:, at] for at, name in enumerate("abc")}
    pq.write_table(pa.table(columns | {"label": random.integers(0, 4, 500)}), tmp_path / "t.parquet")
    meta = prepare_from_config(
        make_config(dataset_name="m", source_uri=str(tmp_path / "t.parquet"), shards={"rows": 37})
    )
    summary = read(meta, "dataset_summary.json")
    assert summary["records"] == 500
    assert summary["features"] == {
        "name": "features",
        "dtype": "float32",
        "shape": [3],
        "columns": ["a", "b", "c"],
    }
    total = 0
    for split in ("train", "validation", "test"):
        table = rows_of(meta, split)
        stored = table["features"].combine_chunks().to_numpy_ndarray().astype(np.float64)
        said = summary["splits"][split]
        total += len(stored)
        assert said["records"] == len(stored)
        assert said["nan_count"] == np.isnan(stored).sum()
        for name in ("min", "max", "mean", "std"):
            np.testing.assert_allclose(said[name], getattr(np, f"nan{name}")(stored), rtol=1e-6)
            np.testing.assert_allclose(
                said["per_feature"][name], getattr(np, f"nan{name}")(stored, axis=0), rtol=1e-6
            )
        labels = table["label"].to_numpy()
        assert said["records_per_class"] == {
            str(each): int((labels == each).sum()) for each in np.unique(labels)
        }
    assert total == 500


def test_counts_per_class_are_capped_at_a_thousand(make_config: Make, tmp_path: Path) -> None:
    table = pa.table({"x": np.zeros(3000), "label": np.arange(3000) % 1500})
    pq.write_table(table, tmp_path / "t.parquet")
    config = make_config(
        dataset_name="m",
        source_uri=str(tmp_path / "t.parquet"),
        split={"train": 1, "validation": 0, "test": 0},
    )
    train = read(prepare_from_config(config), "dataset_summary.json")["splits"]["train"]
    assert (train["classes"], len(train["records_per_class"])) == (1500, 1000)


@pytest.mark.parametrize("shards", [{"rows": 10}, {"bytes": 300}])
def test_shards_are_cut_at_the_first_bound_and_keep_all_records(
    make_config: Make, shards: dict[str, int]
) -> None:
    whole = prepare_from_config(make_config(preprocessing={"num_samples": 200, "num_features": 4}))
    cut = prepare_from_config(
        make_config(preprocessing={"num_samples": 200, "num_features": 4}, shards=shards)
    )
    sizes = [shard.records or 0 for shard in ShardCatalog.load(cut.path).of("train")]
    limit = shards.get("rows", 300 // (4 * 4 + 8))
    assert len(sizes) > 10
    assert set(sizes[:-1]) == {limit}
    assert 0 < sizes[-1] <= limit
    for split in ("train", "validation", "test"):
        assert rows_of(cut, split).combine_chunks().equals(rows_of(whole, split).combine_chunks())


def test_a_split_of_no_share_has_no_shard(make_config: Make) -> None:
    meta = prepare_from_config(
        make_config(preprocessing={"num_samples": 50}, split={"train": 0.5, "validation": 0, "test": 0.5})
    )
    assert ShardCatalog.load(meta.path).splits == ["train", "test"]


def test_an_image_source_keeps_its_shape_in_the_shards(make_config: Make, tmp_path: Path) -> None:
    images = np.arange(40 * 2 * 3, dtype=np.uint8).reshape(40, 2, 3)
    table = pa.table(
        {"image": pa.FixedShapeTensorArray.from_numpy_ndarray(images), "label": np.arange(40) % 2}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    meta = prepare_from_config(make_config(dataset_name="m", source_uri=str(tmp_path / "t.parquet")))
    stored = rows_of(meta, "train")["features"].combine_chunks().to_numpy_ndarray()
    assert stored.shape[1:] == (2, 3)
    assert read(meta, "dataset_summary.json")["features"]["shape"] == [2, 3]


@pytest.fixture
def csv_config(make_config: Make, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def make(text: str, **data: Any) -> dict[str, Any]:
        (tmp_path / "in.csv").write_text(text)
        return make_config(dataset_name="mine", source_uri=str(tmp_path / "in.csv"), **data)

    return make


TRAIN_ONLY = {"train": 1, "validation": 0, "test": 0}
MANY = "x,label\n" + "1,0\n" * 200


@pytest.mark.parametrize(
    ("text", "data", "kind", "what"),
    [
        ("", {}, RecordError, "in.csv: it has no records"),
        ("x,label\n", {}, RecordError, "no records"),
        ("x,label\n1,0\n", {}, RecordError, "of 1 records none fell into .*set data.split"),
        (
            MANY,
            {"filters": [{"label": {"allow": [7]}}]},
            RecordError,
            "no records are left after data.filters",
        ),
        (MANY + "1,-1\n", {}, RecordError, r"in\.csv, row 200: label -1"),
        (MANY + "1,9\n", {"preprocessing": {"num_classes": 2}}, RecordError, r"in\.csv, row 200: label 9"),
        (MANY + "1,\n", {}, RecordError, r"in\.csv, row 200: label 'label' is null"),
        (
            MANY + ",0\n",
            {"checks": [{"max_nan_share": 0}]},
            ValidationRefusedError,
            r"feature 0 in in\.csv, row 200",
        ),
        (MANY + "7,0\n", {"checks": [{"range": {"max": 2}}]}, ValidationRefusedError, "allowed"),
        (MANY, {"preprocessing": {"features": ["y"]}}, RecordError, "no column 'y'"),
        (MANY, {"label": "y"}, RecordError, "no column 'y'"),
        (MANY, {"preprocessing": {"key": "y"}}, RecordError, "no column 'y'"),
        ("x,label\nword,0\n", {"preprocessing": {"features": ["x"]}}, RecordError, "'x' is a string"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_half_written(
    csv_config: Make, text: str, data: dict[str, Any], kind: type[Exception], what: str
) -> None:
    config = csv_config(text, **data)
    with pytest.raises(kind, match=what):
        prepare_from_config(config)
    assert names(store(config)) == set()


def test_a_failure_leaves_the_former_version_and_latest_as_they_were(csv_config: Make) -> None:
    config = csv_config(MANY, split=TRAIN_ONLY)
    first = prepare_from_config(config)
    with pytest.raises(RecordError):
        prepare_from_config(csv_config(MANY + "1,-1\n", split=TRAIN_ONLY))
    assert names(store(config)) == {first.path.name, "latest"}
    assert verify_artifact(store(config) / "latest").hash == first.hash


def test_a_nan_that_is_allowed_is_published_and_counted(csv_config: Make) -> None:
    config = csv_config(
        MANY + ",0\n",
        split=TRAIN_ONLY,
        checks=[{"max_nan_share": {"value": 0, "severity": "warning"}}],
    )
    summary = read(prepare_from_config(config), "dataset_summary.json")
    assert summary["splits"]["train"]["nan_count"] == 1
    assert summary["checks"]["verdict"] == "accepted"
    assert summary["checks"]["findings"][0]["code"] == "nan-share"


def test_a_missing_source_is_named(make_config: Make, tmp_path: Path) -> None:
    with pytest.raises(ShardNotFoundError, match=str(tmp_path / "none.csv")):
        prepare_from_config(make_config(dataset_name="m", source_uri=str(tmp_path / "none.csv")))


def test_a_store_that_cannot_be_written_is_a_typed_error(make_config: Make, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file in the way")
    with pytest.raises(ArtifactError, match="can't be written"):
        prepare_from_config(make_config(preprocessing={"num_samples": 20}))
    (tmp_path / "in.csv").write_text(MANY)
    with pytest.raises(ArtifactError, match="can't be written"):
        prepare_from_config(make_config(dataset_name="m", source_uri=str(tmp_path / "in.csv")))
    assert (tmp_path / "runs").read_text() == "a file in the way"


def test_a_latest_of_somebody_else_is_not_overwritten(small_config: dict[str, Any]) -> None:
    folder = store(small_config) / "latest"
    folder.mkdir(parents=True)
    with pytest.raises(ArtifactError, match="latest is not a symlink"):
        prepare_from_config(small_config)


def _prepare(config: dict[str, Any], barrier: Any, answer: Any) -> None:
    barrier.wait()
    answer.put(prepare_from_config(config).as_dict())


def test_of_two_processes_at_once_one_prepares_and_the_other_reuses(small_config: dict[str, Any]) -> None:
    context = multiprocessing.get_context("forkserver")
    barrier, answer = context.Barrier(2), context.SimpleQueue()
    processes = [context.Process(target=_prepare, args=(small_config, barrier, answer)) for _ in range(2)]
    for process in processes:
        process.start()
    one, two = answer.get(), answer.get()
    for process in processes:
        process.join(60)
    assert one == two
    assert verify_artifact(store(small_config) / "latest").hash == one["hash"]


def test_progress_counts_the_records(small_config: dict[str, Any]) -> None:
    seen: list[int] = []
    prepare_from_config(small_config, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 150


def test_a_config_file_a_mapping_and_a_config_are_one(small_config: dict[str, Any], tmp_path: Path) -> None:
    from nexa_data.config import load_config

    (tmp_path / "c.yaml").write_text(json.dumps(small_config))
    metas = {
        prepare_from_config(each).hash
        for each in (small_config, load_config(small_config), tmp_path / "c.yaml")
    }
    assert len(metas) == 1


def test_every_error_is_ours() -> None:
    assert all(
        issubclass(each, NexaError) for each in (ArtifactError, ConfigError, RecordError, ShardNotFoundError)
    )
