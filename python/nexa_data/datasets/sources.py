"""Where the records of a dataset lie: a split of an artifact or catalog, or what a label filter keeps of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nexa_data import _core
from nexa_data.artifacts import digest_text, is_complete, read_meta
from nexa_data.catalog import ShardCatalog
from nexa_data.errors import CatalogError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["LABEL", "ShardSource", "select"]

LABEL = "label"
"""Column that filters and classes look at."""


@dataclass(frozen=True, slots=True)
class ShardSource:
    """Some records of an artifact.

    Args:
        folder: Folder of the artifact (prepared or staged), or of any catalog of Arrow shards.
        split: The split.
        allow_labels: Labels that the records must have; default: any.
        deny_labels: Labels that they may not have.
    """

    folder: Path
    split: str
    allow_labels: tuple[int, ...] | None = None
    deny_labels: tuple[int, ...] = ()

    @property
    def rule(self) -> tuple[tuple[int, ...], bool] | None:
        """Labels, and whether they are denied instead of allowed; None if any label will do."""
        if self.allow_labels is not None:
            return tuple(sorted(set(self.allow_labels) - set(self.deny_labels))), False
        return (tuple(sorted(set(self.deny_labels))), True) if self.deny_labels else None

    def shards(self) -> list[tuple[str, int]]:
        """Return path and records of each shard.

        Raises:
            CatalogError: There is no such split, or a shard is missing.
            ShardNotFoundError: There is no catalog.
        """
        catalog = ShardCatalog.load(self.folder)
        root = os.fspath(catalog.root)
        return [_shard(catalog, shard.location(root), shard.records) for shard in catalog.of(self.split)]

    @property
    def fingerprint(self) -> str:
        """Hash of the artifact; for a bare catalog, of its shards' checksums, or names and records without.

        With a filter, of that and the filter's labels.
        """
        content = self._content()
        if self.rule is None:
            return content
        labels, deny = self.rule
        return digest_text(content, "deny" if deny else "allow", *map(str, labels))

    def _content(self) -> str:
        if is_complete(self.folder):
            meta = read_meta(self.folder)
            return meta.labels.get("source_hash", meta.hash)
        shards = ShardCatalog.load(self.folder).of(self.split)
        return digest_text(*(shard.checksum or f"{shard.uri}:{shard.records}" for shard in shards))


def select(
    sources: Sequence[ShardSource], shards: Sequence[list[tuple[str, int]]]
) -> tuple[_core.Selection | None, tuple[int, ...]]:
    """Return which records the sources' filters keep (None: there is no filter), and how many are of each source.

    The label column is read once, shard by shard.

    Raises:
        ConfigError: A filter keeps nothing.
        RecordError: The labels aren't classes.
    """
    rules = [source.rule for source in sources]
    if not any(rules):
        return None, tuple(sum(records for _, records in each) for each in shards)
    selection, counts = _core.select_by_label(list(zip(shards, rules, strict=True)), LABEL)
    for source, count in zip(sources, counts, strict=True):
        if source.rule is not None and not count:
            labels, deny = source.rule
            raise ConfigError(
                f"{source.folder}: no record of split {source.split!r} has "
                f"{'another label than' if deny else 'one of the labels'} {', '.join(map(str, labels[:20])) or '(none)'}",
                remedy="change the filter's labels",
            )
    return selection, tuple(counts)


def _shard(catalog: ShardCatalog, path: str, records: int | None) -> tuple[str, int]:
    if records is None:
        records = _core.shard_info(path)[0]
    if not os.path.exists(path):  # noqa: PTH110 (a Path for each of 100,000 shards takes a second)
        raise CatalogError(
            f"{catalog.path}: shard {path} is missing", remedy="prepare or stage the dataset again"
        )
    return path, records
