"""Claims about locks: one owner at a time, whoever dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from nexa_data.artifacts import ArtifactWriter, lock_path, verify_artifact
from nexa_data.errors import ArtifactError, ConfigError
from nexa_data.locks import Flock, Lease, lock_for
from nexa_data.owners import Owner

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("flock", "lease")
context = multiprocessing.get_context("forkserver")


def soon(true: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Wait until something is true."""
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


def quick(path: Path) -> Lease:
    return Lease(path, beat_s=0.02, stale_s=0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_is_had_by_one_at_a_time_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lock"
    first, second = lock_for(path, kind), lock_for(path, kind)
    assert first.acquire()
    assert not second.acquire(wait=False)
    first.check()
    first.release()
    assert second.acquire(wait=False)
    second.release()
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="known: auto, flock, lease"):
        lock_for(tmp_path / "lock", "semaphore")
    assert isinstance(lock_for(tmp_path / "lock"), Flock)


def _count(folder: str, kind: str, barrier: Any) -> None:
    barrier.wait()
    for _ in range(5):
        lock = lock_for(Path(folder) / "lock", kind)
        lock.acquire()
        counter = Path(folder) / "counter"
        value = int(counter.read_text())
        counter.write_text("")
        counter.write_text(str(value + 1))
        lock.release()


@pytest.mark.parametrize("kind", KINDS)
def test_eight_processes_never_have_it_together(tmp_path: Path, kind: str) -> None:
    (tmp_path / "counter").write_text("0")
    barrier = context.Barrier(8)
    processes = [context.Process(target=_count, args=(str(tmp_path), kind, barrier)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 8
    assert (tmp_path / "counter").read_text() == "40"
    assert [path.name for path in tmp_path.iterdir()] == ["counter"]


def _own_for_ever(destination: str, kind: str) -> None:
    with ArtifactWriter(Path(destination), kind="demo", labels={"key": "k"}, lock=kind) as writer:
        (writer.path / "half").write_bytes(b"half")
        while True:
            writer.lock.tell(3, 7)
            time.sleep(0.01)


def _write_or_reuse(destination: str, kind: str, told: Any, answer: Any) -> None:
    def listen(*numbers: int) -> None:
        told.put(numbers)

    with ArtifactWriter(
        Path(destination), kind="demo", labels={"key": "k"}, lock=kind, listen=listen
    ) as writer:
        meta = writer.existing()
        reused = meta is not None
        if meta is None:
            (writer.path / "half").write_bytes(b"whole")
            meta = writer.publish()
        answer.put((reused, meta.hash))


@pytest.mark.parametrize("kind", KINDS)
def test_seven_wait_for_one_that_is_killed_and_then_one_of_them_writes(tmp_path: Path, kind: str) -> None:
    destination = tmp_path / "out"
    told, answer = context.Queue(), context.Queue()
    owner = context.Process(target=_own_for_ever, args=(str(destination), kind), daemon=True)
    owner.start()
    soon((tmp_path / ".out.partial" / "half").exists)
    waiting = [
        context.Process(target=_write_or_reuse, args=(str(destination), kind, told, answer)) for _ in range(7)
    ]
    for process in waiting:
        process.start()
    # They wait, and see how far the owner is.
    assert {told.get(timeout=60) for _ in range(20)} == {(3, 7)}
    assert answer.empty()
    os.kill(owner.pid or 0, signal.SIGKILL)
    owner.join()
    answers = []
    for _ in waiting:
        answers.append(answer.get(timeout=60))
        while not told.empty():
            told.get()
    for process in waiting:
        process.join(60)
    assert sorted(reused for reused, _ in answers) == [False] + [True] * 6
    assert {digest for _, digest in answers} == {verify_artifact(destination).hash}
    assert (destination / "half").read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208 (hidden ones too)


def test_a_lease_is_kept_while_its_owner_lives_however_old_its_file_looks(tmp_path: Path) -> None:
    first, second = quick(tmp_path / "lock"), quick(tmp_path / "lock")
    first.acquire()
    # A clock that jumps changes what times are written; they are never compared.
    for when in (0, 2**33):
        os.utime(tmp_path / "lock", (when, when))
        seen = set()
        while len(seen) < 60:
            assert not second.acquire(wait=False)
            seen.add(second._seen)
            time.sleep(0.005)
    first.check()
    first.release()


def test_a_lease_of_another_machine_is_taken_once_its_heart_stands_still(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    elsewhere = replace(Owner.this_process(), host="elsewhere", boot="another")
    path.write_bytes(elsewhere.dumps())
    os.utime(path, (2**33, 2**33))
    lock = quick(path)
    assert not lock.acquire(wait=False)
    assert lock.acquire()
    lock.check()
    lock.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"pid": "x"}', b"\xff" * 100])
def test_a_lease_that_says_nothing_is_taken_in_time(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lock").write_bytes(content)
    lock = quick(tmp_path / "lock")
    assert not lock.acquire(wait=False)
    assert lock.acquire()
    lock.release()


def publish_after_a_loss(destination: Path) -> None:
    with ArtifactWriter(destination, kind="demo", lock="lease") as writer:
        (writer.path / "x").write_bytes(b"1")
        file = lock_path(destination)
        file.unlink()
        file.write_bytes(replace(Owner.this_process(), token="another").dumps())  # noqa: S106 (no secret)
        writer.publish()


def test_an_owner_whose_lease_was_taken_stops_and_does_not_publish(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="another process took over"):
        publish_after_a_loss(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    # The lease of the other one is let be.
    assert lock_path(tmp_path / "out").exists()


def test_an_owner_hears_at_once_that_its_lease_was_taken(tmp_path: Path) -> None:
    lock, lost = quick(tmp_path / "lock"), []
    lock.on_lost = lambda: lost.append(True)
    lock.acquire()
    (tmp_path / "lock").unlink()
    soon(lambda: lost)
    with pytest.raises(ArtifactError, match="took over"):
        lock.check()
    lock.release()


def test_a_living_lease_that_took_the_place_of_the_stale_one_is_put_back(tmp_path: Path) -> None:
    living = Lease(tmp_path / "lock")
    living.acquire()
    late = Lease(tmp_path / "lock")
    late._take_over(replace(Owner.this_process(), token="the one that was stale"))  # noqa: S106 (no secret)
    living.check()
    living.release()
    assert list(tmp_path.iterdir()) == []


FORKING = """
import os, sys
from pathlib import Path
from nexa_data.locks import Flock

lock = Flock(Path(sys.argv[1]))
lock.acquire()
if os.fork() == 0:
    os.close(1)
    sys.stdin.read()
    os._exit(0)
os._exit(0)
"""


def test_a_forked_child_does_not_keep_the_lock_of_its_dead_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKING, tmp_path / "lock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.read() == b""  # both have let it go: the parent is dead, the child reads
        lock = Flock(tmp_path / "lock")
        soon(lambda: lock.acquire(wait=False))
        lock.release()
        assert parent.stdin
        parent.stdin.close()


def test_a_process_number_that_was_given_again_is_another_owner() -> None:
    owner = Owner.this_process()
    assert not owner.is_dead()
    assert replace(owner, started=owner.started + 1).is_dead()
    assert replace(owner, pid=2**22 + 1).is_dead()
    assert not replace(owner, pid=2**22 + 1, host="elsewhere").is_dead()
    assert Owner.parse(owner.dumps()) == owner
