"""Shards that are: the catalog of a dataset, and whether it tells the truth about them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote, urlsplit

from nexa_data.errors import CatalogError, NexaError
from nexa_data.findings import Finding, Severity, refuses

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from nexa_data import _core

__all__ = ["CATALOG_NAME", "ShardCatalog", "ShardRecord", "is_catalog", "is_whole"]

CATALOG_NAME = "catalog.jsonl"
"""Name of the catalog in an artifact."""

_SHOWN_FINDINGS = 5
_SUFFIXES = frozenset({".jsonl", ".ndjson"})
_LINE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """One line of a catalog.

    Args:
        uri: Where the shard is: relative to the catalog's folder, an absolute path or `file://`.
        split: Split that it belongs to.
        bytes: Size of the file.
        records: Number of records.
        checksum: `algorithm:hex` of the file; sha256, blake3, xxh3 or crc32c.
        tags: Free words.
        metadata: Every other key of the line.
        line: Line in the catalog, counted from 1; 0 if it doesn't come from a file.
    """

    uri: str
    split: str | None = None
    bytes: int | None = None
    records: int | None = None
    checksum: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    line: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the line as plain values for JSON; absent fields are left out."""
        known = {
            "uri": self.uri,
            "split": self.split,
            "bytes": self.bytes,
            "records": self.records,
            "checksum": self.checksum,
            "tags": list(self.tags),
        }
        return {key: value for key, value in known.items() if value is not None} | self.metadata

    def path(self, root: Path) -> Path:
        """Return the shard's file, for a catalog in folder `root`."""
        return Path(self.location(os.fspath(root)))

    def location(self, root: str) -> str:
        """Return the same as a string."""
        if self.uri.startswith("file:"):
            return unquote(urlsplit(self.uri).path)
        return os.path.join(root, self.uri)  # noqa: PTH118 (asked for each of 100,000 shards)


@dataclass(frozen=True)
class ShardCatalog:
    """The shards of a dataset, in their order.

    Args:
        root: Folder that relative uris start from.
        shards: The records.
        path: File that it was read from, if any.

    Example:
        >>> catalog = ShardCatalog(Path("data"), (ShardRecord("a.arrow", split="train", records=3),))
        >>> catalog.records("train")
        3
    """

    root: Path
    shards: tuple[ShardRecord, ...]
    path: Path | None = None

    @classmethod
    def load(cls, path: Path | str, *, for_staging: bool = False) -> Self:
        """Read a catalog file, or the `catalog.jsonl` in a folder.

        Args:
            path: The catalog, or the folder that holds it.
            for_staging: Refuse names that can't be staged too (absolute or outside of the catalog's folder).

        Raises:
            ShardNotFoundError: There is no such file.
            CatalogError: A line is malformed or two are of one shard; the message names the lines.
        """
        file = _catalog_file(Path(path))
        from nexa_data import _core

        lines = _core.read_catalog(file)
        found = (
            lines.validate(shards=False, footers=False, for_staging=True) if for_staging else lines.findings()
        )
        findings = [Finding(**item) for item in found]
        if refuses(findings):
            raise CatalogError(describe(file, findings), remedy=f"`nexa-data validate {file}` lists all")
        shards = tuple(_record(*entry) for entry in lines.entries())
        return cls(file.parent, shards, file)

    @classmethod
    def validate(
        cls,
        path: Path | str,
        *,
        full: bool = False,
        for_staging: bool = False,
        lines: Collection[int] | None = None,
        control: _core.Control | None = None,
    ) -> tuple[int, list[Finding]]:
        """Check a catalog against its shards: lines, names, existence, sizes, record counts, schemas.

        The lines stay native: a million of them take some 150 MB, and no Python objects but for what is found.

        Args:
            path: The catalog, or the folder that holds it.
            full: Read every shard and compare its checksum too.
            for_staging: Refuse names that can't be staged (absolute or outside of the catalog's folder).
            lines: Look only at the shards of these lines.
            control: Stops it from another thread and counts the bytes read, the catalog's own included.

        Returns:
            Number of shards, and all findings in the order of the lines.

        Raises:
            ShardNotFoundError: There is no catalog.
        """
        from nexa_data import _core

        read = _core.read_catalog(_catalog_file(Path(path)), control=control)
        found = read.validate(content=full, for_staging=for_staging, lines=lines, control=control)
        return len(read), [Finding(**item) for item in found]

    def __iter__(self) -> Iterator[ShardRecord]:
        return iter(self.shards)

    def __len__(self) -> int:
        return len(self.shards)

    @property
    def splits(self) -> list[str]:
        """Names of the splits, in the order of their first shard."""
        return list(dict.fromkeys(shard.split for shard in self.shards if shard.split is not None))

    def of(self, split: str) -> tuple[ShardRecord, ...]:
        """Return the shards of `split`; those without a split belong to each.

        Raises:
            CatalogError: No shard is of that split.
        """
        found = tuple(shard for shard in self.shards if shard.split in {split, None})
        if not found:
            raise CatalogError(
                f"{self.path or self.root}: there is no split {split!r}",
                remedy=f"known: {', '.join(self.splits) or 'none'}",
            )
        return found

    def records(self, split: str | None = None) -> int:
        """Return the number of records of a split, or of all."""
        return sum(
            shard.records or 0 for shard in self.shards if split is None or shard.split in {split, None}
        )

    def dumps(self) -> bytes:
        """Return the catalog as JSON lines."""
        lines = (json.dumps(shard.as_dict(), ensure_ascii=False) for shard in self.shards)
        return "".join(f"{line}\n" for line in lines).encode()


def is_catalog(path: Path) -> bool:
    """Say whether a file is a catalog rather than records in JSON lines: its first line names a shard.

    One of the catalog's own name is one whatever it holds, so that its check says what is wrong with it.
    """
    if path.suffix.lower() not in _SUFFIXES or not path.is_file():
        return False
    if path.name == CATALOG_NAME:
        return True
    with path.open("rb") as file:
        line = file.readline(_LINE_BYTES)
    try:
        first = json.loads(line)
    except ValueError:
        return False
    return isinstance(first, dict) and isinstance(first.get("uri"), str)


def is_whole(folder: Path) -> bool:
    """Say whether `folder` has a catalog, and every shard of it with its size: cheap, nothing is read but the catalog."""
    try:
        catalog = ShardCatalog.load(folder)
        return all(shard.path(catalog.root).stat().st_size == shard.bytes for shard in catalog)
    except (NexaError, OSError):
        return False


def describe(path: Path, findings: Sequence[Finding]) -> str:
    """Return one text for the findings that refuse a catalog: the first few, and how many more there are."""
    bad = [finding for finding in findings if finding.severity is not Severity.WARNING]
    shown = "; ".join(_place(path, finding) for finding in bad[:_SHOWN_FINDINGS])
    more = f"; and {len(bad) - _SHOWN_FINDINGS} more" if len(bad) > _SHOWN_FINDINGS else ""
    return shown + more


def _place(path: Path, finding: Finding) -> str:
    place = str(path) if finding.line is None else f"{path}:{finding.line}"
    return f"{place}: {finding.message}"


def _catalog_file(path: Path) -> Path:
    return path / CATALOG_NAME if path.is_dir() else path


def _record(
    line: int,
    uri: str,
    split: str | None,
    size: int | None,
    records: int | None,
    checksum: str | None,
    tags: list[str],
    extra: str | None,
) -> ShardRecord:
    metadata = json.loads(extra) if extra else {}
    return ShardRecord(uri, split, size, records, checksum, tuple(tags), metadata, line)
