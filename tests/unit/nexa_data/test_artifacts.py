from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from nexa_data.artifacts import (
    ArtifactMeta,
    ArtifactWriter,
    digest_text,
    is_complete,
    move_latest,
    payload_hash,
    read_meta,
    verify_artifact,
    write_atomic,
)
from nexa_data.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator


def publish(destination: Path, files: dict[str, bytes], key: str = "k") -> ArtifactMeta:
    with ArtifactWriter(destination, kind="demo", inputs={"from": "test"}, labels={"key": key}) as writer:
        for name, content in files.items():
            path = writer.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return writer.publish()


def break_off(destination: Path, key: str, name: str) -> None:
    """Write one file and fail; the exception has what was there before."""
    with ArtifactWriter(destination, kind="demo", labels={"key": key}) as writer:
        found = {each for each in files_of(writer.path) if not each.startswith(".")}
        (writer.path / name).write_bytes(b"half")
        raise RuntimeError("broken off", found)


def fill_the_disk(destination: Path) -> None:
    with ArtifactWriter(destination, kind="demo") as writer:
        (writer.path / "x").symlink_to("/dev/full")
        (writer.path / "x").write_bytes(b"1")


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_hash_is_sha256_over_sorted_path_size_and_digest(tmp_path: Path) -> None:
    files = {"b.bin": b"two", "a/z.bin": b"", "a.bin": b"one"}
    meta = publish(tmp_path / "out", files)
    expected = hashlib.sha256()
    for name in sorted(files, key=lambda name: name.split("/")):
        for part in (name, str(len(files[name])), hashlib.sha256(files[name]).hexdigest()):
            expected.update(len(part.encode()).to_bytes(8, "little") + part.encode())
    assert meta.hash == f"sha256:{expected.hexdigest()}"
    assert meta.bytes == 6


def test_the_hash_is_the_same_wherever_the_files_lie_and_another_for_other_files(tmp_path: Path) -> None:
    one = publish(tmp_path / "one", {"x": b"1", "y": b"2"})
    assert publish(tmp_path / "deep" / "er", {"y": b"2", "x": b"1"}).hash == one.hash
    others = [
        {"x": b"1"},
        {"x": b"1", "y": b"3"},
        {"x": b"1", "z": b"2"},
        {"x": b"2", "y": b"1"},
        {"x": b"12"},
    ]
    hashes = {publish(tmp_path / f"o{at}", files).hash for at, files in enumerate(others)}
    assert len(hashes | {one.hash}) == len(others) + 1


def test_what_is_not_payload_does_not_count(tmp_path: Path) -> None:
    meta = publish(tmp_path / "one", {"x": b"1"})
    for name in ("README.md", "croissant.json", "quality_report.json", "staging_report.json", ".journal"):
        (tmp_path / "one" / name).write_text("anything")
    assert payload_hash(tmp_path / "one") == (meta.hash, 1)
    assert verify_artifact(tmp_path / "one").hash == meta.hash


def test_parts_of_a_digest_do_not_run_into_each_other() -> None:
    assert digest_text("ab", "c") != digest_text("a", "bc")
    assert digest_text("ab") != digest_text("ab", "")


def test_meta_is_stored_and_read_back(tmp_path: Path) -> None:
    meta = publish(tmp_path / "out", {"x": b"1"}, key="the-key")
    assert read_meta(tmp_path / "out") == meta
    assert (meta.kind, meta.inputs, meta.labels) == ("demo", {"from": "test"}, {"key": "the-key"})
    assert meta.path == tmp_path / "out"
    assert datetime.fromisoformat(meta.created_at).tzinfo == UTC


def test_an_artifact_that_was_moved_knows_where_it_is(tmp_path: Path) -> None:
    publish(tmp_path / "out", {"x": b"1"})
    (tmp_path / "out").rename(tmp_path / "moved")
    assert read_meta(tmp_path / "moved").path == tmp_path / "moved"
    assert verify_artifact(tmp_path / "moved")


def test_nothing_but_the_artifact_remains_and_its_marker_holds_the_hash(tmp_path: Path) -> None:
    meta = publish(tmp_path / "out", {"x": b"1"})
    assert files_of(tmp_path / "out") == {"x", "meta.json", "README.md", "croissant.json", "COMPLETE"}
    assert (tmp_path / "out" / "COMPLETE").read_text().strip() == meta.hash
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208 (hidden ones too)


def test_the_destination_is_not_there_before_it_is_published(tmp_path: Path) -> None:
    with ArtifactWriter(tmp_path / "out", kind="demo") as writer:
        (writer.path / "x").write_bytes(b"1")
        assert not (tmp_path / "out").exists()
        assert not is_complete(writer.path)
        writer.publish()
        assert is_complete(tmp_path / "out")


def test_a_folder_without_marker_is_no_artifact(tmp_path: Path) -> None:
    publish(tmp_path / "out", {"x": b"1"})
    (tmp_path / "out" / "COMPLETE").unlink()
    assert not is_complete(tmp_path / "out")
    for read in (read_meta, verify_artifact):
        with pytest.raises(ArtifactError, match="not a complete artifact"):
            read(tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"kind": "x"}', b'{"more": 1}', b"\xff"])
def test_damaged_meta_is_a_typed_error(tmp_path: Path, content: bytes) -> None:
    publish(tmp_path / "out", {"x": b"1"})
    (tmp_path / "out" / "meta.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"meta\.json can't be read"):
        read_meta(tmp_path / "out")


@pytest.mark.parametrize("change", ["flip", "truncate", "remove", "add", "rename"])
def test_verify_finds_any_change_of_the_payload(tmp_path: Path, change: str) -> None:
    publish(tmp_path / "out", {"data/x": bytes(1000), "y": b"2"})
    file = tmp_path / "out" / "data" / "x"
    verify_artifact(tmp_path / "out")
    if change == "flip":
        content = bytearray(file.read_bytes())
        content[777] ^= 4
        file.write_bytes(content)
    elif change == "truncate":
        file.write_bytes(bytes(999))
    elif change == "remove":
        file.unlink()
    elif change == "add":
        (file.parent / "z").write_bytes(b"")
    else:
        file.rename(file.parent / "w")
    with pytest.raises(ArtifactError, match="was changed after it was published"):
        verify_artifact(tmp_path / "out")


def test_a_foreign_folder_is_refused_and_not_touched(tmp_path: Path) -> None:
    foreign = tmp_path / "out"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match=r"not an artifact of nexa-data.*nothing was touched"):
        publish(foreign, {"x": b"1"})
    assert files_of(tmp_path) == {"out/thesis.tex"}


def test_a_file_in_the_way_is_refused_and_not_touched(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ArtifactError, match="is a file"):
        publish(tmp_path / "out", {"x": b"1"})
    (tmp_path / "below").write_text("a file")
    with pytest.raises(ArtifactError, match="can't be written"):
        publish(tmp_path / "below" / "out", {"x": b"1"})
    assert (tmp_path / "out").read_text() == (tmp_path / "below").read_text() == "a file"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert publish(tmp_path / "out", {"x": b"1"}).bytes == 1


def test_an_older_artifact_is_replaced_as_a_whole(tmp_path: Path) -> None:
    publish(tmp_path / "out", {"old": b"1", "both": b"old"})
    meta = publish(tmp_path / "out", {"new": b"22", "both": b"new"}, key="other")
    assert files_of(tmp_path / "out") == {
        "new",
        "both",
        "meta.json",
        "README.md",
        "croissant.json",
        "COMPLETE",
    }
    assert verify_artifact(tmp_path / "out") == meta
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208 (hidden ones too)


def test_a_file_opened_in_the_old_artifact_can_be_read_to_its_end_after_the_exchange(tmp_path: Path) -> None:
    publish(tmp_path / "out", {"x": b"old content"})
    with (tmp_path / "out" / "x").open("rb") as reader:
        publish(tmp_path / "out", {"x": b"new"}, key="other")
        assert reader.read() == b"old content"


def test_a_failure_leaves_the_old_artifact_as_it_was(tmp_path: Path) -> None:
    old = publish(tmp_path / "out", {"x": b"1"})
    with pytest.raises(RuntimeError):
        break_off(tmp_path / "out", "another", "x")
    assert verify_artifact(tmp_path / "out") == old


def test_what_a_failure_left_is_there_for_the_same_key_and_gone_for_another(tmp_path: Path) -> None:
    def fail(key: str, expected: set[str]) -> None:
        with pytest.raises(RuntimeError, match="broken off") as caught:
            break_off(tmp_path / "out", key, f"part-{len(expected)}")
        assert caught.value.args[1] == expected

    fail("one", set())
    fail("one", {"part-0"})
    fail("one", {"part-0", "part-1"})
    fail("two", set())
    fail("one", set())
    assert not (tmp_path / "out").exists()


def test_existing_is_only_what_has_our_key(tmp_path: Path) -> None:
    meta = publish(tmp_path / "out", {"x": b"1"}, key="k")
    for key, found in (("k", meta), ("l", None)):
        with ArtifactWriter(tmp_path / "out", kind="demo", labels={"key": key}) as writer:
            assert writer.existing() == found


def test_an_artifact_of_another_kind_is_never_replaced(tmp_path: Path) -> None:
    meta = publish(tmp_path / "out", {"x": b"1"}, key="k")
    with pytest.raises(ArtifactError, match="of kind demo and not to be replaced by one of kind other"):
        ArtifactWriter(tmp_path / "out", kind="other", labels={"key": "k"}).__enter__()
    assert verify_artifact(tmp_path / "out") == meta
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def _write_in_turn(destination: str, mark: int, entered: Any, barrier: Any) -> None:
    barrier.wait()
    with ArtifactWriter(Path(destination), kind="demo", labels={"key": "k"}) as writer:
        existing = writer.existing()
        entered.put((mark, existing is not None))
        if existing is None:
            (writer.path / "x").write_bytes(bytes([mark]) * 100_000)
            writer.publish()


def test_of_three_processes_one_writes_while_the_others_wait_and_reuse(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    entered, barrier = context.Queue(), context.Barrier(3)
    processes = [
        context.Process(target=_write_in_turn, args=(str(tmp_path / "out"), mark, entered, barrier))
        for mark in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    turns = [entered.get(timeout=10) for _ in range(3)]
    assert [reused for _, reused in turns] == [False, True, True]
    verify_artifact(tmp_path / "out")
    assert (tmp_path / "out" / "x").read_bytes() == bytes([turns[0][0]]) * 100_000
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208 (hidden ones too)


def test_latest_is_there_at_every_moment_while_it_moves(tmp_path: Path) -> None:
    for name in ("one", "two"):
        publish(tmp_path / name, {"x": name.encode()})
    move_latest(tmp_path / "one")
    done = threading.Event()
    seen: set[str] = set()
    failures: list[Exception] = []

    def look() -> None:
        while not done.is_set():
            try:
                seen.add((tmp_path / "latest" / "x").read_text())
            except OSError as error:
                failures.append(error)

    reader = threading.Thread(target=look)
    reader.start()
    # Not by the clock: it goes on until the reader has seen both.
    for turn in range(100_000):
        move_latest(tmp_path / ("two", "one")[turn % 2])
        if turn > 200 and seen == {"one", "two"}:
            break
    done.set()
    reader.join()
    assert failures == []
    assert seen == {"one", "two"}


def test_latest_follows(tmp_path: Path) -> None:
    for name in ("one", "two", "one"):
        publish(tmp_path / name, {"x": name.encode()})
        move_latest(tmp_path / name)
        assert (tmp_path / "latest").readlink().name == name
        assert read_meta(tmp_path / "latest").path == tmp_path / name
    assert sorted(os.listdir(tmp_path)) == ["latest", "one", "two"]  # noqa: PTH208 (hidden ones too)


def test_a_latest_that_is_no_symlink_is_not_overwritten(tmp_path: Path) -> None:
    publish(tmp_path / "one", {"x": b""})
    (tmp_path / "latest").mkdir()
    with pytest.raises(ArtifactError, match="latest is not a symlink"):
        move_latest(tmp_path / "one")
    assert (tmp_path / "latest").is_dir()


def test_write_atomic_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"one")
    write_atomic(path, iter([b"tw", b"o"]))
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208 (hidden ones too)


def test_write_atomic_keeps_the_old_content_if_the_new_fails_halfway(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError

    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError):
        write_atomic(path, pieces())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208 (hidden ones too)


def test_meta_as_plain_values_survives_json(tmp_path: Path) -> None:
    meta = publish(tmp_path / "out", {"x": b"1"})
    assert ArtifactMeta(**json.loads(json.dumps(meta.as_dict()))) == meta


def test_a_disk_that_is_full_is_a_typed_error(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with pytest.raises(ArtifactError, match="can't be written: No space left"):
        fill_the_disk(tmp_path / "out")
