"""The description of a dataset by MLCommons Croissant 1.0, which dataset searches and other loaders read.

https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexa_data.artifact_facts import ArtifactFacts, ColumnFacts

__all__ = ["CROISSANT_NAME", "croissant_description"]

CROISSANT_NAME = "croissant.json"

_ARROW = "application/vnd.apache.arrow.file"
_MOST_FILES = 1000
"""Shards that are listed one by one, with their digests; of more, their names' pattern is given alone."""

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
} | {
    name: f"cr:{name}"
    for name in (
        "extract", "field", "fileProperty", "fileObject", "fileSet", "format", "includes", "isLiveDataset", "jsonPath",
        "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "separator",
        "source", "subField", "transform",
    )
}  # fmt: skip

_TYPES = (
    (re.compile(r"u?int\d+"), "sc:Integer"),
    (re.compile(r"float\d+|double|halffloat"), "sc:Float"),
    (re.compile(r"bool"), "sc:Boolean"),
    (re.compile(r"date32.*|date64.*|timestamp.*"), "sc:Date"),
)


def croissant_description(facts: ArtifactFacts, published: str) -> str:
    """Return the description as JSON-LD.

    Args:
        facts: What is known of the artifact.
        published: When it was made, ISO 8601.
    """
    distribution, sources = _distribution(facts)
    described: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": _name(facts.name),
        "description": f"{facts.name}: an artifact of kind {facts.kind}, made with nexa-data.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "datePublished": published[:10],
        "version": _version(facts.version),
        "distribution": distribution,
    }
    if sources and facts.columns:
        described["recordSet"] = [
            _splits(facts),
            *(_records(facts, split, each) for split, each in sources.items()),
        ]
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


def _name(text: str) -> str:
    """Return a name as Croissant allows them: letters, digits, spaces and a few signs."""
    return re.sub(r"[^\w .-]", "_", text)[:255].strip() or "dataset"


def _version(version: str | None) -> str:
    """Return a version of three numbers, as Croissant recommends; what is no number stands behind them."""
    if version is None:
        return "1.0.0"
    parts = re.fullmatch(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?", version)
    return (
        ".".join(part or "0" for part in parts.groups())
        if parts
        else f"1.0.0+{re.sub(r'[^0-9A-Za-z.-]', '-', version)}"
    )


def _distribution(facts: ArtifactFacts) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the files, and of each split the id of the set of its shards."""
    files: list[dict[str, Any]] = []
    sets: list[dict[str, Any]] = []
    sources: dict[str, str] = {}
    every = sum(len(split.files) for split in facts.splits.values()) <= _MOST_FILES
    for split, found in facts.splits.items():
        known = [each for each in found.files if each[2] is not None] if every else []
        files += [_file(name, size, digest) for name, size, digest in known]
        sources[split] = f"{_name(split)}-shards"
        folder = sorted({name.rpartition("/")[0] for name, _, _ in found.files})
        sets.append(
            {
                "@type": "cr:FileSet",
                "@id": sources[split],
                "name": sources[split],
                "description": f"The shards of the split {split}.",
                "encodingFormat": _ARROW,
                "includes": f"{folder[0]}/{split}-*.arrow" if len(folder) == 1 else f"**/{split}-*.arrow",
            }
        )
    return files + sets, sources


def _file(name: str, size: int | None, digest: str | None) -> dict[str, Any]:
    described: dict[str, Any] = {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name.rpartition("/")[2],
        "contentUrl": name,
        "encodingFormat": _ARROW,
        "sha256": digest,
    }
    return described if size is None else {**described, "contentSize": f"{size} B"}


def _splits(facts: ArtifactFacts) -> dict[str, Any]:
    kinds = {"train": "cr:TrainingSplit", "validation": "cr:ValidationSplit", "test": "cr:TestSplit"}
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "description": "The splits that the records are cut into.",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": "sc:URL"},
        ],
        "data": [
            {"splits/name": split, "splits/url": kinds.get(split, "cr:Split")} for split in facts.splits
        ],
    }


def _records(facts: ArtifactFacts, split: str, source: str) -> dict[str, Any]:
    name = _name(split)
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"The {facts.splits[split].records} records of the split {split}.",
        "field": [_field(column, name, source) for column in facts.columns],
    }


def _field(column: ColumnFacts, records: str, source: str) -> dict[str, Any]:
    kind = next((found for pattern, found in _TYPES if pattern.fullmatch(column.dtype)), "sc:Text")
    described: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{records}/{column.name}",
        "name": column.name,
        "description": f"{column.dtype}{list(column.shape) if column.shape else ''}",
        "dataType": kind,
        "source": {"fileSet": {"@id": source}, "extract": {"column": column.name}},
    }
    return {**described, "repeated": True} if column.shape or column.dtype.startswith("list") else described
