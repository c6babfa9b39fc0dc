"""Folders that say themselves which files they consist of: what Hugging Face `datasets` and MosaicML Streaming write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nexa_data.errors import RecordError, ShardNotFoundError

__all__ = ["SPLIT_NAMES", "listed_files"]

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
"""What splits are called elsewhere."""


def listed_files(folder: Path) -> list[tuple[Path, str | None]] | None:
    """Return the files of a folder, in their order, each with its split; None if the folder doesn't list them.

    Raises:
        RecordError: The list is damaged, or asks for what isn't served.
        ShardNotFoundError: A listed file is missing.
    """
    if (folder / "dataset_dict.json").is_file():
        return _of_dataset_dict(folder)
    if (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file():
        return [(file, None) for file in _of_dataset(folder)]
    if (folder / "index.json").is_file():
        return _of_streaming(folder)
    return None


def _of_dataset_dict(folder: Path) -> list[tuple[Path, str | None]]:
    listed = _load(folder / "dataset_dict.json").get("splits")
    if not isinstance(listed, list) or not listed:
        raise RecordError(
            f"{folder / 'dataset_dict.json'}: it lists no splits", remedy="save the dataset anew"
        )
    files: list[tuple[Path, str | None]] = []
    for name in listed:
        split = SPLIT_NAMES.get(str(name).lower())
        if split is None:
            raise RecordError(
                f"{folder}: there is no place for the split {name!r}",
                remedy=f"known: {', '.join(SPLIT_NAMES)}; or name {folder / str(name)} in source_uri",
            )
        files += [(file, split) for file in _of_dataset(_inside(folder, str(name)))]
    return files


def _of_dataset(folder: Path) -> list[Path]:
    state = _load(folder / "state.json")
    if state.get("_indices_files") or state.get("_indices_data_files"):
        raise RecordError(
            f"{folder}: it keeps its rows' order in a file of its own",
            remedy="save it with dataset.flatten_indices().save_to_disk(…)",
        )
    names = [entry.get("filename") for entry in state.get("_data_files") or [] if isinstance(entry, dict)]
    if not names:
        raise RecordError(f"{folder / 'state.json'}: it lists no files", remedy="save the dataset anew")
    return [_existing(_inside(folder, str(name))) for name in names]


def _of_streaming(folder: Path) -> list[tuple[Path, str | None]] | None:
    index = _load(folder / "index.json")
    shards = index.get("shards")
    if not isinstance(shards, list):
        return None
    files: list[tuple[Path, str | None]] = []
    for shard in shards:
        form = shard.get("format") if isinstance(shard, dict) else None
        if form not in {"mds", "jsonl", "json", "csv", "tsv", "xsv"}:
            raise RecordError(
                f"{folder / 'index.json'}: a shard of the format {form!r}",
                remedy="known: mds, jsonl, csv, tsv",
            )
        raw, packed = shard.get("raw_data") or {}, shard.get("zip_data") or {}
        names = [str(each["basename"]) for each in (raw, packed) if each.get("basename")]
        there = [path for path in (_inside(folder, name) for name in names) if path.is_file()]
        if not there:
            raise ShardNotFoundError(
                f"{folder / 'index.json'} names {' and '.join(names) or 'no file'}, which isn't there",
                remedy="download the dataset's folder whole",
            )
        files.append((there[0], None))
    return files


def _inside(folder: Path, name: str) -> Path:
    """Return a listed file's path; a list may not lead out of its folder."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise RecordError(
            f"{folder}: it lists {name!r}, which lies outside of it", remedy="save the dataset anew"
        )
    return folder / path


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ShardNotFoundError(
            f"{path} is listed, and isn't there", remedy="copy the dataset's folder whole"
        )
    return path


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{path}: can't be read: {error}", remedy="copy the dataset's folder again"
        ) from error
    if not isinstance(loaded, dict):
        raise RecordError(f"{path}: it is no JSON object", remedy="copy the dataset's folder again")
    return loaded
