"""What an index of MosaicML Streaming says of its shards is held against them."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from nexa_data.datasets.decoding import row_source
from nexa_data.datasets.files import find_files
from nexa_data.errors import RecordError

SOURCES = Path(__file__).parents[3] / "data" / "sources"


def streamed(tmp_path: Path, kind: str = "mds", hashes: dict[str, str] | None = None) -> Path:
    """Copy a folder that MosaicML Streaming wrote; its index gets the hashes of the first shard."""
    folder = tmp_path / "d"
    shutil.copytree(SOURCES / kind, folder)
    index = json.loads((folder / "index.json").read_bytes())
    shard = index["shards"][0]["zip_data" if kind == "mds-zstd" else "raw_data"]
    content = (folder / shard["basename"]).read_bytes()
    found = {"sha1": hashlib.sha1(content).hexdigest(), "md5": hashlib.md5(content).hexdigest()}  # noqa: S324
    shard["hashes"] = found | (hashes or {})
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def rows(folder: Path) -> list[dict[str, Any]]:
    return [row for part in row_source([str(folder)]).batches() for row in part.batch.to_pylist()]


@pytest.mark.parametrize("kind", ["mds", "mds-zstd"])
def test_shards_with_the_promised_digests_are_read(tmp_path: Path, kind: str) -> None:
    assert len(rows(streamed(tmp_path, kind))) == 5


@pytest.mark.parametrize("kind", ["mds", "mds-zstd"])
def test_a_digest_that_differs_is_an_error_with_file_algorithm_and_both(tmp_path: Path, kind: str) -> None:
    folder = streamed(tmp_path, kind, {"sha1": "0" * 40})
    with pytest.raises(RecordError, match=rf"shard\.00000\.mds.*: its sha1 is [0-9a-f]{{40}}, .* {'0' * 40}"):
        rows(folder)


def test_a_size_that_differs_is_an_error_before_anything_is_read(tmp_path: Path) -> None:
    folder = streamed(tmp_path)
    with (folder / "shard.00000.mds").open("ab") as shard:
        shard.write(b"more")
    with pytest.raises(RecordError, match=r"shard\.00000\.mds: it has 886 bytes, .*index\.json says 882"):
        find_files([str(folder)])


def test_xxhash_is_used_where_it_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("xxhash", reason="xxhash is not installed: pip install xxhash")
    folder = streamed(tmp_path, hashes={"xxh64": "0" * 16})
    with pytest.raises(RecordError, match="its xxh64 is"):
        rows(folder)


def test_a_digest_that_nothing_here_computes_is_named_and_the_others_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "xxhash", None)
    odd = {"xxh64": "0" * 16, "shake_128": "0", "crc99": "0"}
    with caplog.at_level(logging.WARNING):
        assert len(rows(streamed(tmp_path, hashes=odd))) == 5
    assert "['crc99', 'shake_128', 'xxh64'] are not compared" in caplog.text
    shutil.rmtree(tmp_path / "d")
    with pytest.raises(RecordError, match="its md5 is"):
        rows(streamed(tmp_path, hashes={**odd, "md5": "0" * 32}))
