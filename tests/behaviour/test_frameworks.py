"""Real training loops in several processes: every record once an epoch, assembled natively, also after a kill."""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
from itertools import chain, compress
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "loops"))
from launch import numbered, run_ranks

BATCH = 8


def flat(batches: Any) -> list[int]:
    return list(chain.from_iterable(batches))


def unmasked(epoch: Any) -> list[int]:
    """Return the records of an epoch's (numbers, mask) that are no padding."""
    return flat(compress(numbers, mask) for numbers, mask in epoch)


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        importlib.util.find_spec(package) is None, reason=f"{package} (extra frameworks) is not installed"
    )


def test_a_plain_loop_counts_each_record_once_by_the_mask(tmp_path: Path) -> None:
    config = numbered(tmp_path, 101, batch_size=BATCH, batch={"tail": "pad"})
    ranks = run_ranks("plain.py", 2, config)
    for epoch in range(2):
        together = flat(unmasked(rank["epochs"][epoch]) for rank in ranks)
        assert sorted(together) == list(range(101))
        assert {len(batch) for rank in ranks for batch, _ in rank["epochs"][epoch]} == {BATCH}
    assert ranks[0]["epochs"][0] != ranks[0]["epochs"][1]
    for rank in ranks:
        drawn = list(chain.from_iterable(rank["epochs"]))
        assert rank["stats"]["batches"] == len(drawn)
        assert rank["stats"]["records"] == BATCH * len(drawn)


def test_on_a_mesh_only_data_parallel_peers_part_the_records(tmp_path: Path) -> None:
    config = numbered(tmp_path, 96, batch_size=BATCH)
    ranks = {tuple(rank["place"]): rank["found"] for rank in run_ranks("meshed.py", 4, config)}
    for name, apart in (("dp", 0), ("by number", 0), ("submesh", 0), ("the other", 1)):
        seen: dict[int, Any] = {}
        for place, found in ranks.items():
            assert seen.setdefault(place[apart], found[name]) == found[name]
        assert sorted(flat(flat(each) for each in seen.values())) == list(range(96))
    assert sorted(flat(flat(found["both"]) for found in ranks.values())) == list(range(96))
    assert ranks[0, 0]["dp"] == ranks[0, 1]["dp"] != ranks[1, 0]["dp"]


def test_after_kills_other_world_sizes_go_on_record_by_record(tmp_path: Path) -> None:
    config = numbered(tmp_path, 100, global_batch_size=12, batch={"tail": "keep"})

    def run(name: str, world_size: int, steps: int, *resumed: str) -> list[list[int]]:
        arguments = (steps, tmp_path / name, *(tmp_path / each for each in resumed))
        run_ranks("killed.py", world_size, config, *arguments, status=-signal.SIGKILL if steps else 0)
        files = [Path(f"{tmp_path / name}-{rank}").read_text().splitlines() for rank in range(world_size)]
        return [flat(json.loads(part) for part in parts) for parts in zip(*files, strict=True)]

    whole = run("whole", 1, 0)
    assert [sorted(flat(whole[at : at + 9])) for at in (0, 9)] == [list(range(100))] * 2
    # Stopped in the first epoch and in the second.
    assert [*run("a", 2, 5), *run("b", 1, 7, "a"), *run("c", 3, 0, "b")] == whole


@needs("accelerate")
@pytest.mark.parametrize("world_size", [1, 2])
def test_accelerate_deals_out_every_record_once_and_skips(tmp_path: Path, world_size: int) -> None:
    config = numbered(tmp_path, 101, batch_size=BATCH, batch={"tail": "pad"})
    ranks = run_ranks("accelerated.py", world_size, config)
    for epoch in range(2):
        assert sorted(flat(unmasked(rank["epochs"][epoch]) for rank in ranks)) == list(range(101))
    for rank in ranks:
        first, second = ([batch for batch, _ in epoch] for epoch in rank["epochs"])
        assert len(first) == len(second) == rank["batches"]
        assert rank["stats"]["batches"] == len(first) + len(second)
        assert rank["stats"]["records"] == BATCH * (len(first) + len(second))
        assert rank["rest"] == second[2:]
        assert rank["rest_stats"]["batches"] == len(rank["rest"]) + len(rank["following"])
        assert rank["bare"] == rank["whole"][3:]


@needs("accelerate")
@pytest.mark.parametrize("way", ["dispatch", "split", "dispatch and split"])
def test_accelerate_draws_for_all_or_splits_and_every_record_comes_once(tmp_path: Path, way: str) -> None:
    config = numbered(tmp_path, 96, batch_size=BATCH)
    ranks = run_ranks("accelerated_otherwise.py", 2, config, way)
    for epoch in range(2):
        assert sorted(flat(flat(rank["epochs"][epoch]) for rank in ranks)) == list(range(96))
    assert ranks[0]["epochs"][0] != ranks[0]["epochs"][1]
    whole = "split" not in way
    for rank in ranks:
        assert {len(batch) for epoch in rank["epochs"] for batch in epoch} == {BATCH if whole else BATCH // 2}
        assert {len(epoch) for epoch in rank["epochs"]} == {rank["batches"]}


@needs("accelerate")
@needs("transformers")
def test_the_trainer_of_transformers_sees_every_record_once_and_resumes(tmp_path: Path) -> None:
    config = numbered(tmp_path, 96, batch_size=BATCH, batch={"as": "dict"})
    ranks = run_ranks("hf_trainer.py", 2, config)
    steps = ranks[0]["steps"]
    for epoch in range(3):
        seen = flat(flat(rank["straight"][epoch * steps : (epoch + 1) * steps]) for rank in ranks)
        assert sorted(seen) == list(range(96))
    for rank in ranks:
        assert rank["stats"]["batches"] == len(rank["straight"])
        assert rank["stats"]["records"] == BATCH * len(rank["straight"])
        assert rank["before"] + rank["after"] == rank["straight"]
        assert rank["resumed_stats"]["batches"] == len(rank["after"])


@needs("pytorch_lightning")
@pytest.mark.parametrize("place", ["hook", "early"])
def test_lightning_with_its_own_sampler_replacement_sees_every_record_once(
    tmp_path: Path, place: str
) -> None:
    config = numbered(tmp_path, 96, batch_size=BATCH)
    ranks = run_ranks("lightning_ddp.py", 2, config, place, launched=1)
    for epoch in range(2):
        assert sorted(flat(flat(rank["epochs"][epoch]) for rank in ranks)) == list(range(96))
    for rank in ranks:
        drawn = list(chain.from_iterable(rank["epochs"]))
        assert rank["stats"]["batches"] == len(drawn)
        assert rank["stats"]["records"] == BATCH * len(drawn)


@needs("pytorch_lightning")
def test_lightning_goes_on_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    (found,) = run_ranks("lightning_resumed.py", 1, numbered(tmp_path, 96, batch_size=BATCH))
    assert len(found["before"]) < 96 // BATCH
    assert found["before"] + found["after"] == found["straight"]
