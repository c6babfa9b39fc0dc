"""Whatever goes wrong in the middle: the old artifact or the new, nothing between, and the next run completes."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from nexa_data.artifacts import read_meta, verify_artifact
from nexa_data.cli import main
from nexa_data.errors import ContentMismatchError, NexaError
from nexa_data.prepare import stage_catalog_to_nvme
from nexa_data.staging.store import STORE_NAME
from staging_catalog import Catalog, entry, records_of, report_of, ways

if TYPE_CHECKING:
    from collections.abc import Callable

context = multiprocessing.get_context("forkserver")


def once(action: Callable[[], object]) -> Callable[[int, int], None]:
    """Return a progress callback whose first call, just before the first byte, does `action`."""
    done = []

    def progress(_: int, __: int) -> None:
        if not done:
            done.append(True)
            action()

    return progress


def fill(disk: Path, leave_bytes: int) -> Path:
    found = os.statvfs(disk)
    filler = disk / "filler"
    filler.write_bytes(bytes(found.f_bavail * found.f_frsize - leave_bytes))
    return filler


@pytest.mark.parametrize("reuse", [True, False])
def test_a_disk_that_fills_up_while_it_is_copied_to(catalog: Catalog, disk: Path, reuse: bool) -> None:  # noqa: FBT001
    old = catalog.stage(disk / "out", reuse=reuse)
    for at in range(1, 4):
        catalog.write(f"large{at}.bin", bytes([at]) * 1_000_000)
    with pytest.raises(NexaError, match="No space left"):
        catalog.stage(disk / "out", reuse=reuse, progress=once(lambda: fill(disk, 1_500_000)))
    assert verify_artifact(disk / "out") == old
    (disk / "filler").unlink()
    new = catalog.stage(disk / "out", reuse=reuse)
    assert verify_artifact(disk / "out") == new != old
    assert ways(disk / "out").get("copied", 0) < 8


def test_a_disk_that_is_full_to_the_last_byte(catalog: Catalog, disk: Path) -> None:
    old = catalog.stage(disk / "out")
    catalog.write("s1.bin", b"another")
    filler = fill(disk, 0)
    with pytest.raises(NexaError, match=r"free|can't be written"):
        catalog.stage(disk / "out")
    assert verify_artifact(disk / "out") == old
    filler.unlink()
    assert verify_artifact(catalog.stage(disk / "out").path) != old


@pytest.mark.parametrize("checksum", [True, False])
def test_a_source_that_changes_while_it_is_copied(catalog: Catalog, tmp_path: Path, checksum: bool) -> None:  # noqa: FBT001
    catalog.write("live.bin", b"a" * 100_000, checksum=checksum)
    live = catalog.folder / "live.bin"
    with pytest.raises(ContentMismatchError, match=r"1 of 6 shards.*\n.*live\.bin"):
        catalog.stage(tmp_path / "out", progress=once(lambda: live.write_bytes(b"b" * 100_000)))
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / ".out.partial" / "shards" / "live.bin").exists()
    catalog.write("live.bin", b"b" * 100_000, checksum=checksum)
    catalog.stage(tmp_path / "out")
    assert (tmp_path / "out" / "shards" / "live.bin").read_bytes() == b"b" * 100_000
    verify_artifact(tmp_path / "out")


def test_a_source_that_goes_away_while_it_is_copied(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(NexaError, match=r"1 of 5 shards.*the other 4 stay"):
        catalog.stage(tmp_path / "out", progress=once((catalog.folder / "s3.bin").unlink))
    catalog.write("s3.bin", bytes([3]) * 30_000)
    catalog.stage(tmp_path / "out")
    assert ways(tmp_path / "out") == {"copied": 1, "resumed": 4}


def test_a_bit_that_flips_on_the_disk_unseen_is_found_by_a_full_validation(
    catalog: Catalog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = tmp_path / ".out.partial" / "shards" / "s2.bin"

    def flip(done: int, total: int) -> None:
        if done == total and shard.exists():
            found = shard.stat()
            shard.chmod(0o644)
            with shard.open("r+b") as file:
                file.write(b"\xff")
            shard.chmod(0o444)
            os.utime(shard, ns=(found.st_atime_ns, found.st_mtime_ns))

    catalog.stage(tmp_path / "out", shard_progress=flip)
    assert report_of(tmp_path / "out")["read_back"] is False
    assert main(["validate", str(tmp_path / "out")]) == 0
    assert main(["validate", str(tmp_path / "out"), "--full"]) == 3
    assert "wrong-checksum" in capsys.readouterr().out


def test_clocks_that_jump_change_nothing(catalog: Catalog, tmp_path: Path) -> None:
    for name, when in zip(catalog.lines, (0, 1, 2**31, 2**33, 2**34), strict=False):
        os.utime(catalog.folder / name, (when, when))
    first = catalog.stage(tmp_path / "out")
    for when in (0, 2**33):
        for path in (tmp_path / "out", tmp_path / "out" / "COMPLETE", tmp_path / STORE_NAME):
            os.utime(path, (when, when))
        meta = json.loads((tmp_path / "out" / "meta.json").read_bytes())
        meta["created_at"] = "9999-01-01T00:00:00+00:00" if when else "1970-01-01T00:00:00+00:00"
        (tmp_path / "out" / "meta.json").write_text(json.dumps(meta))
        assert catalog.stage(tmp_path / "out").hash == first.hash
        catalog.stage(tmp_path / f"at-{when}")
        assert ways(tmp_path / f"at-{when}") == {"linked": 5}


def test_a_run_stopped_between_marker_and_rename_is_resumed(catalog: Catalog, tmp_path: Path) -> None:
    catalog.stage(tmp_path / "out", reuse=False)
    key = read_meta(tmp_path / "out").labels["key"]
    (tmp_path / "out").rename(tmp_path / ".out.partial")
    (tmp_path / ".out.partial" / ".resume-key").write_text(key)
    catalog.stage(tmp_path / "out", reuse=False)
    assert ways(tmp_path / "out") == {"resumed": 5}
    assert set(os.listdir(tmp_path)) == {"source", "out"}  # noqa: PTH208 (hidden ones too)


def test_what_a_run_killed_after_its_rename_left_is_tidied(catalog: Catalog, tmp_path: Path) -> None:
    first = catalog.stage(tmp_path / "out")
    (tmp_path / ".out.lock").touch()
    for name in (".out.trash", ".out.partial"):
        (tmp_path / name / "shards").mkdir(parents=True)
        (tmp_path / name / "shards" / "s1.bin").write_bytes(b"old")
    assert catalog.stage(tmp_path / "out") == first
    assert set(os.listdir(tmp_path)) == {"source", "out", STORE_NAME}  # noqa: PTH208 (hidden ones too)


def _stage(source: str, destination: str, start: Any, told: Any, answer: Any) -> None:
    start.wait()

    def progress(done: int, total: int) -> None:
        told.put((os.getpid(), done, total))

    meta = stage_catalog_to_nvme(Path(source), Path(destination), progress=progress)
    answer.put((os.getpid(), meta.as_dict()))


def _stage_and_stick(source: str, destination: str, stuck: Any) -> None:
    def progress(_: int, __: int) -> None:
        if not stuck.is_set():
            stuck.set()
            return
        while True:
            time.sleep(1)

    stage_catalog_to_nvme(Path(source), Path(destination), shard_progress=progress)


def start_all(catalog: Catalog, destinations: list[Path], told: Any, answer: Any) -> list[Any]:
    barrier = context.Barrier(len(destinations) + 1)
    processes = [
        context.Process(target=_stage, args=(str(catalog.folder), str(each), barrier, told, answer))
        for each in destinations
    ]
    for process in processes:
        process.start()
    barrier.wait(120)
    return processes


def collect(processes: list[Any], told: Any, answer: Any) -> tuple[list[Any], list[Any]]:
    heard, answers = [], []
    for _ in processes:
        answers.append(answer.get(timeout=120))
        while not told.empty():
            heard.append(told.get())
    for process in processes:
        while process.is_alive():
            while not told.empty():
                heard.append(told.get())
            process.join(0.1)
    assert [process.exitcode for process in processes] == [0] * len(processes)
    return heard, answers


def test_of_eight_at_once_one_copies_and_all_have_the_result(catalog: Catalog, tmp_path: Path) -> None:
    told, answer = context.Queue(), context.Queue()
    _, answers = collect(start_all(catalog, [tmp_path / "out"] * 8, told, answer), told, answer)
    assert all(meta == answers[0][1] for _, meta in answers)
    assert ways(tmp_path / "out") == {"copied": 5}
    verify_artifact(tmp_path / "out")
    assert set(os.listdir(tmp_path)) == {"source", "out", STORE_NAME}  # noqa: PTH208 (hidden ones too)


def test_eight_to_different_places_share_one_store(catalog: Catalog, tmp_path: Path) -> None:
    told, answer = context.Queue(), context.Queue()
    destinations = [tmp_path / f"out{at}" for at in range(8)]
    collect(start_all(catalog, destinations, told, answer), told, answer)
    for at in range(8):
        verify_artifact(tmp_path / f"out{at}")
    catalog.stage(tmp_path / "again")
    assert ways(tmp_path / "again") == {"linked": 5}
    assert entry(tmp_path, bytes([1]) * 10_000).exists()


def test_seven_wait_with_the_progress_of_one_that_is_killed_and_finish_its_work(
    catalog: Catalog, tmp_path: Path
) -> None:
    old = catalog.stage(tmp_path / "out")
    for at in range(40):
        catalog.write(f"more{at:02d}.bin", bytes([at + 100]) * 20_000)
    total = 40 * 20_000
    stuck = context.Event()
    arguments = (str(catalog.folder), str(tmp_path / "out"), stuck)
    owner = context.Process(target=_stage_and_stick, args=arguments, daemon=True)
    owner.start()
    assert stuck.wait(60)
    told, answer = context.Queue(), context.Queue()
    processes = start_all(catalog, [tmp_path / "out"] * 7, told, answer)
    heard = [told.get(timeout=60) for _ in range(30)]
    assert {of for _, _, of in heard} == {total}
    assert verify_artifact(tmp_path / "out") == old
    os.kill(owner.pid or 0, signal.SIGKILL)
    owner.join()
    _, answers = collect(processes, told, answer)
    assert all(meta == answers[0][1] for _, meta in answers)
    assert len(records_of(tmp_path / "out")) == 45
    assert verify_artifact(tmp_path / "out").hash == answers[0][1]["hash"] != old.hash
    assert set(os.listdir(tmp_path)) == {"source", "out", STORE_NAME}  # noqa: PTH208 (hidden ones too)
