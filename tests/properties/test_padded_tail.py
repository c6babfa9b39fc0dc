"""Under a padded tail every record counts exactly once an epoch, whatever the batch and the world size."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from nexa_data import _core
from nexa_data.datasets.finish import Finish
from nexa_data.datasets.shards import ShardDataset
from nexa_data.loaders.plan import BatchPlan
from nexa_data.loaders.sampler import DistributedShardSampler
from nexa_data.loaders.torch_loader import ShardLoader
from nexa_data.shard_output import tensor_batch

if TYPE_CHECKING:
    from pathlib import Path

MOST = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a catalog with a split of n records, numbered, for each n."""
    folder = tmp_path_factory.mktemp("padded")
    lines = []
    for n in range(1, MOST + 1):
        values = np.arange(n, dtype=np.int64)
        _core.write_shard(folder / f"{n}.arrow", [tensor_batch({"label": values})])
        lines.append(f'{{"uri": "{n}.arrow", "split": "n{n}", "records": {n}}}\n')
    (folder / "catalog.jsonl").write_text("".join(lines))
    return folder


@given(
    n=st.integers(1, MOST),
    batch=st.integers(1, 40),
    world=st.integers(1, 5),
    as_dict=st.booleans(),
    stop=st.integers(0, 8),
)
def test_each_record_counts_once_and_all_batches_are_full(
    folder: Path,
    n: int,
    batch: int,
    world: int,
    as_dict: bool,  # noqa: FBT001 (hypothesis passes by name)
    stop: int,
) -> None:
    assume(batch >= world)
    counted: list[int] = []
    sizes = []
    for rank in range(world):
        dataset = ShardDataset(
            folder, f"n{n}", columns=("label",), as_dict=as_dict, finish=Finish(masked=True)
        )
        plan = BatchPlan(n, batch, rank, world, "pad")
        loader = ShardLoader(dataset, DistributedShardSampler(dataset, plan, seed=1, shuffle=True))
        drawn = list(islice(loader, stop))
        if len(drawn) == stop < plan.batches():
            # The rest after a stop: what was counted before isn't again.
            resumed = ShardLoader(dataset, DistributedShardSampler(dataset, plan, seed=1, shuffle=True))
            resumed.load_state_dict(loader.state_dict())
            drawn += list(resumed)
        pairs = [(each["label"], each["mask"]) if as_dict else each for each in drawn]
        counted += chain.from_iterable(labels[mask].tolist() for labels, mask in pairs)
        sizes.append([len(labels) for labels, _ in pairs])
    assert sorted(counted) == list(range(n))
    assert {sum(each) for each in zip(*sizes, strict=True)} == {batch}
