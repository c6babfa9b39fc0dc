"""Bytes of a stranger give a typed error or data, never a crash, a hang or a wrong shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nexa_data import _core
from nexa_data.catalog import ShardCatalog
from nexa_data.datasets.shards import ShardDataset
from nexa_data.errors import CatalogError, NexaError
from nexa_data.shard_output import tensor_batch

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 20


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shard") / "a.arrow"
    features = np.arange(ROWS * 3, dtype=np.float32).reshape(ROWS, 3)
    batch = tensor_batch({"features": features, "label": np.arange(ROWS, dtype=np.int64)})
    _core.write_shard(path, [batch])
    (path.parent / "catalog.jsonl").write_text(
        json.dumps({"uri": "a.arrow", "split": "train", "records": ROWS}) + "\n"
    )
    (path.parent / "whole").write_bytes(path.read_bytes())
    return path


def read_all(folder: Path) -> Any:
    """Return all records, or the typed error."""
    try:
        dataset = ShardDataset(folder, "train")
        return dataset[list(range(len(dataset)))]
    except NexaError as error:
        return error


def load(folder: Path) -> ShardCatalog | CatalogError:
    try:
        return ShardCatalog.load(folder)
    except CatalogError as error:
        return error


@settings(max_examples=400)
@given(
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    cut=st.none() | st.integers(0, 10**6),
    tail=st.binary(max_size=8),
)
def test_a_damaged_shard_is_refused_or_has_its_shape(
    shard: Path, edits: list[tuple[int, int]], cut: int | None, tail: bytes
) -> None:
    content = bytearray((shard.parent / "whole").read_bytes())
    for at, value in edits:
        content[at % len(content)] = value
    if cut is not None:
        del content[cut % (len(content) + 1) :]
    shard.unlink(missing_ok=True)  # A new inode: the old one may still be mapped.
    shard.write_bytes(bytes(content) + tail)
    assert all(finding.line in {1, None} for finding in ShardCatalog.validate(shard.parent, full=True)[1])
    found = read_all(shard.parent)
    if isinstance(found, NexaError):
        assert "a.arrow" in str(found)
    else:
        assert [tuple(column.shape) for column in found] == [(ROWS, 3), (ROWS,)]


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_catalog_or_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("catalog")
    (folder / "catalog.jsonl").write_bytes(content)
    _, findings = ShardCatalog.validate(folder, for_staging=True)
    assert findings
    found = load(folder)
    assert "catalog.jsonl" in str(found) if isinstance(found, CatalogError) else len(found) > 0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["uri", "split", "bytes", "records", "checksum", "tags", "note"]),
            VALUES,
            max_size=7,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_lines_of_json_are_a_catalog_that_can_be_written_again_or_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, lines: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("catalog")
    (folder / "catalog.jsonl").write_text("".join(json.dumps(line, allow_nan=True) + "\n" for line in lines))
    catalog = load(folder)
    if isinstance(catalog, CatalogError):
        return
    (folder / "catalog.jsonl").write_bytes(catalog.dumps())
    assert [shard.as_dict() for shard in ShardCatalog.load(folder)] == [shard.as_dict() for shard in catalog]
