"""A split of more shards than a process may map or hold open is served like any other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from nexa_data import _core
from nexa_data.shard_output import tensor_batch

if TYPE_CHECKING:
    from pathlib import Path

SHARDS, FILES, ROWS = 100_000, 100, 2

READ_ALL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
import time, torch
from nexa_data.datasets.shards import ShardDataset
from nexa_data.loaders.plan import BatchPlan
from nexa_data.loaders.sampler import ShardSampler
from nexa_data.loaders.torch_loader import ShardLoader
dataset = ShardDataset(sys.argv[1], "train", columns=["label"], as_dict=True)
sampler = ShardSampler(dataset, BatchPlan(len(dataset), 2048, 0, 1, "keep"), seed=1, shuffle=True)
count = torch.zeros(200, dtype=torch.int64)
for batch in ShardLoader(dataset, sampler):
    count += torch.bincount(batch["label"], minlength=200)
print(count.tolist())
"""


@pytest.mark.slow
def test_a_hundred_thousand_shards_are_read_within_the_limits_of_an_ordinary_process(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    lines = []
    for number in range(SHARDS):
        uri = f"shards/{number:06d}.arrow"
        origin = number % FILES
        if number < FILES:
            labels = np.arange(origin * ROWS, (origin + 1) * ROWS, dtype=np.int64)
            _core.write_shard(tmp_path / uri, [tensor_batch({"label": labels})])
        else:
            # Links are files of their own to whoever maps them.
            os.link(tmp_path / f"shards/{origin:06d}.arrow", tmp_path / uri)
        lines.append(json.dumps({"uri": uri, "split": "train", "records": ROWS}) + "\n")
    (tmp_path / "catalog.jsonl").write_text("".join(lines))
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [SHARDS // FILES] * (FILES * ROWS)
