"""Data three times as large as memory goes by without filling the page cache."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEASURE = """
import json, sys
from pathlib import Path
from benches.loaders import beyond
print(json.dumps(beyond.run(Path(sys.argv[1]), rounds=1, **beyond.SMALL)))
"""


@pytest.mark.slow
def test_an_epoch_beyond_memory_leaves_the_page_cache_as_it_was(tmp_path: Path) -> None:
    if importlib.util.find_spec("benches") is None and not (ROOT / "benches").is_dir():
        pytest.skip("the benches aren't here: what they measure can't be tested")
    if shutil.which("fio") is None:
        pytest.skip("fio isn't installed: the bench measures nothing without it")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    direct = found["rounds"][0]["direct"]
    if direct["source_reason"]:
        pytest.skip(direct["source_reason"])
    assert direct["source"] == "direct"
    assert direct["cached_bytes"] <= 0.02 * found["bytes"]
    # Two windows of 8 blocks, and a quarter.
    assert direct["window_bytes"] <= 2 * 8 * 32768 * 136 * 1.25
    if "unbounded" in found:
        pytest.skip(f"right, but not in a control group: {found['unbounded']}")
