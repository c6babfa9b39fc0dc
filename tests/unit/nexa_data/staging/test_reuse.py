"""Nothing is taken as proven but by a durable record or a digest; and what is proven is never copied twice."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from nexa_data import _core
from nexa_data.artifacts import read_meta, verify_artifact
from nexa_data.errors import ContentMismatchError, ShardNotFoundError
from nexa_data.shard_output import tensor_batch
from nexa_data.staging.proven import Proof, ProvenFolder
from nexa_data.staging.store import JOURNAL_NAME, STORE_NAME, Store
from staging_catalog import Catalog, digest_of, entry, records_of, report_of, rewrite, ways

if TYPE_CHECKING:
    from pathlib import Path

ROOT = os.geteuid() == 0
STRANGER = 54321
S1 = bytes([1]) * 10_000


def inodes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (folder / "shards").iterdir()}


def lines_of_journal(parent: Path) -> list[bytes]:
    return (parent / STORE_NAME / JOURNAL_NAME).read_bytes().splitlines()


def test_each_shard_has_a_line_that_says_how_it_came(catalog: Catalog, tmp_path: Path) -> None:
    catalog.stage(tmp_path / "out", direct=False)
    found = records_of(tmp_path / "out")
    assert [line["name"] for line in found] == [f"shards/s{at}.bin" for at in range(1, 6)]
    for line in found:
        facts = (tmp_path / "out" / line["name"]).stat()
        assert line["facts"] == [facts.st_size, facts.st_mtime_ns, facts.st_ino]
        source = (tmp_path / "source" / line["name"].removeprefix("shards/")).stat()
        assert line["source"][1:] == [source.st_size, source.st_mtime_ns, source.st_ino, source.st_dev]
        assert (line["mode"], line["retries"], line["reused"]) == ("buffered", 0, "copied")
        assert line["reason"]


def test_a_second_run_looks_at_no_source(catalog: Catalog, tmp_path: Path) -> None:
    first = catalog.stage(tmp_path / "out")
    for name in catalog.lines:
        (catalog.folder / name).unlink()
    assert catalog.stage(tmp_path / "out") == first


def test_an_artifact_on_a_disk_that_became_read_only_is_still_reused(catalog: Catalog, disk: Path) -> None:
    import subprocess

    first = catalog.stage(disk / "out")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)  # noqa: S607
    assert catalog.stage(disk / "out") == first


def test_a_record_that_was_lost_costs_one_hashing_and_is_written_again(
    catalog: Catalog, tmp_path: Path
) -> None:
    first = catalog.stage(tmp_path / "out", reuse=False)
    before = inodes(tmp_path / "out")
    (tmp_path / "out" / "staging_shards.jsonl").unlink()
    assert catalog.stage(tmp_path / "out", reuse=False) == first
    assert inodes(tmp_path / "out") == before
    assert len(records_of(tmp_path / "out")) == 5
    assert verify_artifact(tmp_path / "out") == first


def test_a_shard_of_the_right_size_but_another_content_is_copied_again(
    catalog: Catalog, tmp_path: Path
) -> None:
    first = catalog.stage(tmp_path / "out", reuse=False)
    before = inodes(tmp_path / "out")
    rewrite(tmp_path / "out" / "shards" / "s1.bin", b"\0" * 10_000)
    assert catalog.stage(tmp_path / "out", reuse=False).hash == first.hash
    after = inodes(tmp_path / "out")
    assert {name for name in after if after[name] != before[name]} == {"s1.bin"}
    assert ways(tmp_path / "out") == {"copied": 1, "linked": 4}
    verify_artifact(tmp_path / "out")


def test_a_shard_that_was_only_touched_is_hashed_and_accepted(catalog: Catalog, tmp_path: Path) -> None:
    first = catalog.stage(tmp_path / "out")
    os.utime(tmp_path / "out" / "shards" / "s1.bin", (2**33, 2**33))
    assert catalog.stage(tmp_path / "out") == first
    assert records_of(tmp_path / "out")[0]["facts"][1] == 2**33 * 10**9


@pytest.mark.parametrize("harm", ["catalog", "more", "less"])
def test_anything_else_that_changed_in_the_artifact_is_found_too(
    catalog: Catalog, tmp_path: Path, harm: str
) -> None:
    first = catalog.stage(tmp_path / "out")
    out = tmp_path / "out"
    if harm == "catalog":
        (out / "catalog.jsonl").write_text((out / "catalog.jsonl").read_text().replace("s1", "s9"))
    elif harm == "more":
        (out / "shards" / "s6.bin").write_bytes(b"more")
    else:
        (out / "shards" / "s2.bin").unlink()
    assert catalog.stage(out).hash == first.hash
    verify_artifact(out)


def test_of_a_catalog_that_changed_only_what_is_new_has_to_be_there(catalog: Catalog, tmp_path: Path) -> None:
    catalog.stage(tmp_path / "out")
    catalog.write("s3.bin", b"new")
    for name in ("s2.bin", "s4.bin"):
        (catalog.folder / name).unlink()
    catalog.stage(tmp_path / "out")
    assert ways(tmp_path / "out") == {"copied": 1, "linked": 4}
    verify_artifact(tmp_path / "out")
    catalog.write("s5.bin", b"newer")
    (catalog.folder / "s5.bin").unlink()
    with pytest.raises(ShardNotFoundError, match=r"s5\.bin"):
        catalog.stage(tmp_path / "out")


def test_a_line_that_says_more_of_a_shard_than_before_is_held_against_it(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "source")
    catalog.folder.mkdir()
    for name in ("a.arrow", "b.arrow"):
        _core.write_shard(tmp_path / name, [tensor_batch({"x": np.arange(3)})])
        catalog.write(name, (tmp_path / name).read_bytes())
    first = catalog.stage(tmp_path / "out")
    catalog.lines["b.arrow"]["records"] = 4
    catalog.save()
    with pytest.raises(ContentMismatchError, match="has 3 records, the catalog says 4"):
        catalog.stage(tmp_path / "out")
    assert verify_artifact(tmp_path / "out") == first


def test_another_catalog_of_the_same_shards_is_linked(catalog: Catalog, tmp_path: Path) -> None:
    catalog.stage(tmp_path / "one")
    (tmp_path / "other").mkdir()
    other = Catalog(tmp_path / "other")
    for name in ("s1.bin", "s3.bin"):
        other.write(f"deep/{name}", (catalog.folder / name).read_bytes())
    other.write("new.bin", b"new")
    other.stage(tmp_path / "two")
    assert ways(tmp_path / "two") == {"copied": 1, "linked": 2}
    assert [line["reused"] for line in records_of(tmp_path / "two")] == ["store", "store", "copied"]
    ours, theirs = (tmp_path / "one/shards/s1.bin").stat(), (tmp_path / "two/shards/deep/s1.bin").stat()
    assert (ours.st_ino, ours.st_nlink) == (theirs.st_ino, 3)
    assert entry(tmp_path, S1).stat().st_mode & 0o777 == 0o444
    verify_artifact(tmp_path / "two")


def test_of_a_catalog_that_changed_a_little_only_that_is_copied(catalog: Catalog, tmp_path: Path) -> None:
    catalog.stage(tmp_path / "out")
    catalog.write("s2.bin", b"changed")
    catalog.stage(tmp_path / "out")
    assert ways(tmp_path / "out") == {"copied": 1, "linked": 4}
    assert report_of(tmp_path / "out")["copied_bytes"] == len(b"changed")


def test_equal_shards_within_one_catalog_are_fine(catalog: Catalog, tmp_path: Path) -> None:
    catalog.write("twin.bin", S1)
    for _ in range(2):
        catalog.write("again.bin", b"x" * 100)
        catalog.stage(tmp_path / "out")
        verify_artifact(tmp_path / "out")
        catalog.write("again.bin", b"y")
        catalog.stage(tmp_path / "out")
    assert ways(tmp_path / "out") == {"linked": 7}


def test_a_shard_without_checksum_is_known_by_its_sources_facts(catalog: Catalog, tmp_path: Path) -> None:
    for name in list(catalog.lines):
        catalog.lines[name] = {"uri": name}
    catalog.save()
    catalog.stage(tmp_path / "one")
    catalog.stage(tmp_path / "two")
    assert ways(tmp_path / "two") == {"linked": 5}
    assert read_meta(tmp_path / "one").hash == read_meta(tmp_path / "two").hash
    os.utime(catalog.folder / "s1.bin", ns=(1, 1))
    catalog.stage(tmp_path / "three")
    assert ways(tmp_path / "three") == {"copied": 1, "linked": 4}
    catalog.stage(tmp_path / "four", algorithm="blake3")
    assert ways(tmp_path / "four") == {"copied": 5}
    verify_artifact(tmp_path / "four")


def test_without_reuse_the_store_is_neither_read_nor_made(catalog: Catalog, tmp_path: Path) -> None:
    catalog.stage(tmp_path / "one", reuse=False)
    assert not (tmp_path / STORE_NAME).exists()
    catalog.stage(tmp_path / "two")
    lines = lines_of_journal(tmp_path)
    catalog.stage(tmp_path / "three", reuse=False)
    assert ways(tmp_path / "three") == {"copied": 5}
    assert lines_of_journal(tmp_path) == lines


def test_without_reuse_an_interrupted_run_is_resumed_all_the_same(catalog: Catalog, tmp_path: Path) -> None:
    rewrite(catalog.folder / "s4.bin", b"wrong")
    with pytest.raises(ContentMismatchError):
        catalog.stage(tmp_path / "out", reuse=False)
    catalog.write("s4.bin", bytes([4]) * 40_000)
    catalog.stage(tmp_path / "out", reuse=False)
    assert ways(tmp_path / "out") == {"copied": 1, "resumed": 4}


def test_an_interrupted_run_of_another_catalog_feeds_the_store(catalog: Catalog, tmp_path: Path) -> None:
    rewrite(catalog.folder / "s4.bin", b"wrong")
    with pytest.raises(ContentMismatchError):
        catalog.stage(tmp_path / "out")
    del catalog.lines["s4.bin"]
    catalog.save()
    catalog.stage(tmp_path / "out")
    assert ways(tmp_path / "out") == {"linked": 4}


@pytest.mark.parametrize("code", [errno.EMLINK, errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP])
def test_where_links_are_not_possible_shards_are_copied_and_the_report_says_why(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    catalog.stage(tmp_path / "one")

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    # No file system without hard links can be counted on to be there.
    monkeypatch.setattr(os, "link", refuse)
    catalog.stage(tmp_path / "two")
    assert ways(tmp_path / "two") == {"copied": 5}
    assert os.strerror(code) in report_of(tmp_path / "two")["store"]
    verify_artifact(tmp_path / "two")


def test_a_file_evicted_meanwhile_is_copied(catalog: Catalog, tmp_path: Path) -> None:
    catalog.stage(tmp_path / "one")
    entry(tmp_path, S1).unlink()
    catalog.stage(tmp_path / "two")
    assert ways(tmp_path / "two") == {"copied": 1, "linked": 4}


def test_a_file_of_the_store_that_changed_is_hashed_removed_and_copied(
    catalog: Catalog, tmp_path: Path
) -> None:
    catalog.stage(tmp_path / "one")
    rewrite(entry(tmp_path, S1), b"\0" * 10_000)
    catalog.stage(tmp_path / "two")
    assert ways(tmp_path / "two") == {"copied": 1, "linked": 4}
    assert entry(tmp_path, S1).read_bytes() == S1
    verify_artifact(tmp_path / "two")


@pytest.mark.parametrize("harm", ["lost", "torn", "hostile", "not ours"])
def test_a_damaged_journal_costs_a_hashing_and_no_copy(catalog: Catalog, tmp_path: Path, harm: str) -> None:
    catalog.stage(tmp_path / "one")
    journal = tmp_path / STORE_NAME / JOURNAL_NAME
    if harm == "lost":
        journal.unlink()
    elif harm == "torn":
        journal.write_bytes(journal.read_bytes()[:-40])
    elif harm == "hostile":
        lines = [
            b"[" * 100_000,
            b"\xff\xfe\0",
            b'{"name": 1}',
            b'{"name": "../../../etc/passwd", "digest": "sha256:00000000", "facts": [1, 2, 3]}',
            b'{"name": "x", "digest": "sha256:../../x", "facts": [1, 2, 3], "source": null}',
            b'{"name": "x", "digest": "sha256:00000000", "facts": ["x", 2], "source": 7}',
        ]
        journal.write_bytes(b"\n".join(lines))
    elif ROOT:
        os.chown(journal, STRANGER, STRANGER)
    else:
        pytest.skip("only root gives files away")
    catalog.stage(tmp_path / "two")
    assert ways(tmp_path / "two") == {"linked": 5}
    verify_artifact(tmp_path / "two")
    assert journal.stat().st_uid == os.geteuid()
    assert len([line for line in lines_of_journal(tmp_path) if Proof.parse(line)]) >= 5
    catalog.stage(tmp_path / "three")
    assert ways(tmp_path / "three") == {"linked": 5}


def test_a_line_after_a_torn_one_is_read(tmp_path: Path) -> None:
    folder = ProvenFolder(tmp_path, "journal", {os.geteuid()})
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"x")
        found = (tmp_path / name).stat()
        folder.add(Proof(name, digest_of(b"x"), (found.st_size, found.st_mtime_ns, found.st_ino)))
        folder.flush(final=True)
        with (tmp_path / "journal").open("ab") as file:
            file.write(b'{"name": "to')
    again = ProvenFolder(tmp_path, "journal", {os.geteuid()})
    assert [proof.name for proof in again.claims()] == ["one", "two"]
    assert again.get("one")
    assert again.get("two")


def test_a_journal_that_grew_is_made_small_again(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x")
    found = (tmp_path / "one").stat()
    proof = Proof("one", digest_of(b"x"), (found.st_size, found.st_mtime_ns, found.st_ino))
    gone = Proof("gone", digest_of(b"y"), (1, 2, 3))
    (tmp_path / "journal").write_bytes((gone.dumps() + proof.dumps()) * 2000)
    folder = ProvenFolder(tmp_path, "journal", {os.geteuid()})
    folder.compact()
    assert (tmp_path / "journal").read_bytes() == proof.dumps()
    folder.add(proof)
    folder.flush()
    assert ProvenFolder(tmp_path, "journal", {os.geteuid()}).get("one") == proof


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
def test_a_strangers_file_with_a_forged_line_is_never_linked(catalog: Catalog, tmp_path: Path) -> None:
    catalog.stage(tmp_path / "one")
    bad = entry(tmp_path, S1)
    bad.unlink()
    bad.write_bytes(b"\0" * 10_000)
    bad.chmod(0o644)
    os.chown(bad, STRANGER, STRANGER)
    found = bad.stat()
    forged = Proof(
        bad.relative_to(tmp_path / STORE_NAME).as_posix(),
        digest_of(S1),
        (found.st_size, found.st_mtime_ns, found.st_ino),
    )
    with (tmp_path / STORE_NAME / JOURNAL_NAME).open("ab") as journal:
        journal.write(forged.dumps())
    catalog.stage(tmp_path / "two")
    assert ways(tmp_path / "two") == {"copied": 1, "linked": 4}
    assert (tmp_path / "two/shards/s1.bin").read_bytes() == S1
    assert (tmp_path / "two/shards/s1.bin").stat().st_uid == 0


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
def test_a_strangers_file_of_the_right_content_becomes_our_own_first(
    catalog: Catalog, tmp_path: Path
) -> None:
    catalog.stage(tmp_path / "one")
    os.chown(entry(tmp_path, S1), STRANGER, STRANGER)
    catalog.stage(tmp_path / "trusting", trusted_uids=[STRANGER])
    assert ways(tmp_path / "trusting") == {"linked": 5}
    assert (tmp_path / "trusting/shards/s1.bin").stat().st_uid == STRANGER
    catalog.stage(tmp_path / "two")
    assert ways(tmp_path / "two") == {"linked": 5}
    assert (tmp_path / "two/shards/s1.bin").stat().st_uid == 0


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
def test_a_record_of_a_stranger_proves_nothing(catalog: Catalog, tmp_path: Path) -> None:
    catalog.stage(tmp_path / "out", reuse=False)
    record = tmp_path / "out" / "staging_shards.jsonl"
    rewrite(tmp_path / "out/shards/s1.bin", b"\0" * 10_000)
    found = (tmp_path / "out/shards/s1.bin").stat()
    first, *rest = records_of(tmp_path / "out")
    first["facts"] = [found.st_size, found.st_mtime_ns, found.st_ino]
    record.write_text("".join(json.dumps(line) + "\n" for line in (first, *rest)))
    os.chown(record, STRANGER, STRANGER)
    catalog.stage(tmp_path / "out", reuse=False)
    assert (tmp_path / "out/shards/s1.bin").read_bytes() == S1


@pytest.mark.parametrize("harm", ["stranger", "writable", "link"])
def test_a_store_that_others_can_change_is_not_used_and_that_is_said(
    catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    catalog.stage(tmp_path / "one")
    store = tmp_path / STORE_NAME
    if harm == "stranger":
        if not ROOT:
            pytest.skip("only root gives folders away")
        os.chown(store, STRANGER, STRANGER)
    elif harm == "writable":
        store.chmod(0o775)
    else:
        store.rename(tmp_path / "elsewhere")
        store.symlink_to("elsewhere")
    catalog.stage(tmp_path / "two")
    assert ways(tmp_path / "two") == {"copied": 5}
    assert "is not used" in caplog.text
    assert report_of(tmp_path / "two")["store"] != "used"
    if harm == "stranger":
        catalog.stage(tmp_path / "three", trusted_uids=[STRANGER])
        assert ways(tmp_path / "three") == {"linked": 5}


def test_whatever_the_umask_what_was_staged_is_proven(catalog: Catalog, tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        catalog.stage(tmp_path / "one")
        (tmp_path / "one" / "shards" / "s1.bin").touch()
        catalog.stage(tmp_path / "one")
        catalog.stage(tmp_path / "two")
    finally:
        os.umask(before)
    assert (tmp_path / STORE_NAME).stat().st_mode & 0o777 == 0o755
    assert ways(tmp_path / "two") == {"linked": 5}


def test_a_rename_over_the_same_file_leaves_no_second_name(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    store = Store(tmp_path / "store", {os.geteuid()})
    shard = tmp_path / "shard"
    shard.write_bytes(S1)
    found = shard.stat()
    proof = Proof("shard", digest_of(S1), (found.st_size, found.st_mtime_ns, found.st_ino))
    store.put(str(shard), proof)
    # The line was lost, and the store has another file of that name.
    entry_path = tmp_path / "store" / store._proofs.popitem()[0]
    entry_path.unlink()
    entry_path.write_bytes(b"wrong")
    store.put(str(shard), proof)
    store.put(str(shard), proof)
    assert os.listdir(entry_path.parent) == [entry_path.name]  # noqa: PTH208 (hidden ones too)
    assert entry_path.stat().st_ino == shard.stat().st_ino
