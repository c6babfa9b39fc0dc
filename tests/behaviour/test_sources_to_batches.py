"""What a source holds arrives in the batches, whatever its form: features, label kinds, shapes, seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from nexa_data.loaders.torch_loader import build_loader
from nexa_data.registry import default_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

N = 50
WHOLE = {"train": 1, "validation": 0, "test": 0}


@pytest.fixture
def load(
    tmp_path: Path, make_config: Callable[..., dict[str, Any]]
) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """Return a function from columns to all features and labels as the loader gives them, unshuffled."""

    def through(columns: dict[str, Any], **data: Any) -> tuple[torch.Tensor, torch.Tensor]:
        pq.write_table(pa.table(columns), tmp_path / "t.parquet", row_group_size=13)
        data = {"batch_size": 8, "batch": {"tail": "keep"}, "shuffle": False, "shards": {"rows": 11}} | data
        config = make_config(dataset_name="mine", source_uri=str(tmp_path / "t.parquet"), split=WHOLE, **data)
        batches = list(build_loader(config, "train"))
        return torch.cat([batch[0] for batch in batches]), torch.cat([batch[1] for batch in batches])

    return through


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int32, np.float16, np.float32, np.float64, np.bool_])
def test_every_number_type_becomes_float32(load: Any, kind: Any) -> None:
    values = (np.arange(N) % 2).astype(kind)
    features, labels = load({"x": values, "label": np.arange(N)})
    assert (features.dtype, tuple(features.shape)) == (torch.float32, (N, 1))
    assert features[:, 0].tolist() == values.astype(np.float32).tolist()
    assert labels.tolist() == list(range(N))


@pytest.mark.parametrize("shape", [(2, 3), (1, 4, 4), (5,)])
def test_tensors_arrive_in_their_shape(load: Any, shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).random((N, *shape), np.float32)
    features, _ = load({"image": pa.FixedShapeTensorArray.from_numpy_ndarray(images), "label": np.arange(N)})
    np.testing.assert_array_equal(features.numpy(), images)


def test_nested_lists_arrive_as_tensors(load: Any) -> None:
    images = np.random.default_rng(0).random((N, 3, 2), np.float32)
    features, _ = load({"image": images.tolist(), "label": np.arange(N)})
    np.testing.assert_array_equal(features.numpy(), images)


def test_a_number_to_be_predicted_arrives_as_float32(load: Any) -> None:
    wanted = np.random.default_rng(0).normal(size=N)
    _, labels = load({"x": np.zeros(N), "y": wanted}, label={"column": "y", "kind": "float"})
    assert (labels.dtype, tuple(labels.shape)) == (torch.float32, (N,))
    np.testing.assert_array_equal(labels.numpy(), wanted.astype(np.float32))


def test_multi_hot_and_distributions_arrive_as_vectors(load: Any) -> None:
    hot = np.eye(4)[np.arange(N) % 4]
    for kind in ("multi_hot", "distribution"):
        _, labels = load({"x": np.zeros(N), "y": hot.tolist()}, label={"column": "y", "kind": kind})
        assert labels.dtype == torch.float32
        np.testing.assert_array_equal(labels.numpy(), hot.astype(np.float32))


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("class", "float32"), ("float", "float64"), ("multi_hot", "bfloat16"), ("distribution", "float16")],
)
def test_labels_of_every_kind_are_converted_on_the_way(load: Any, kind: str, dtype: str) -> None:
    hot = np.eye(4)[np.arange(N) % 4]
    column = {"class": np.arange(N) % 4, "float": np.arange(N) / 4}.get(kind, hot.tolist())
    _, labels = load(
        {"x": np.zeros(N), "y": column},
        label={"column": "y", "kind": kind},
        batch={"tail": "keep", "convert": {"label": dtype}},
    )
    assert labels.dtype == getattr(torch, dtype)
    np.testing.assert_array_equal(labels.double().numpy(), np.array(column, np.float64))


def test_text_labels_arrive_as_sorted_ids_whatever_their_encoding(load: Any) -> None:
    words = [("pear", "apple", "ß-fruit")[at % 3] for at in range(N)]
    ids = [{"apple": 0, "pear": 1, "ß-fruit": 2}[word] for word in words]
    for column in (pa.array(words), pa.array(words).dictionary_encode(), pa.array(words, pa.large_string())):
        assert load({"x": np.zeros(N), "label": column})[1].tolist() == ids


def test_nulls_arrive_as_nan(load: Any) -> None:
    features, _ = load({"x": pa.array([None, *range(1, N)]), "label": np.arange(N)})
    assert torch.isnan(features[0, 0])
    assert features[1:, 0].tolist() == list(range(1, N))


def test_column_names_may_be_anything(load: Any) -> None:
    features, _ = load({"größe (cm)": np.arange(N), "a.b": np.ones(N), "label": np.arange(N)})
    assert features[:, 0].tolist() == list(range(N))


@pytest.mark.parametrize("seed", [0, 2**31, 2**63 - 1])
def test_every_allowed_seed_travels_the_road(make_config: Any, seed: int) -> None:
    preprocessing = {"num_samples": 300, "num_features": 2, "seed": seed}
    loader = build_loader(make_config(preprocessing=preprocessing, augmentations=["gaussian_noise"]), "train")
    assert len(list(loader)) == len(loader)


@pytest.fixture
def registered() -> Iterator[Callable[..., None]]:
    names: list[str] = []

    def register(name: str, builder: Any) -> None:
        names.append(name)
        default_registry.register(name, builder)

    yield register
    for name in names:
        del default_registry._entries[name]


def test_a_users_builder_travels_the_road(make_config: Any, registered: Any) -> None:
    registered("my-own", lambda _data: (torch.arange(80.0).reshape(40, 2), torch.arange(40) % 2))
    config = make_config(dataset_name="my-own", split=WHOLE, shuffle=False, batch={"tail": "keep"})
    features = torch.cat([features for features, _ in build_loader(config, "train")])
    assert torch.equal(features, torch.arange(80.0).reshape(40, 2))


def test_the_handwritten_digits_travel_the_road(make_config: Any) -> None:
    pytest.importorskip("sklearn", reason="the digits come with the extra `demo`")
    loaders = [
        build_loader(make_config(dataset_name="digits"), split) for split in ("train", "validation", "test")
    ]
    assert sum(len(loader.dataset) for loader in loaders) == 1797
    features, labels = next(iter(loaders[0]))
    assert tuple(features.shape) == (32, 64)
    assert 0 <= float(features.min()) <= float(features.max()) <= 1
    assert set(labels.tolist()) <= set(range(10))


def test_moving_the_source_keeps_every_record_in_its_split(make_config: Any, tmp_path: Path) -> None:
    table = pa.table({"x": np.arange(200), "label": np.arange(200) % 2})

    def train(folder: str) -> list[float]:
        (tmp_path / folder).mkdir()
        pq.write_table(table, tmp_path / folder / "t.parquet")
        loader = build_loader(make_config(dataset_name="m", source_uri=str(tmp_path / folder)), "train")
        return sorted(loader.dataset[list(range(len(loader.dataset)))][0][:, 0].tolist())  # type: ignore[arg-type]

    assert train("here") == train("there")


def test_key_groups_never_part_between_the_splits(make_config: Any, tmp_path: Path) -> None:
    patients = np.arange(300) // 5
    pq.write_table(
        pa.table({"x": patients.astype(float), "patient": patients, "label": np.arange(300) % 2}),
        tmp_path / "t.parquet",
    )
    config = make_config(
        dataset_name="m",
        source_uri=str(tmp_path / "t.parquet"),
        preprocessing={"key": "patient"},
        batch={"tail": "keep"},
    )
    found = []
    for split in ("train", "validation", "test"):
        dataset: Any = build_loader(config, split).dataset
        features = dataset[list(range(len(dataset)))][0]
        assert features.shape[1] == 1
        found.append(set(features[:, 0].tolist()))
    assert set.union(*found) == set(map(float, range(60)))
    assert sum(map(len, found)) == 60
