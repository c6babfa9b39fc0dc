"""The commands that stage, remove and evict, and the job script that uses them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from nexa_data.artifacts import lock_path
from nexa_data.cli import app, main
from nexa_data.locks import Flock

SCRIPT = Path(__file__).parents[3] / "configs" / "slurm.sbatch"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a catalog of three shards of 1,000 bytes."""
    folder = tmp_path / "source"
    folder.mkdir()
    lines = []
    for at in range(3):
        content = bytes([at]) * 1000
        (folder / f"{at}.bin").write_bytes(content)
        lines.append({"uri": f"{at}.bin", "checksum": f"sha256:{hashlib.sha256(content).hexdigest()}"})
    (folder / "catalog.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def nexa(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function from arguments to exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(each) for each in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_the_result_says_how_each_shard_came(nexa: Any, source: Path, tmp_path: Path) -> None:
    code, out, err = nexa("stage", source, tmp_path / "one", "--no-direct")
    facts = dict(re.split(r"  +", line, maxsplit=1) for line in out.splitlines())
    assert (code, err) == (0, "")
    assert facts["copied"].startswith("3 shards (2.9 KiB), ")
    assert facts["copied"].endswith("3 buffered")
    assert facts["not direct"].startswith("3 because ")
    assert facts["verified"] == "while copying, not read back"
    assert facts["reused"].startswith("no")
    facts = dict(
        re.split(r"  +", line, maxsplit=1) for line in nexa("stage", source, tmp_path / "two")[1].splitlines()
    )
    assert facts["linked"] == "3 shards (2.9 KiB)"
    out = nexa("stage", source, tmp_path / "two")[1]
    assert "yes (" in out
    assert "linked" not in out


def test_every_option_reaches_the_library(nexa: Any, source: Path, tmp_path: Path) -> None:
    options = (
        *(
            "--algorithm",
            "blake3",
            "--threads",
            1,
            "--no-direct",
            "--engine",
            "threads",
            "--block-size",
            "1MiB",
        ),
        *(
            "--max-memory",
            "64MiB",
            "--max-bandwidth",
            "200MB/s",
            "--readback",
            "--no-reuse",
            "--evict",
            "lru",
        ),
        *("--max-bytes", "1GB", "--trust-uid", 1, "--trust-uid", 2, "--json"),
    )
    code, out, _ = nexa("stage", source, tmp_path / "out", *options)
    assert code == 0
    report = json.loads(out)["report"]
    assert (report["modes"], report["copied_shards"]) == ({"buffered": 3}, 3)
    assert report["store"] == "not wanted"
    assert {"seconds", "cpu_seconds", "bytes_per_second", "filesystems", "evicted", "engine"} <= set(report)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--max-bytes", "64G"), 2, "500GB or 64GiB"),
        (("--engine", "rocket"), 2, "io_uring"),
        (("--evict", "lru"), 2, "--max-bytes"),
        (("--max-bytes", "10"), 1, "3,000 bytes are to come"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    nexa: Any, source: Path, tmp_path: Path, options: tuple[str, ...], code: int, said: str
) -> None:
    status, out, err = nexa("stage", source, tmp_path / "out", *options)
    assert (status, out) == (code, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_unstage_and_evict_print_what_was_freed(nexa: Any, source: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert nexa("stage", source, tmp_path / "cache" / name)[0] == 0
    code, out, _ = nexa("unstage", tmp_path / "cache" / "one")
    assert code == 0
    assert "1 artifacts, 0 files of the store" in out
    assert str(tmp_path / "cache" / "one") in out
    freed = json.loads(nexa("evict", tmp_path / "cache", "--max-bytes", "1", "--json")[1])
    assert freed["artifacts"] == [str(tmp_path / "cache" / "two")]
    assert freed["entries"] == 3
    assert nexa("unstage", tmp_path / "cache" / "one")[0] == 1


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_waits_is_interrupted_with_exit_code_4(source: Path, tmp_path: Path, by: int) -> None:
    lock = Flock(lock_path(tmp_path / "out"))
    lock.acquire()
    command = [sys.executable, "-m", "nexa_data.cli", "-v", "stage", source, tmp_path / "out"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if "waiting for process" in line:
                break
        os.kill(process.pid, by)
        assert "run the same command again" in process.stderr.read()
    assert process.returncode == 4
    lock.release()


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("engine", ["io_uring", "threads"])
def test_a_copy_under_way_stops_with_exit_code_4_and_the_next_run_completes(
    nexa: Any, source: Path, tmp_path: Path, engine: str, by: int
) -> None:
    # The second shard would begin after a quarter of an hour.
    slow = ["--max-bandwidth", "1B/s", "--engine", engine]
    command = [sys.executable, "-m", "nexa_data.cli", "stage", source, tmp_path / "out", *slow]
    partial = tmp_path / ".out.partial" / "shards"
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        while not partial.is_dir() or not any(partial.iterdir()):
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, by)
        assert "run the same command again" in process.communicate(timeout=60)[1]
    assert process.returncode == 4
    assert not (tmp_path / "out").exists()
    code, out, _ = nexa("stage", source, tmp_path / "out", "--json")
    assert (code, json.loads(out)["reused"]) == (0, False)
    assert nexa("validate", tmp_path / "out", "--full")[0] == 0


def test_the_job_script_is_sound_and_its_commands_and_options_exist() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)  # noqa: S607 (the user's shell)
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    lines = [line for line in SCRIPT.read_text().splitlines() if not line.startswith("#")]
    used = [line.partition("nexa-data ")[2].partition("|")[0] for line in lines if "nexa-data " in line]
    assert len(used) == 2
    for line in used:
        name, *arguments = shlex.split(line)
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert {each for each in arguments if each.startswith("--")} <= known, line


def test_the_job_script_stages_to_where_the_loader_looks(tmp_path: Path) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    # What a cluster has; each task is run here, one after the other.
    stand_ins = {
        "srun": 'while [[ $1 == --* ]]; do shift; done\nexec "$@"',
        "scontrol": "echo localhost",
        "torchrun": 'while [[ $1 == --* ]]; do shift; done\nexec python "$@"',
        "nexa-data": f'exec {sys.executable} -m nexa_data.cli "$@"',
        "python": f'exec {sys.executable} "$@"',
    }
    for name, body in stand_ins.items():
        (bin_folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (bin_folder / name).chmod(0o755)
    config = tmp_path / "config.yaml"
    config.write_text(
        "data:\n  dataset_name: synthetic\n  preprocessing: {num_samples: 100}\n"
        "  cache_dir: ${oc.env:SLURM_TMPDIR,null}\n"
        f"experiment: {{output_dir: {tmp_path}/runs}}\n"
    )
    train = tmp_path / "train.py"
    train.write_text(
        "import sys\nfrom nexa_data import build_loader\n"
        "print('reads', build_loader(sys.argv[1], 'train', rank=0, world_size=2).dataset.folder, *sys.argv[2:])\n"
    )
    environment = os.environ | {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "SLURM_TMPDIR": str(tmp_path / "nvme"),
        "SLURM_NNODES": "1",
        "SLURM_JOB_ID": "1",
        "SLURM_JOB_NODELIST": "localhost",
    }
    done = subprocess.run(
        ["bash", SCRIPT, config, train, "--lr", "1"],  # noqa: S607 (the user's shell)
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reads = done.stdout.splitlines()[-1]
    assert reads.startswith(f"reads {tmp_path}/nvme/synthetic-1-")
    assert reads.endswith(" --lr 1")
