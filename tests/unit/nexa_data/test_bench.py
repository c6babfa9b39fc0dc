from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from nexa_data.bench import LoaderBench, run_bench, show_bench
from nexa_data.cli import main
from nexa_data.config import load_config

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config(small_config: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(small_config))
    return path


def test_so_many_batches_are_drawn_over_as_many_epochs_as_it_takes(config: Path) -> None:
    found = run_bench(load_config(config), batches=50)
    assert (found.batches, found.records, found.bytes) == (50, 50 * 16, 50 * 16 * (4 * 4 + 8))
    assert 0 <= found.waited_s <= found.seconds
    assert found.python_s == found.seconds - found.waited_s


def test_a_bound_of_no_time_still_measures_a_batch(config: Path) -> None:
    assert run_bench(load_config(config), "test", seconds=0).batches == 1


@pytest.mark.parametrize(
    ("waited_s", "assembling_s", "limit", "said"),
    [
        (0.9, 1.5, "assembly", "data.threads"),
        (0.1, 1.5, "python", "larger batches"),
        (0.9, 0.5, "machine", "other processes"),
    ],
)
def test_it_says_what_limits_and_what_would_help(
    capsys: pytest.CaptureFixture[str], waited_s: float, assembling_s: float, limit: str, said: str
) -> None:
    result = LoaderBench("train", 1000, 2, 0.1, 0.002, 100, 6400, 1 << 20, 1.0, waited_s, assembling_s)
    assert result.as_dict()["limit"] == limit
    show_bench(result)
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert said in lines["limit"]
    assert "6,400 records/s, 1.0 MiB/s" in lines["rate"]
    assert f"{assembling_s / 2:.0%} of the time of 2 threads" in lines["assembling"]


def test_the_command_prints_facts_or_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(config), "--batches", "3", "--json", "--set", "data.batch_size=8"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["batches"], found["records"]) == (3, 24)
    assert {"first_batch_s", "records_per_s", "bytes_per_s", "waited_s", "python_us_per_batch"} <= set(found)
    assert main(["bench", str(config), "--split", "test", "--seconds", "0"]) == 0
    assert "batches, " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--batches", "1", "--seconds", "1"), "exclude"), (("--split", "dev"), "no split 'dev'")],
)
def test_what_cannot_be_is_a_usage_error(
    config: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert main(["bench", str(config), *options]) == 2
    assert said in capsys.readouterr().err
