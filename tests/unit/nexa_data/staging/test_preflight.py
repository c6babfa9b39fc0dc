"""What is wrong is said before the first byte, with the figures."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from nexa_data.artifacts import verify_artifact
from nexa_data.errors import ArtifactError, ConfigError, NexaError, ShardNotFoundError, StagingError
from staging_catalog import Catalog, mount, report_of

if TYPE_CHECKING:
    from pathlib import Path

STRANGER = 54321


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")}


def test_too_few_bytes_are_refused_with_the_figures(catalog: Catalog, disk: Path) -> None:
    catalog.write("large.bin", bytes(12 << 20))
    with pytest.raises(
        StagingError, match=r"12,732,912 bytes are to be copied .*, 2\d,\d{3},\d{3} are free; nothing"
    ):
        catalog.stage(disk / "out")
    assert left(disk) == set()
    del catalog.lines["large.bin"]
    catalog.save()
    verify_artifact(catalog.stage(disk / "out").path)


def test_too_few_inodes_are_refused_with_the_figures(catalog: Catalog, tmp_path: Path) -> None:
    folder = tmp_path / "few"
    mount(folder, "size=64m", "nr_inodes=30", "mode=0700")
    try:
        with pytest.raises(
            StagingError, match=r"3\d files are to be made, \d+ inodes are free; nothing was copied"
        ):
            catalog.stage(folder / "out")
        assert left(folder) == set()
    finally:
        subprocess.run(["umount", folder], check=True)  # noqa: S607


def test_a_disk_that_can_only_be_read_is_refused(catalog: Catalog, disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)  # noqa: S607
    with pytest.raises(ArtifactError, match=r"out can't be written: Read-only file system"):
        catalog.stage(disk / "out")


def test_missing_folders_above_the_destination_are_made(catalog: Catalog, tmp_path: Path) -> None:
    assert catalog.stage(tmp_path / "a" / "b" / "out").path == tmp_path / "a" / "b" / "out"


def test_the_report_names_both_file_systems(catalog: Catalog, disk: Path) -> None:
    catalog.stage(disk / "out", direct=False)
    report = report_of(disk / "out")
    assert report["filesystems"]["destination"] == "tmpfs"
    assert report["modes"] == {"buffered": 5}
    assert sum(report["reasons"].values()) == 5


def test_a_link_to_the_source_does_not_hide_the_overlap(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("source")
    for destination in (tmp_path / "link", tmp_path / "link" / "out", tmp_path / "link" / ".." / "source"):
        with pytest.raises(StagingError, match="overlap"):
            catalog.stage(destination)


def test_the_catalog_is_read_before_its_shards_are_looked_at(catalog: Catalog, tmp_path: Path) -> None:
    first = catalog.stage(tmp_path / "out")
    for name in catalog.lines:
        (catalog.folder / name).unlink()
    assert catalog.stage(tmp_path / "out") == first
    with pytest.raises(ShardNotFoundError, match=r"catalog\.jsonl:1: "):
        catalog.stage(tmp_path / "other")
    with (catalog.folder / "catalog.jsonl").open("a") as file:
        file.write('{"uri": "../x"}\n')
    with pytest.raises(NexaError, match=r"catalog\.jsonl:6: "):
        catalog.stage(tmp_path / "out")


def test_a_missing_shard_without_checksum_is_found_with_its_line(catalog: Catalog, tmp_path: Path) -> None:
    catalog.write("bare.bin", b"x", checksum=False)
    (catalog.folder / "bare.bin").unlink()
    with pytest.raises(ShardNotFoundError, match=r"catalog\.jsonl:6: .*nothing was copied"):
        catalog.stage(tmp_path / "out")


@pytest.mark.parametrize(
    "options", [{"algorithm": "md5"}, {"engine": "rocket"}, {"max_bytes": "much"}, {"block_bytes": "0"}]
)
def test_impossible_options_are_refused(catalog: Catalog, tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        catalog.stage(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="this is about root")
def test_root_writes_nothing_where_a_user_could_redirect_it(catalog: Catalog, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "deep"
    folder.mkdir(parents=True)
    os.chown(folder.parent, STRANGER, STRANGER)
    with pytest.raises(
        StagingError, match=rf"home belongs to uid {STRANGER}.*--trust-uid {STRANGER}.*another folder"
    ):
        catalog.stage(folder / "out")
    assert list(folder.iterdir()) == []
    catalog.stage(folder / "out", trusted_uids={STRANGER})
    os.chown(folder.parent, 0, 0)
    folder.parent.chmod(0o777)
    with pytest.raises(StagingError, match=r"may be written by others \(mode 777\).*another folder"):
        catalog.stage(folder / "out")
    folder.parent.chmod(0o1777)
    catalog.stage(folder / "out")


@pytest.mark.skipif(os.geteuid() != 0, reason="this is about root")
def test_root_looks_through_links(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    os.chown(tmp_path / "home", STRANGER, STRANGER)
    (tmp_path / "link").symlink_to("home")
    with pytest.raises(StagingError, match="belongs to uid"):
        catalog.stage(tmp_path / "link" / "out")


def test_every_shard_is_tried_and_each_failure_is_listed(catalog: Catalog, tmp_path: Path) -> None:
    for at in range(30):
        catalog.write(f"bad{at:02d}.bin", bytes([at]) * 100)
        (catalog.folder / f"bad{at:02d}.bin").write_bytes(b"?" * 100)
    with pytest.raises(StagingError) as caught:
        catalog.stage(tmp_path / "out")
    text = str(caught.value)
    assert "30 of 35 shards could not be staged (the other 5 stay for the next run" in text
    assert text.count("\n  shards/bad") == 20
    assert text.endswith("and 10 more")
    file = tmp_path / ".out.partial" / "staging_failures.jsonl"
    assert str(file) in text
    failures = [json.loads(line) for line in file.read_text().splitlines()]
    assert {line["name"] for line in failures} == {f"shards/bad{at:02d}.bin" for at in range(30)}
    assert all(
        line["kind"] == "ContentMismatchError" and line["error"] and line["source"] for line in failures
    )
    for at in range(30):
        catalog.write(f"bad{at:02d}.bin", bytes([at]) * 100)
    meta = catalog.stage(tmp_path / "out")
    assert report_of(meta.path)["resumed_shards"] == 5
    assert not (meta.path / "staging_failures.jsonl").exists()
