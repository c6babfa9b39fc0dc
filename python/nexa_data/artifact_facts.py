"""What an artifact's folder says of itself, gathered for those who describe it to others."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ArtifactFacts", "ColumnFacts", "SplitFacts", "class_count"]

_CATALOG_NAME = "catalog.jsonl"
_METADATA_NAME = "dataset_metadata.json"
_REPORT_NAME = "quality_report.json"


@dataclass(slots=True)
class SplitFacts:
    """Files, records and bytes of a split."""

    files: list[tuple[str, int | None, str | None]] = field(default_factory=list)
    """Name, bytes and sha256 in hexadecimal of each shard, where they are known."""
    records: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """A column: its name, the type of a number or value in it, and a row's shape."""

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()
    num_classes: int | None = None


@dataclass(frozen=True, slots=True)
class ArtifactFacts:
    """What is known of an artifact.

    Args:
        name: Name of the dataset, else the folder's.
        version: Its version.
        kind: The artifact's kind.
        splits: By name, in the order of the catalog.
        columns: As `dataset_metadata.json` says.
        label_kind: Kind of the label; None without one.
        metadata: The whole of `dataset_metadata.json`.
        verdict: `accepted` or `refused`, and how many findings there are; None where nothing was measured.
    """

    name: str
    version: str | None
    kind: str
    splits: dict[str, SplitFacts]
    columns: tuple[ColumnFacts, ...]
    label_kind: str | None
    metadata: dict[str, Any]
    verdict: tuple[str, int] | None

    @classmethod
    def of(cls, folder: Path, kind: str, labels: dict[str, str], name: str) -> ArtifactFacts:
        """Read them from a folder that may not be published yet; what is missing or damaged is left out."""
        metadata = _mapping(folder / _METADATA_NAME)
        report = _mapping(folder / _REPORT_NAME)
        label = metadata.get("label")
        verdict = (str(report["verdict"]), len(report.get("findings", ()))) if "verdict" in report else None
        return cls(
            name=str(labels.get("dataset_name") or metadata.get("dataset_name") or name),
            version=labels.get("dataset_version") or metadata.get("dataset_version"),
            kind=kind,
            splits=_splits(folder / _CATALOG_NAME),
            columns=tuple(_columns(metadata)),
            label_kind=label.get("kind") if isinstance(label, dict) else None,
            metadata=metadata,
            verdict=verdict,
        )

    @property
    def records(self) -> int:
        """Records of all splits."""
        return sum(split.records for split in self.splits.values())

    @property
    def bytes(self) -> int:
        """Bytes of all shards."""
        return sum(split.bytes for split in self.splits.values())


def class_count(folder: Path) -> int | None:
    """Return the number of classes that an artifact says its label has; None if it says nothing."""
    label = _mapping(folder / _METADATA_NAME).get("label")
    count = label.get("num_classes") if isinstance(label, dict) else None
    return count if isinstance(count, int) else None


def _mapping(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _splits(catalog: Path) -> dict[str, SplitFacts]:
    found: dict[str, SplitFacts] = {}
    if not catalog.is_file():
        return found
    with catalog.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
                name = str(entry["uri"])
            except (ValueError, KeyError, TypeError):
                continue
            split = found.setdefault(str(entry.get("split") or "data"), SplitFacts())
            checksum = str(entry.get("checksum") or "")
            digest = checksum.removeprefix("sha256:") if checksum.startswith("sha256:") else None
            split.files.append((name, entry.get("bytes"), digest))
            split.records += int(entry.get("records") or 0)
            split.bytes += int(entry.get("bytes") or 0)
    return found


def _columns(metadata: dict[str, Any]) -> Iterator[ColumnFacts]:
    for key in ("features", "label"):
        said = metadata.get(key)
        if isinstance(said, dict) and "name" in said:
            yield ColumnFacts(
                str(said["name"]),
                str(said.get("dtype", "float32")),
                tuple(said.get("shape") or ()),
                tuple(map(str, said.get("classes") or ())),
                said.get("num_classes"),
            )
    for said in metadata.get("columns") or ():
        if isinstance(said, dict) and "name" in said:
            yield ColumnFacts(str(said["name"]), str(said.get("type", "string")))
