"""What tests of every room share: a small config, sources that a test writes itself, and a real teacher."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pyarrow as pa
import pytest
from nexa_data.distill_demo import served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The same examples on every machine; a slow machine is no failure.
hypothesis.settings.register_profile("nexa", derandomize=True, deadline=None, max_examples=60)
hypothesis.settings.load_profile("nexa")


TEACHER_DATA = Path(__file__).parent / "data" / "teacher"


collect_ignore_glob = ["data/*"]
"""What wrote the golden files needs packages that the tests do without."""


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Return a function from keys of `data:` to a config whose store lies in the test's own folder."""

    def make(**data: Any) -> dict[str, Any]:
        return {
            "data": {"dataset_name": "synthetic"} | data,
            "experiment": {"output_dir": str(tmp_path / "runs")},
        }

    return make


@pytest.fixture
def small_config(make_config: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Return a config of 150 synthetic records of four features in three classes."""
    return make_config(batch_size=16, preprocessing={"num_samples": 150, "num_features": 4, "num_classes": 3})


@pytest.fixture
def table() -> pa.Table:
    """Return 60 rows: two numbers, a text label, and a row number."""
    random = np.random.default_rng(7)
    return pa.table(
        {
            "a": random.normal(size=60).astype(np.float32),
            "b": np.arange(60, dtype=np.int32),
            "kind": [("cat", "dog", "eel")[at % 3] for at in range(60)],
        }
    )


@pytest.fixture(scope="session")
def teacher_url() -> Iterator[str]:
    """Base URL of llama.cpp's own server with the tiny model; it dies with the test session."""
    pytest.importorskip("xllamacpp", reason="the real teacher needs xllamacpp (extra `dev`)")
    with served(TEACHER_DATA / "tiny.gguf") as url:
        yield url


@pytest.fixture(scope="session")
def reference() -> list[dict[str, Any]]:
    """Prompts with the tiny model's own probabilities, computed in torch."""
    loaded: list[dict[str, Any]] = json.loads((TEACHER_DATA / "reference.json").read_text())
    return loaded
