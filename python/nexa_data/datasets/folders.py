"""Folders that say themselves which files they consist of: what Hugging Face `datasets` and MosaicML Streaming write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nexa_data.datasets.promised import check_size
from nexa_data.datasets.source_file import SourceFile
from nexa_data.errors import RecordError, ShardNotFoundError

__all__ = ["SPLIT_NAMES", "listed_files", "split_name"]

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


def split_name(name: str, where: object, remedy: str) -> str:
    """Return our name of a split that others call `name`.

    Raises:
        RecordError: We have none.
    """
    split = SPLIT_NAMES.get(name.lower())
    if split is None:
        raise RecordError(
            f"{where}: there is no place for the split {name!r}",
            remedy=f"known: {', '.join(SPLIT_NAMES)}; or {remedy}",
        )
    return split


def listed_files(folder: Path) -> list[SourceFile] | None:
    """Return the files of a folder, in their order, each with its split; None if the folder doesn't list them.

    Raises:
        RecordError: The list is damaged, asks for what isn't served, or says another size of a file.
        ShardNotFoundError: A listed file is missing.
    """
    if (folder / "dataset_dict.json").is_file():
        return _of_dataset_dict(folder)
    if (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file():
        return [_file(folder, path) for path in _of_dataset(folder)]
    if (folder / "index.json").is_file():
        return _of_streaming(folder)
    return None


def _file(folder: Path, path: Path, **known: Any) -> SourceFile:
    return SourceFile(path, path.relative_to(folder).as_posix(), **known)


def _of_dataset_dict(folder: Path) -> list[SourceFile]:
    listed = _load(folder / "dataset_dict.json").get("splits")
    if not isinstance(listed, list) or not listed:
        raise RecordError(
            f"{folder / 'dataset_dict.json'}: it lists no splits", remedy="save the dataset anew"
        )
    files: list[SourceFile] = []
    for name in map(str, listed):
        split = split_name(name, folder, f"name {folder / name} in source_uri")
        files += [_file(folder, path, split=split) for path in _of_dataset(_inside(folder, name))]
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


def _of_streaming(folder: Path) -> list[SourceFile] | None:
    index = folder / "index.json"
    shards = _load(index).get("shards")
    if not isinstance(shards, list):
        return None
    files: list[SourceFile] = []
    for shard in shards:
        form = shard.get("format") if isinstance(shard, dict) else None
        if form not in {"mds", "jsonl", "json", "csv", "tsv", "xsv"}:
            raise RecordError(
                f"{index}: a shard of the format {form!r}",
                remedy="known: mds, jsonl, csv, tsv",
            )
        listed = [each for each in (shard.get("raw_data"), shard.get("zip_data")) if each]
        paths = {_inside(folder, str(each["basename"])): each for each in listed if each.get("basename")}
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            named = " and ".join(path.name for path in paths)
            raise ShardNotFoundError(
                f"{index} names {named or 'no file'}, which isn't there",
                remedy="download the dataset's folder whole",
            )
        check_size(path, index, paths[path].get("bytes"))
        digests = paths[path].get("hashes") or {}
        files.append(_file(folder, path, digests={name: str(digest) for name, digest in digests.items()}))
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
