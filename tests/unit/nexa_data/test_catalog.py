from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from nexa_data import _core
from nexa_data.catalog import ShardCatalog, ShardRecord
from nexa_data.errors import CatalogError, ShardNotFoundError
from nexa_data.shard_output import tensor_batch

if TYPE_CHECKING:
    from collections.abc import Callable


def write_shard(path: Path, rows: int = 5, *, first: int = 0, name: str = "features") -> dict[str, Any]:
    features = np.arange(first, first + rows * 2, dtype=np.float32)
    size, checksum = _core.write_shard(path, [tensor_batch({name: features.reshape(rows, 2)})])
    return {"bytes": size, "records": rows, "checksum": checksum}


def write_catalog(folder: Path, lines: list[dict[str, Any] | str]) -> Path:
    path = folder / "catalog.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def good(folder: Path) -> list[dict[str, Any]]:
    return [
        {"uri": f"{split}.arrow", "split": split, **write_shard(folder / f"{split}.arrow", first=at)}
        for at, split in enumerate(("train", "validation", "test"))
    ]


def codes(path: Path, **options: bool) -> list[tuple[str, int | None]]:
    return [(finding.code, finding.line) for finding in ShardCatalog.validate(path, **options)[1]]


def test_a_catalog_is_read_as_it_was_written(tmp_path: Path) -> None:
    lines = good(tmp_path)
    lines[0] |= {"tags": ["x", "y"], "site": {"lab": 3}}
    catalog = ShardCatalog.load(write_catalog(tmp_path, [*lines]))
    assert [shard.uri for shard in catalog] == ["train.arrow", "validation.arrow", "test.arrow"]
    first = catalog.shards[0]
    assert (first.split, first.records, first.line, first.tags) == ("train", 5, 1, ("x", "y"))
    assert first.metadata == {"site": {"lab": 3}}
    assert catalog.splits == ["train", "validation", "test"]
    assert (len(catalog), catalog.records(), catalog.records("test")) == (3, 15, 5)
    assert [shard.bytes for shard in catalog] == [line["bytes"] for line in lines]


def test_dumps_and_load_are_inverse(tmp_path: Path) -> None:
    lines = good(tmp_path)
    lines[1] |= {"tags": ["ß"], "note": "größer"}
    catalog = ShardCatalog.load(write_catalog(tmp_path, [*lines]))
    (tmp_path / "catalog.jsonl").write_bytes(catalog.dumps())
    assert ShardCatalog.load(tmp_path) == catalog


def test_only_the_uri_is_required(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.arrow")
    path = write_catalog(tmp_path, [{"uri": "a.arrow"}])
    assert ShardCatalog.load(path).shards == (ShardRecord("a.arrow", line=1),)
    assert codes(path, full=True) == []


def test_shards_without_a_split_belong_to_each() -> None:
    catalog = ShardCatalog(Path(), (ShardRecord("a", records=1), ShardRecord("b", split="train", records=2)))
    assert [shard.uri for shard in catalog.of("train")] == ["a", "b"]
    assert [shard.uri for shard in catalog.of("test")] == ["a"]


def test_a_split_that_is_not_there_lists_the_known() -> None:
    with pytest.raises(CatalogError, match="no split 'test'; known: train"):
        ShardCatalog(Path(), (ShardRecord("b", split="train"),)).of("test")


def test_a_sound_catalog_has_no_findings(tmp_path: Path) -> None:
    path = write_catalog(tmp_path, [*good(tmp_path)])
    assert ShardCatalog.validate(path, full=True, for_staging=True) == (3, [])


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('{"uri": "x.arrow"', "invalid-json"),
        ("nonsense", "invalid-json"),
        ('["x.arrow"]', "not-an-object"),
        ('{"uri": "train.arrow", "uri": "b.arrow"}', "duplicate-key"),
        ('{"split": "train"}', "missing-uri"),
        ('{"uri": 3}', "wrong-type"),
        ('{"uri": "x.arrow", "tags": "word"}', "wrong-type"),
        ('{"uri": "x.arrow", "records": -1}', "negative-number"),
        ('{"uri": "x.arrow", "records": 1.5}', "invalid-number"),
        ('{"uri": "x.arrow", "bytes": 1e99}', "invalid-number"),
        ('{"uri": "s3://bucket/x.arrow"}', "unknown-scheme"),
        ('{"uri": "../x.arrow"}', "unsafe-uri"),
        ('{"uri": "a/../../x.arrow"}', "unsafe-uri"),
        ('{"uri": ""}', "unsafe-uri"),
        ('{"uri": "x.arrow", "checksum": "sha256:zz"}', "invalid-checksum"),
        ('{"uri": "x.arrow", "checksum": "0123"}', "invalid-checksum"),
        (
            '{"uri": "x.arrow", "checksum": "md5:d41d8cd98f00b204e9800998ecf8427e"}',
            "unknown-checksum-algorithm",
        ),
        ('{"uri": "train.arrow"}', "duplicate-uri"),
        ('{"uri": "./train.arrow"}', "duplicate-uri"),
        ('{"uri": "train.arrow/x.arrow"}', "name-conflict"),
        (f'{{"uri": "{"x" * 256}"}}', "name-too-long"),
        ('{"uri": "x.arrow", "split": "a b/c"}', "invalid-split"),
    ],
)
def test_a_malformed_line_is_found_by_its_number(tmp_path: Path, line: str, code: str) -> None:
    lines = good(tmp_path)
    write_shard(tmp_path / "x.arrow")
    path = write_catalog(tmp_path, [*lines, line])
    assert (code, 4) in codes(path)
    with pytest.raises(CatalogError, match=r"catalog\.jsonl:4: .*"):
        ShardCatalog.load(path)


@pytest.mark.slow
def test_one_bad_line_among_a_million_is_that_finding_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "catalog.jsonl"
    with path.open("w") as file:
        for line in range(1, 1_000_001):
            size = '"12"' if line == 765_432 else 12
            file.write(f'{{"uri": "shards/train-{line:07}.arrow", "split": "train", "bytes": {size}}}\n')
    lines = _core.read_catalog(path)
    found = [(each["code"], each["line"], each["column"]) for each in lines.findings()]
    assert (found, len(lines), lines.bytes) == ([("wrong-type", 765_432, "bytes")], 999_999, 999_999 * 12)


def test_a_split_that_is_likely_misspelt_is_a_warning(tmp_path: Path) -> None:
    write_shard(tmp_path / "x.arrow")
    found = ShardCatalog.validate(write_catalog(tmp_path, [{"uri": "x.arrow", "split": "tran"}]))[1]
    assert [(finding.code, finding.severity) for finding in found] == [("invalid-split", "warning")]


def test_a_line_that_is_not_utf8_is_found(tmp_path: Path) -> None:
    path = write_catalog(tmp_path, [*good(tmp_path)])
    path.write_bytes(path.read_bytes() + b'{"uri": "\xff.arrow"}\n')
    assert ("invalid-utf8", 4) in codes(path)


def test_blank_lines_are_nothing_and_keep_the_count(tmp_path: Path) -> None:
    first, *rest = good(tmp_path)
    path = write_catalog(tmp_path, ["", first, "   ", *rest, ""])
    assert [shard.line for shard in ShardCatalog.load(path)] == [2, 4, 5]


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_a_catalog_without_entries_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "catalog.jsonl").write_text(content)
    assert [code for code, _ in codes(tmp_path / "catalog.jsonl")] == ["empty-catalog"]
    with pytest.raises(CatalogError, match="no entries"):
        ShardCatalog.load(tmp_path)


def test_a_catalog_that_is_not_there_is_named(tmp_path: Path) -> None:
    for read in (ShardCatalog.load, ShardCatalog.validate):
        with pytest.raises(ShardNotFoundError, match=r"catalog\.jsonl"):
            read(tmp_path)


def test_all_faults_are_listed_and_the_message_shows_the_first_few(tmp_path: Path) -> None:
    path = write_catalog(tmp_path, ["{"] * 12)
    assert [line for _, line in codes(path)[:12]] == list(range(1, 13))
    with pytest.raises(CatalogError, match=r":1: .*:5: .*and 7 more") as caught:
        ShardCatalog.load(path)
    assert ":6:" not in str(caught.value)


def _missing(folder: Path) -> None:
    (folder / "validation.arrow").unlink()


def _truncated(folder: Path) -> None:
    file = folder / "validation.arrow"
    file.write_bytes(file.read_bytes()[:-9])


def _flipped(folder: Path) -> None:
    content = bytearray((folder / "validation.arrow").read_bytes())
    at = content.index(np.arange(1, 11, dtype=np.float32).tobytes())
    content[at] ^= 1
    (folder / "validation.arrow").write_bytes(content)


def _foreign(folder: Path) -> None:
    size = (folder / "validation.arrow").stat().st_size
    (folder / "validation.arrow").write_bytes(b"x" * size)


def _folder(folder: Path) -> None:
    (folder / "validation.arrow").unlink()
    (folder / "validation.arrow").mkdir()


@pytest.mark.parametrize(
    ("harm", "code", "full"),
    [
        (_missing, "missing-shard", False),
        (_truncated, "wrong-size", False),
        (_flipped, "wrong-checksum", True),
        (_foreign, "unreadable-shard", False),
        (_folder, "not-a-file", False),
    ],
)
def test_a_harmed_shard_is_found_and_the_others_are_not(
    tmp_path: Path, harm: Callable[[Path], None], code: str, *, full: bool
) -> None:
    path = write_catalog(tmp_path, [*good(tmp_path)])
    harm(tmp_path)
    found = ShardCatalog.validate(path, full=full)[1]
    assert code in [finding.code for finding in found]
    assert {(finding.line, finding.shard) for finding in found} == {(2, "validation.arrow")}


def test_a_flipped_bit_shows_only_when_the_content_is_read(tmp_path: Path) -> None:
    path = write_catalog(tmp_path, [*good(tmp_path)])
    _flipped(tmp_path)
    assert codes(path) == []
    assert codes(path, full=True) == [("wrong-checksum", 2)]


def test_a_wrong_number_of_records_is_found(tmp_path: Path) -> None:
    lines = good(tmp_path)
    lines[2]["records"] = 6
    assert codes(write_catalog(tmp_path, [*lines])) == [("wrong-records", 3)]


def test_a_shard_with_other_columns_is_found(tmp_path: Path) -> None:
    lines = good(tmp_path)
    lines[1] |= write_shard(tmp_path / "validation.arrow", name="other")
    found = ShardCatalog.validate(write_catalog(tmp_path, [*lines]))[1]
    assert {(finding.code, finding.line) for finding in found} == {("schema-mismatch", 2)}


@pytest.mark.parametrize("algorithm", ["sha256", "blake3", "xxh3", "crc32c"])
def test_every_checksum_is_verified(tmp_path: Path, algorithm: str) -> None:
    write_shard(tmp_path / "a.arrow")
    _, digest = _core.digest_file(tmp_path / "a.arrow", algorithm)
    assert digest.startswith(f"{algorithm}:")
    path = write_catalog(tmp_path, [{"uri": "a.arrow", "checksum": digest}])
    assert codes(path, full=True) == []
    write_shard(tmp_path / "a.arrow", first=1)
    assert codes(path, full=True) == [("wrong-checksum", 1)]


def test_the_sha256_is_the_one_of_the_standard_library(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a.arrow")
    assert shard["checksum"] == f"sha256:{hashlib.sha256((tmp_path / 'a.arrow').read_bytes()).hexdigest()}"


def test_an_absolute_uri_is_read_in_place_but_not_staged(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    shard = write_shard(tmp_path / "far" / "a.arrow")
    (tmp_path / "near").mkdir()
    for uri in (str(tmp_path / "far" / "a.arrow"), (tmp_path / "far" / "a.arrow").as_uri()):
        path = write_catalog(tmp_path / "near", [{"uri": uri, **shard}])
        assert ShardCatalog.load(path).shards[0].path(tmp_path / "near") == tmp_path / "far" / "a.arrow"
        severities = [finding.severity for finding in ShardCatalog.validate(path, for_staging=True)[1]]
        assert severities == ["error"]
        assert all(each.severity == "warning" for each in ShardCatalog.validate(path)[1])


def test_a_symlink_that_leaves_the_folder_is_found_and_one_within_is_not(tmp_path: Path) -> None:
    (tmp_path / "near").mkdir()
    write_shard(tmp_path / "outside.arrow")
    write_shard(tmp_path / "near" / "real.arrow")
    (tmp_path / "near" / "link.arrow").symlink_to("real.arrow")
    path = write_catalog(tmp_path / "near", [{"uri": "link.arrow"}])
    assert codes(path, for_staging=True) == []
    (tmp_path / "near" / "link.arrow").unlink()
    (tmp_path / "near" / "link.arrow").symlink_to("../outside.arrow")
    found = ShardCatalog.validate(path, for_staging=True)[1]
    assert [(finding.code, finding.severity) for finding in found] == [("unsafe-symlink", "error")]
