"""What tests of every room share: a small config, sources that a test writes itself, and a real teacher."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pyarrow as pa
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The same examples on every machine; a slow machine is no failure.
hypothesis.settings.register_profile("nexa", derandomize=True, deadline=None, max_examples=60)
hypothesis.settings.load_profile("nexa")


TEACHER_DATA = Path(__file__).parent / "data" / "teacher"
_SERVE = """
import socket, sys, xllamacpp
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
p = xllamacpp.CommonParams()
p.model.path, p.hostnames, p.port = sys.argv[1], ["127.0.0.1"], port
p.n_parallel, p.n_ctx, p.cpuparams.n_threads = 16, 4096, 1
server = xllamacpp.Server(p)
print(f"PORT={port}", flush=True)
sys.stdin.read()
"""


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
    command = [sys.executable, "-c", _SERVE, str(TEACHER_DATA / "tiny.gguf")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        port = next((line[5:].strip() for line in process.stdout if line.startswith("PORT=")), None)
        try:
            assert port, "the teacher didn't start"
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


@pytest.fixture(scope="session")
def reference() -> list[dict[str, Any]]:
    """Prompts with the tiny model's own probabilities, computed in torch."""
    loaded: list[dict[str, Any]] = json.loads((TEACHER_DATA / "reference.json").read_text())
    return loaded
