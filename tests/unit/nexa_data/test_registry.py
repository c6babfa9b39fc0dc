from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from nexa_data.errors import ConfigError
from nexa_data.pipeline import DataPipeline
from nexa_data.registry import DatasetRegistry, default_registry

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_default_registry_knows_our_own_datasets() -> None:
    assert list(default_registry) == ["digits", "synthetic", "synthetic_text", "synthetic_tokens"]
    assert "synthetic" in default_registry
    assert callable(default_registry.builder("synthetic"))


def test_an_unknown_name_lists_the_known_and_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown dataset 'sintetic'; did you mean 'synthetic'\? known: digits, "
    ):
        default_registry.builder("sintetic")


def test_a_pipeline_of_an_unknown_dataset_fails_before_any_row_is_read() -> None:
    with pytest.raises(ConfigError, match="known: digits, synthetic"):
        DataPipeline({"data": {"dataset_name": "nowhere"}})


def test_a_users_builder_is_called_with_the_section_data(make_config: Callable[..., dict[str, Any]]) -> None:
    registry = DatasetRegistry()

    @registry.register("mine")
    def build(data: Any) -> Any:
        n = data.preprocessing.options["rows"]
        return np.arange(2 * n, dtype=np.float64).reshape(n, 2), np.arange(n) % 2

    config = make_config(dataset_name="mine", preprocessing={"options": {"rows": 50}})
    parts = list(DataPipeline(config, registry=registry))
    assert sum(len(part.labels) for part in parts) == 50
    assert sorted(value for part in parts for value in part.features[:, 0]) == list(range(0, 100, 2))


def test_a_builder_named_as_text_is_imported_when_first_used() -> None:
    registry = DatasetRegistry()
    registry.register("late", "nexa_data.datasets.synthetic:build")
    registry.register("broken", "no_such_module_anywhere:build")
    assert registry.builder("late") is default_registry.builder("synthetic")
    with pytest.raises(ImportError):
        registry.builder("broken")


def test_a_name_is_taken_once_unless_it_is_to_be_replaced() -> None:
    registry = DatasetRegistry()
    registry.register("x", lambda _: 1)
    with pytest.raises(ConfigError, match="registered already"):
        registry.register("x", lambda _: 2)
    registry.register("x", lambda _: 3, replace=True)
    assert registry.builder("x")(None) == 3  # type: ignore[arg-type]


def test_the_fingerprint_follows_the_builders_source_and_version() -> None:
    registry = DatasetRegistry()
    registry.register("one", lambda _: 1)
    registry.register("two", lambda _: 2)
    registry.register("one-again", registry.builder("one"))
    registry.register("one-newer", registry.builder("one"), version="2")
    marks = {name: registry.fingerprint(name) for name in registry}
    assert marks["one"] == marks["one-again"]
    assert len({marks["one"], marks["two"], marks["one-newer"]}) == 3


@pytest.mark.parametrize("wrong", [3, "text", None])
def test_a_builder_that_returns_no_rows_is_refused_by_name(wrong: Any) -> None:
    from nexa_data.errors import NexaError

    registry = DatasetRegistry()
    registry.register("odd", lambda _: wrong)
    with pytest.raises(NexaError, match="odd"):
        list(DataPipeline({"data": {"dataset_name": "odd"}}, registry=registry))
