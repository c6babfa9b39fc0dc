from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import torch.distributed
from nexa_data.errors import ConfigError
from nexa_data.loaders.ranks import find_ranks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


def both(**arguments: Any) -> tuple[int, int, bool]:
    found = find_ranks(**arguments)
    return found.rank, found.world_size, found.distributed


def test_one_process_is_rank_0_of_1() -> None:
    assert both() == (0, 1, False)


def test_rank_and_world_size_of_the_environment_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "2")
    assert both() == (0, 1, False)
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert both() == (2, 4, True)


def test_the_scheduler_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_PROCID", "2")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    assert both() == (0, 1, False)


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert both(rank=0, world_size=2) == (0, 2, True)
    assert both(shard=(1, 3)) == (1, 3, True)
    assert both(shard="none") == (0, 1, True)


@pytest.mark.usefixtures("process_group")
def test_an_initialised_process_group_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert both() == (0, 1, False)
    assert find_ranks().source == "torch.distributed"
    assert both(rank=1, world_size=2) == (1, 2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        {"rank": 0},
        {"world_size": 2},
        {"rank": 2, "world_size": 2},
        {"rank": -1, "world_size": 2},
        {"rank": 0, "world_size": 0},
        {"shard": (3, 2)},
        {"shard": "some"},
    ],
)
def test_numbers_that_contradict_each_other_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        find_ranks(**arguments)


@pytest.mark.parametrize(("rank", "size"), [("x", "2"), ("1.0", "2"), ("5", "2"), ("-1", "2")])
def test_a_wrong_environment_is_refused(monkeypatch: pytest.MonkeyPatch, rank: str, size: str) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", size)
    with pytest.raises(ConfigError, match="RANK"):
        find_ranks()


def test_one_log_line_says_which(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "nexa_data"):
        find_ranks(rank=1, world_size=3)
    assert [record.getMessage() for record in caplog.records] == ["rank 1 of 3, from the arguments"]
