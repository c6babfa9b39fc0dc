from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from nexa_data import _core
from nexa_data.artifacts import read_meta, verify_artifact
from nexa_data.catalog import ShardCatalog
from nexa_data.errors import (
    ArtifactError,
    CatalogError,
    ConfigError,
    ContentMismatchError,
    NexaError,
    ShardNotFoundError,
    StagingError,
)
from nexa_data.prepare import prepare_from_config, stage_catalog_to_nvme
from nexa_data.shard_output import tensor_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SHARDS = 6
ROWS = 3000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a folder with a catalog of six shards of 24 KB."""
    folder = tmp_path / "source"
    folder.mkdir()
    lines = []
    for at in range(SHARDS):
        values = np.arange(at * ROWS, (at + 1) * ROWS, dtype=np.int64)
        size, checksum = _core.write_shard(folder / f"s{at}.arrow", [tensor_batch({"label": values})])
        lines.append(
            {"uri": f"s{at}.arrow", "split": "train", "bytes": size, "records": ROWS, "checksum": checksum}
        )
    write_lines(folder, lines)
    return folder


def write_lines(folder: Path, lines: list[dict[str, Any]]) -> None:
    (folder / "catalog.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "catalog.jsonl").read_text().splitlines()]


def report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "staging_report.json").read_bytes())
    return report


def names(folder: Path) -> set[str]:
    """Return what lies in a folder beside the store."""
    found = set(os.listdir(folder)) if folder.exists() else set()  # noqa: PTH208 (hidden ones too)
    return found - {".nexa-store"}


def facts(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_copy_is_whole_verified_and_readable_only(source: Path, tmp_path: Path) -> None:
    meta = stage_catalog_to_nvme(source / "catalog.jsonl", tmp_path / "out")
    assert (meta.kind, meta.path) == ("staged-dataset", tmp_path / "out")
    assert verify_artifact(tmp_path / "out") == meta
    for at in range(SHARDS):
        copy = tmp_path / "out" / "shards" / f"s{at}.arrow"
        assert copy.read_bytes() == (source / f"s{at}.arrow").read_bytes()
        assert copy.stat().st_mode & 0o777 == 0o444
    assert ShardCatalog.validate(tmp_path / "out", full=True, for_staging=True) == (SHARDS, [])
    assert names(tmp_path) == {"source", "out"}


def test_the_rewritten_catalog_keeps_everything_but_the_uri(source: Path, tmp_path: Path) -> None:
    write_lines(source, [line | {"tags": ["x"], "site": at} for at, line in enumerate(lines_of(source))])
    stage_catalog_to_nvme(source, tmp_path / "out")
    expected = [line | {"uri": f"shards/{line['uri']}"} for line in lines_of(source)]
    assert lines_of(tmp_path / "out") == expected


def test_the_report_says_what_was_done(source: Path, tmp_path: Path) -> None:
    stage_catalog_to_nvme(source, tmp_path / "out")
    report = report_of(tmp_path / "out")
    total = sum(line["bytes"] for line in lines_of(source))
    assert (report["shards"], report["bytes"], report["copied_bytes"]) == (SHARDS, total, total)
    assert report["reused_shards"] == 0
    assert sum(report["modes"].values()) == SHARDS
    assert set(report["modes"]) <= {"direct", "cached", "buffered"}
    stage_catalog_to_nvme(source, tmp_path / "plain", direct=False, reuse=False)
    assert report_of(tmp_path / "plain")["modes"] == {"buffered": SHARDS}


def test_run_twice_it_copies_nothing(source: Path, tmp_path: Path) -> None:
    first = stage_catalog_to_nvme(source, tmp_path / "out")
    before = facts(tmp_path / "out")
    assert stage_catalog_to_nvme(source, tmp_path / "out") == first
    assert facts(tmp_path / "out") == before
    assert names(tmp_path) == {"source", "out"}


def test_a_staged_shard_that_was_lost_is_staged_again(source: Path, tmp_path: Path) -> None:
    first = stage_catalog_to_nvme(source, tmp_path / "out")
    (tmp_path / "out" / "shards" / "s3.arrow").unlink()
    again = stage_catalog_to_nvme(source, tmp_path / "out")
    assert again.hash == first.hash
    verify_artifact(tmp_path / "out")


def test_another_catalog_takes_the_place_of_the_former_as_a_whole(source: Path, tmp_path: Path) -> None:
    first = stage_catalog_to_nvme(source, tmp_path / "out")
    write_lines(source, lines_of(source)[:2])
    second = stage_catalog_to_nvme(source, tmp_path / "out")
    assert second.hash != first.hash
    assert names(tmp_path / "out" / "shards") == {"s0.arrow", "s1.arrow"}
    verify_artifact(tmp_path / "out")
    assert names(tmp_path) == {"source", "out"}


def test_a_prepared_artifact_is_staged_with_its_hash_and_companions(
    small_config: dict[str, Any], tmp_path: Path
) -> None:
    prepared = prepare_from_config(small_config)
    meta = stage_catalog_to_nvme(prepared.path / "catalog.jsonl", tmp_path / "out")
    assert meta.labels["source_hash"] == prepared.hash
    assert meta.labels["source_key"] == prepared.labels["key"]
    assert names(tmp_path / "out" / "shards") == names(prepared.path / "shards")
    for name in ("dataset_metadata.json", "dataset_summary.json"):
        assert (tmp_path / "out" / name).read_bytes() == (prepared.path / name).read_bytes()


@pytest.mark.parametrize("algorithm", ["sha256", "blake3", "xxh3", "crc32c"])
def test_shards_without_a_checksum_get_one(source: Path, tmp_path: Path, algorithm: str) -> None:
    write_lines(source, [{"uri": line["uri"]} for line in lines_of(source)])
    stage_catalog_to_nvme(source, tmp_path / "out", algorithm=algorithm)
    for line in lines_of(tmp_path / "out"):
        assert line["checksum"] == _core.digest_file(tmp_path / "out" / line["uri"], algorithm)[1]
        assert line["bytes"] == (tmp_path / "out" / line["uri"]).stat().st_size


def test_an_unknown_algorithm_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'md5'; known: sha256, blake3"):
        stage_catalog_to_nvme(source, tmp_path / "out", algorithm="md5")


def _stage(source: str, destination: str, barrier: Any, answer: Any) -> None:
    from pathlib import Path

    barrier.wait()
    answer.put(stage_catalog_to_nvme(Path(source), Path(destination)).as_dict())


@pytest.mark.parametrize("count", [2, 3])
def test_of_several_processes_at_once_one_copies_and_the_others_reuse(
    source: Path, tmp_path: Path, count: int
) -> None:
    context = multiprocessing.get_context("forkserver")
    barrier, answer = context.Barrier(count), context.SimpleQueue()
    arguments = (str(source), str(tmp_path / "out"), barrier, answer)
    processes = [context.Process(target=_stage, args=arguments) for _ in range(count)]
    for process in processes:
        process.start()
    answers = [answer.get() for _ in processes]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * count
    # One time of publication: all have the artifact of the one that copied.
    assert all(each == answers[0] for each in answers)
    verify_artifact(tmp_path / "out")
    assert names(tmp_path) == {"source", "out"}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_wrong_checksum_is_refused_and_the_bad_copy_removed(source: Path, tmp_path: Path) -> None:
    flip(source / "s2.arrow")
    with pytest.raises(ContentMismatchError, match=r"s2\.arrow"):
        stage_catalog_to_nvme(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("*.partial/shards/s2.arrow"))


def test_a_bad_shard_does_not_hide_the_others(source: Path, tmp_path: Path) -> None:
    for at in (1, 4):
        flip(source / f"s{at}.arrow")
    with pytest.raises(
        ContentMismatchError, match=r"(?s)2 of 6 shards.*the other 4 stay.*s1\.arrow.*s4\.arrow"
    ):
        stage_catalog_to_nvme(source, tmp_path / "out")


def test_the_next_run_copies_only_what_is_missing(source: Path, tmp_path: Path) -> None:
    good = {at: (source / f"s{at}.arrow").read_bytes() for at in (1, 4)}
    for at in good:
        flip(source / f"s{at}.arrow")
    with pytest.raises(ContentMismatchError):
        stage_catalog_to_nvme(source, tmp_path / "out")
    before = facts(tmp_path / ".out.partial" / "shards")
    assert set(before) == {"s0.arrow", "s2.arrow", "s3.arrow", "s5.arrow"}
    for at, content in good.items():
        (source / f"s{at}.arrow").write_bytes(content)
    stage_catalog_to_nvme(source, tmp_path / "out")
    after = facts(tmp_path / "out" / "shards")
    assert {name: after[name] for name in before} == before
    report = report_of(tmp_path / "out")
    assert report["reused_shards"] == 4
    assert report["copied_bytes"] == sum(len(content) for content in good.values())
    verify_artifact(tmp_path / "out")


def test_a_copy_that_changed_between_the_runs_is_copied_again(source: Path, tmp_path: Path) -> None:
    good = (source / "s5.arrow").read_bytes()
    flip(source / "s5.arrow")
    with pytest.raises(ContentMismatchError):
        stage_catalog_to_nvme(source, tmp_path / "out")
    flip(tmp_path / ".out.partial" / "shards" / "s0.arrow")
    (source / "s5.arrow").write_bytes(good)
    stage_catalog_to_nvme(source, tmp_path / "out")
    verify_artifact(tmp_path / "out")
    assert report_of(tmp_path / "out")["reused_shards"] == 4
    assert ShardCatalog.validate(tmp_path / "out", full=True)[1] == []


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def remove(path: Path) -> None:
    path.unlink()


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("harm", "kind"),
    [(truncate, ContentMismatchError), (remove, ShardNotFoundError), (replace_by_folder, CatalogError)],
)
def test_a_harmed_shard_is_refused_before_anything_is_copied(
    source: Path, tmp_path: Path, harm: Callable[[Path], None], kind: type[Exception]
) -> None:
    harm(source / "s3.arrow")
    with pytest.raises(kind, match=r"catalog\.jsonl:4: .*nothing was copied"):
        stage_catalog_to_nvme(source, tmp_path / "out")
    assert names(tmp_path) == {"source"}


@pytest.mark.parametrize(
    "uri", ["../outside.arrow", "a/../../outside.arrow", "/etc/hostname", "file:///etc/hostname", "%2e%2e/x"]
)
def test_a_name_that_would_leave_the_destination_is_refused(source: Path, tmp_path: Path, uri: str) -> None:
    shutil.copy(source / "s0.arrow", tmp_path / "outside.arrow")
    write_lines(source, [*lines_of(source), {"uri": uri}])
    with pytest.raises(NexaError, match=r"catalog\.jsonl:7: "):
        stage_catalog_to_nvme(source, tmp_path / "out")
    assert names(tmp_path) == {"source", "outside.arrow"}


def test_a_symlink_that_leaves_the_catalogs_folder_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "s0.arrow").rename(tmp_path / "outside.arrow")
    (source / "s0.arrow").symlink_to("../outside.arrow")
    with pytest.raises(CatalogError, match=r"catalog\.jsonl:1: "):
        stage_catalog_to_nvme(source, tmp_path / "out")
    (source / "s0.arrow").unlink()
    (tmp_path / "folder").mkdir()
    (tmp_path / "outside.arrow").rename(tmp_path / "folder" / "s0.arrow")
    (source / "link").symlink_to("../folder")
    write_lines(source, [*lines_of(source)[1:], lines_of(source)[0] | {"uri": "link/s0.arrow"}])
    with pytest.raises(CatalogError, match=r"catalog\.jsonl:6: "):
        stage_catalog_to_nvme(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_symlink_within_the_folder_is_followed(source: Path, tmp_path: Path) -> None:
    (source / "deep").mkdir()
    (source / "s0.arrow").rename(source / "deep" / "real.arrow")
    (source / "s0.arrow").symlink_to("deep/real.arrow")
    stage_catalog_to_nvme(source, tmp_path / "out")
    assert not (tmp_path / "out" / "shards" / "s0.arrow").is_symlink()
    verify_artifact(tmp_path / "out")


def test_a_destination_of_somebody_else_is_refused_and_not_touched(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match="nothing was touched"):
        stage_catalog_to_nvme(source, tmp_path / "out")
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"
    assert names(tmp_path) == {"source", "out"}


@pytest.mark.parametrize("where", [".", "inside", "inside/deep", ".."])
def test_a_destination_that_overlaps_the_source_is_refused(source: Path, where: str) -> None:
    before = facts(source)
    with pytest.raises(StagingError, match="overlap"):
        stage_catalog_to_nvme(source, source / where)
    assert facts(source) == before


def test_a_destination_below_a_file_cannot_be_written(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises((ArtifactError, StagingError), match="can't be written"):
        stage_catalog_to_nvme(source, tmp_path / "file" / "out")
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_read_only_folder_cannot_be_written(source: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises((ArtifactError, StagingError), match="can't be written"):
        stage_catalog_to_nvme(source, tmp_path / "locked" / "out")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder],  # noqa: S607
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("a small file system can't be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)  # noqa: S607


def test_a_disk_that_is_too_small_is_refused_before_anything_is_copied(
    source: Path, small_disk: Path
) -> None:
    with pytest.raises(StagingError, match="are free; nothing was copied"):
        stage_catalog_to_nvme(source, small_disk / "out")
    assert not (small_disk / "out").exists()


def test_a_read_only_file_system_is_a_typed_error(
    source: Path, small_config: dict[str, Any], small_disk: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)  # noqa: S607
    with pytest.raises((ArtifactError, StagingError), match="can't be written: Read-only"):
        stage_catalog_to_nvme(source, small_disk / "out")
    small_config["experiment"]["output_dir"] = str(small_disk / "runs")
    with pytest.raises(ArtifactError, match="can't be written: Read-only"):
        prepare_from_config(small_config)


def test_a_disk_that_is_full_is_a_typed_error_for_prepare_too(
    small_config: dict[str, Any], small_disk: Path
) -> None:
    small_config["experiment"]["output_dir"] = str(small_disk / "runs")
    small_config["data"]["preprocessing"]["num_samples"] = 20_000
    with pytest.raises(NexaError, match=r"space|can't be written"):
        prepare_from_config(small_config)
    left = {path.name for path in (small_disk / "runs").rglob("*") if path.is_file()}
    assert left == set()
    small_config["data"]["preprocessing"]["num_samples"] = 500
    assert prepare_from_config(small_config).bytes > 0


def test_a_copy_that_the_disk_breaks_off_is_a_typed_error_and_resumed(source: Path, tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from nexa_data.prepare import stage_catalog_to_nvme\n"
        "from nexa_data.errors import StagingError\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, {resource.RLIM_INFINITY}))\n"
        "try: stage_catalog_to_nvme(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "except StagingError as error: print('refused:', error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, source, tmp_path / "out"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("refused:")
    assert not (tmp_path / "out").exists()
    meta = stage_catalog_to_nvme(source, tmp_path / "out")
    assert verify_artifact(tmp_path / "out") == meta


def test_a_catalog_with_a_broken_line_or_none_at_all_is_refused(source: Path, tmp_path: Path) -> None:
    with (source / "catalog.jsonl").open("a") as file:
        file.write('{"uri": "x.ar')
    with pytest.raises(CatalogError, match=r"catalog\.jsonl:7: "):
        stage_catalog_to_nvme(source, tmp_path / "out")
    (source / "catalog.jsonl").unlink()
    with pytest.raises(ShardNotFoundError, match=r"catalog\.jsonl"):
        stage_catalog_to_nvme(source, tmp_path / "out")
    assert names(tmp_path) == {"source"}


def test_progress_ends_at_the_whole(source: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    stage_catalog_to_nvme(source, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    total = sum(line["bytes"] for line in lines_of(source))
    assert seen[-1] == (total, total)


def test_relative_paths_are_taken_from_the_working_directory(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathlib import Path as Plain

    monkeypatch.chdir(tmp_path)
    meta = stage_catalog_to_nvme(Plain(source.name), Plain("out"))
    assert meta.path == tmp_path / "out"
    assert read_meta(tmp_path / "out") == meta


def test_a_shard_whose_name_begins_with_a_dot_is_staged_like_any_other(tmp_path: Path) -> None:
    folder = tmp_path / "hidden"
    (folder / ".deep").mkdir(parents=True)
    contents = {".a.bin": b"a" * 10, ".deep/.b.bin": b"b" * 20, "c.bin": b"c" * 30}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    write_lines(folder, [{"uri": name} for name in contents])
    meta = stage_catalog_to_nvme(folder / "catalog.jsonl", tmp_path / "staged")
    assert {name: (meta.path / "shards" / name).read_bytes() for name in contents} == contents
    (meta.path / "shards/.a.bin").chmod(0o644)
    (meta.path / "shards/.a.bin").write_bytes(b"z" * 10)
    with pytest.raises(ArtifactError, match="changed after it was published"):
        verify_artifact(meta.path)


def test_a_prepared_dataset_is_never_replaced_by_a_staged_one(
    source: Path, small_config: dict[str, Any]
) -> None:
    prepared = prepare_from_config(small_config)
    with pytest.raises(
        ArtifactError, match=r"kind dataset and not to be replaced by one of kind staged-dataset"
    ):
        stage_catalog_to_nvme(source / "catalog.jsonl", prepared.path)
    assert verify_artifact(prepared.path) == prepared
