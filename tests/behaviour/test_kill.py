"""Whenever a run is killed, the old state or the new one is there, and the next run succeeds.

The killed processes are forked from one that has imported the library already, so that a point in time is a point
in the work and not in the imports. The points are spread over the duration of an uninterrupted run, measured here.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nexa_data import _core
from nexa_data.artifacts import ArtifactMeta, is_complete, read_meta, verify_artifact
from nexa_data.catalog import ShardCatalog
from nexa_data.prepare import prepare_from_config, stage_catalog_to_nvme
from nexa_data.staging.proven import Proof
from nexa_data.staging.store import STORE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SERVER = """
import json, os, sys
from pathlib import Path
import pyarrow, numpy, omegaconf, pydantic
import nexa_data.publishing, nexa_data.datasets.synthetic, nexa_data._core
from nexa_data.prepare import prepare_from_config, stage_catalog_to_nvme
print("ready", flush=True)
for line in sys.stdin:
    kind, *arguments = json.loads(line)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if kind == "prepare":
                prepare_from_config(*arguments)
            else:
                stage_catalog_to_nvme(*map(Path, arguments))
            code = 0
        except KeyboardInterrupt:
            code = 130
        finally:
            os._exit(code)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


class Runner:
    """Runs a job in a process of its own, and kills it after a while if told so."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._read() == "ready"

    def _read(self) -> str:
        assert self._server.stdout
        return self._server.stdout.readline().strip()

    def run(self, job: list[Any], *, after_s: float | None = None, by: int = signal.SIGKILL) -> bool:
        """Return whether the job ended by itself, with success."""
        assert self._server.stdin
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        pid = int(self._read())
        if after_s is not None:
            self._strike(pid, after_s, by)
        status = int(self._read())
        struck = os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 130
        assert struck or status == 0, f"the job failed by itself: {status}"
        return not struck

    @staticmethod
    def _strike(pid: int, after_s: float, by: int) -> None:
        # The moment is what is tested: nothing can be waited for but the clock.
        end = time.perf_counter() + after_s
        while time.perf_counter() < end:
            pass
        try:
            os.kill(pid, by)
        except ProcessLookupError:
            return

    def close(self) -> None:
        assert self._server.stdin
        self._server.stdin.close()
        self._server.wait(30)
        assert self._server.stdout
        self._server.stdout.close()


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    made.close()


def moments(count: int, duration_s: float) -> list[float]:
    """Return seeded points from the start of a run to a little after its end, one in each of `count` parts."""
    chosen = random.Random(20)  # noqa: S311 (no secret)
    return [(at + chosen.random()) / count * duration_s * 1.1 for at in range(count)]


def timed(runner: Runner, job: list[Any]) -> float:
    started = time.perf_counter()
    assert runner.run(job)
    return time.perf_counter() - started


def hidden(folder: Path) -> list[str]:
    """Return what is left beside the artifacts and the store."""
    found = os.listdir(folder)  # noqa: PTH208 (hidden ones)
    return sorted(name for name in found if name.startswith(".") and name != STORE_NAME)


def assert_the_store_tells_the_truth(folder: Path) -> None:
    entries = [path for path in (folder / STORE_NAME).rglob("*/*/*") if path.is_file()]
    assert entries
    for path in entries:
        algorithm, _, digits = path.relative_to(folder / STORE_NAME).as_posix().split("/")
        assert _core.digest_file(path, algorithm)[1] == f"{algorithm}:{digits}"


def config(root: Path, seed: int) -> dict[str, Any]:
    return {
        "data": {
            "dataset_name": "synthetic",
            "preprocessing": {"num_samples": 30_000, "num_features": 24, "seed": seed},
            "shards": {"rows": 1500},
        },
        "experiment": {"output_dir": str(root)},
    }


@pytest.fixture(scope="module")
def source_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of 30,000 records in several row groups."""
    path = tmp_path_factory.mktemp("source") / "in.parquet"
    numbers = np.random.default_rng(5)
    table = {f"f{at}": numbers.standard_normal(30_000, np.float32) for at in range(24)}
    pq.write_table(pa.table(table | {"label": numbers.integers(0, 10, 30_000)}), path, row_group_size=4_000)
    return path


def of_file(source: Path, root: Path, seed: int) -> dict[str, Any]:
    data = config(root, seed)["data"] | {"dataset_name": "files", "source_uri": str(source)}
    return {
        "data": data | {"preprocessing": {"seed": seed}},
        "experiment": {"output_dir": str(root)},
    }


def survive_prepare(
    runner: Runner, root: Path, count: int, by: int, config: Callable[[Path, int], dict[str, Any]] = config
) -> None:
    """Kill one prepare after another in a store that holds an older version, and look at what is left each time."""
    timed(runner, ["prepare", config(root / "reference", 1)])
    duration = timed(runner, ["prepare", config(root / "reference", 2)])
    wanted = prepare_from_config(config(root / "reference", 2)).hash
    struck = 0
    for number, after_s in enumerate(moments(count, duration)):
        store = root / f"{number}"
        old = prepare_from_config(config(store, 0))
        folder = old.path.parent
        struck += not runner.run(["prepare", config(store, 2)], after_s=after_s, by=by)
        for published in (path for path in folder.iterdir() if not path.name.startswith(".")):
            assert is_complete(published)
            assert verify_artifact(published).hash in {old.hash, wanted}
        assert verify_artifact(folder / "latest").hash in {old.hash, wanted}
        again = prepare_from_config(config(store, 2))
        assert verify_artifact(again.path).hash == wanted
        assert read_meta(folder / "latest") == again
        assert ShardCatalog.validate(again.path, full=True)[1] == []
        assert hidden(folder) == []
    assert struck, "no run was killed before its end: the points lie wrong"


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> tuple[ArtifactMeta, ArtifactMeta]:
    """Return an older and a newer dataset to stage."""
    root = tmp_path_factory.mktemp("catalogs")
    return prepare_from_config(config(root, 0)), prepare_from_config(config(root, 1))


def survive_stage(
    runner: Runner, catalogs: tuple[ArtifactMeta, ArtifactMeta], root: Path, count: int, by: int
) -> None:
    """Kill one stage after another, every second over an older artifact, and look at what is left each time."""
    older, newer = catalogs
    timed(runner, ["stage", older.uri, str(root / "older")])
    duration = timed(runner, ["stage", newer.uri, str(root / "newer")])
    wanted, before = read_meta(root / "newer").hash, read_meta(root / "older").hash
    struck = 0
    for number, after_s in enumerate(moments(count, duration)):
        destination = root / f"{number}" / "out"
        if number % 2:
            stage_catalog_to_nvme(older.path, destination)
        struck += not runner.run(["stage", newer.uri, str(destination)], after_s=after_s, by=by)
        if number % 2:
            assert verify_artifact(destination).hash in {before, wanted}
        elif destination.exists():
            assert verify_artifact(destination).hash == wanted
        stage_catalog_to_nvme(newer.path, destination)
        assert verify_artifact(destination).hash == wanted
        assert ShardCatalog.validate(destination, full=True)[1] == []
        assert hidden(destination.parent) == []
        assert_the_store_tells_the_truth(destination.parent)
    assert struck, "no run was killed before its end: the points lie wrong"


def test_a_killed_prepare_leaves_the_old_or_the_new_and_the_next_run_succeeds(
    runner: Runner, tmp_path: Path
) -> None:
    survive_prepare(runner, tmp_path, 10, signal.SIGKILL)


def test_a_killed_prepare_of_files_goes_on_and_makes_what_an_uninterrupted_one_makes(
    runner: Runner, source_file: Path, tmp_path: Path
) -> None:
    survive_prepare(runner, tmp_path, 10, signal.SIGKILL, partial(of_file, source_file))


KILLED = """
import json, os, signal, sys
from pathlib import Path
from nexa_data.prepare import prepare_from_config

store = Path(sys.argv[2])

def strike(records):
    journals = list(store.rglob(".written.jsonl"))
    if journals and len(journals[0].read_bytes().splitlines()) > 3:
        os.kill(os.getpid(), signal.SIGKILL)

prepare_from_config(json.loads(sys.argv[1]), progress=strike)
"""


def test_shards_that_were_whole_before_the_kill_are_not_written_again(
    source_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = of_file(source_file, tmp_path / "runs", 0)
    reference = prepare_from_config(of_file(source_file, tmp_path / "reference", 0)).hash
    command = [sys.executable, "-c", KILLED, json.dumps(wanted), str(tmp_path / "runs")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (journal,) = (tmp_path / "runs").rglob(".written.jsonl")
    noted = [json.loads(line)["uri"] for line in journal.read_bytes().splitlines()[1:]]
    inodes = {uri: (journal.parent / uri).stat().st_ino for uri in noted}
    # What was being written when the run was killed, and what nobody has noted, is no shard.
    (journal.parent / "shards" / "train-00099.arrow").write_bytes(b"half")
    # Nor is one that is as long as it was noted, with another content.
    damaged = noted.pop()
    content = bytearray((journal.parent / damaged).read_bytes())
    content[len(content) // 2] ^= 1
    (journal.parent / damaged).write_bytes(content)
    with caplog.at_level("INFO", logger="nexa_data.publishing"):
        made = prepare_from_config(wanted)
    assert made.hash == reference
    assert {uri: (made.path / uri).stat().st_ino for uri in noted} == {uri: inodes[uri] for uri in noted}
    assert f"{len(noted)} of " in caplog.text
    verify_artifact(made.path)


def test_a_killed_stage_leaves_the_old_or_the_new_and_the_next_run_succeeds(
    runner: Runner, catalogs: tuple[ArtifactMeta, ArtifactMeta], tmp_path: Path
) -> None:
    survive_stage(runner, catalogs, tmp_path, 10, signal.SIGKILL)


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_prepare_leaves_the_old_or_the_new(runner: Runner, tmp_path: Path, by: int) -> None:
    survive_prepare(runner, tmp_path, 4, by)


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_stage_leaves_the_old_or_the_new(
    runner: Runner, catalogs: tuple[ArtifactMeta, ArtifactMeta], tmp_path: Path, by: int
) -> None:
    survive_stage(runner, catalogs, tmp_path, 4, by)


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_a_hundred_killed_prepares(runner: Runner, tmp_path: Path, by: int) -> None:
    survive_prepare(runner, tmp_path, 100, by)


@pytest.mark.slow
def test_fifty_killed_prepares_of_files(runner: Runner, source_file: Path, tmp_path: Path) -> None:
    survive_prepare(runner, tmp_path, 50, signal.SIGKILL, partial(of_file, source_file))


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_a_hundred_killed_stages(
    runner: Runner, catalogs: tuple[ArtifactMeta, ArtifactMeta], tmp_path: Path, by: int
) -> None:
    survive_stage(runner, catalogs, tmp_path, 100, by)


def test_a_staging_that_was_killed_goes_on_with_what_it_had_proven(runner: Runner, tmp_path: Path) -> None:
    source = prepare_from_config(config(tmp_path / "runs", 0)).path
    bad = max((source / "shards").iterdir())
    good = bad.read_bytes()
    bad.chmod(0o644)
    half = len(good) // 2
    bad.write_bytes(good[:half] + bytes([good[half] ^ 1]) + good[half + 1 :])
    with pytest.raises(OSError, match=bad.name):
        stage_catalog_to_nvme(source, tmp_path / "out")
    bad.write_bytes(good)
    runner.run(["stage", str(source), str(tmp_path / "out")], after_s=0.0)
    stage_catalog_to_nvme(source, tmp_path / "out")
    assert verify_artifact(tmp_path / "out").labels["source_hash"] == read_meta(source).hash
    report = json.loads((tmp_path / "out" / "staging_report.json").read_bytes())
    assert report["reused_shards"] >= report["shards"] - 1


STRUCK = """
import os, signal, sys
from pathlib import Path
from nexa_data.prepare import stage_catalog_to_nvme

destination = Path(sys.argv[2])
journal = destination.parent / f".{destination.name}.partial" / "staging_shards.jsonl"

def strike(done, total):
    # What is done is told before it is proven.
    if done == total or (done and journal.exists() and journal.stat().st_size):
        os.kill(os.getpid(), signal.SIGKILL)

stage_catalog_to_nvme(Path(sys.argv[1]), destination, shard_progress=strike, reuse=sys.argv[3] == "True")
"""


@pytest.mark.parametrize("reuse", [True, False])
def test_what_was_proven_before_the_kill_is_neither_copied_nor_hashed_again(
    catalogs: tuple[ArtifactMeta, ArtifactMeta],
    tmp_path: Path,
    reuse: bool,  # noqa: FBT001
) -> None:
    source, destination = catalogs[0].path, tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", STRUCK, source, destination, str(reuse)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not destination.exists()
    lines = (tmp_path / ".out.partial" / "staging_shards.jsonl").read_bytes().splitlines()
    inodes = {proof.name: proof.facts[2] for proof in map(Proof.parse, lines) if proof}
    assert inodes
    stage_catalog_to_nvme(source, destination, reuse=reuse)
    report = json.loads((destination / "staging_report.json").read_bytes())
    assert report["resumed_shards"] == len(inodes)
    assert {name: (destination / name).stat().st_ino for name in inodes} == inodes
    verify_artifact(destination)
