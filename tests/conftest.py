"""What tests of every room share: a small config, and sources that a test writes itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pyarrow as pa
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# The same examples on every machine; a slow machine is no failure.
hypothesis.settings.register_profile("nexa", derandomize=True, deadline=None, max_examples=60)
hypothesis.settings.load_profile("nexa")


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
