"""Which files a source is: by path, folder or glob."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args
from urllib.parse import unquote, urlsplit

from nexa_data import _core
from nexa_data.config_reading import FormatName
from nexa_data.config_source import nearest
from nexa_data.datasets.folders import listed_files
from nexa_data.datasets.hub import hub_files
from nexa_data.datasets.source_file import SourceFile
from nexa_data.errors import ConfigError, RecordError, ShardNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["find_files", "recognise"]

_ENDINGS = (
    *(".parquet", ".pq", ".arrow", ".arrows", ".feather", ".ipc", ".npy", ".mds", ".tar"),
    *(".csv", ".tsv", ".jsonl", ".ndjson", ".tfrecord", ".tfrecords", ".tfrec"),
)
"""Names of files that a folder is read for; `.json` in a folder mostly describes it."""
_PACKED = (".gz", ".zst", ".zstd")
_TFRECORD_SHARD = re.compile(r"\.tfrecord-\d+-of-\d+$")
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")


def find_files(uris: Sequence[str] | Mapping[str, Sequence[str]]) -> list[SourceFile]:
    """Return the files that `uris` name, sorted within each, none twice.

    Args:
        uris: Files, folders, globs and names of the hub (`hf://OWNER/NAME`); or these for each split.

    Raises:
        ShardNotFoundError: Nothing matches; the message shows the resolved path.
        ConfigError: The scheme isn't served.
    """
    found: dict[Path, SourceFile] = {}
    for split, each in uris.items() if isinstance(uris, Mapping) else ((None, uris),):
        for file in (file for uri in each for file in _find(uri)):
            file.split = split or file.split
            known = found.setdefault(file.path.resolve(), file)
            if known.split != file.split:
                raise ConfigError(
                    f"source_uri: {file.path} is in {known.split} and in {file.split}",
                    remedy="name each file for one split",
                )
    return list(found.values())


def _find(uri: str) -> list[SourceFile]:
    scheme = _SCHEME.match(uri)
    if scheme and scheme[1].lower() == "hf":
        return hub_files(uri)
    if scheme and scheme[1].lower() != "file":
        raise ConfigError(
            f"source_uri {uri!r}: the scheme {scheme[1]}:// is not served yet",
            remedy="copy the files to a local or mounted disk and name their path",
        )
    pattern = unquote(urlsplit(uri).path) if scheme else uri
    path = Path(pattern).expanduser()
    if path.is_file():
        return [SourceFile(path, path.name)]
    if path.is_dir():
        listed = listed_files(path)
        if listed is not None:
            return listed
        files = [file for file in path.rglob("*") if _is_named(file.name) and file.is_file()]
        root = path
    else:
        files = [file for file in map(Path, glob.iglob(str(path), recursive=True)) if file.is_file()]  # noqa: PTH207
        root = _glob_root(path)
    kept = [
        file
        for file in files
        if not any(part.startswith((".", "_")) for part in file.relative_to(root).parts)
    ]
    if not kept:
        what = f"the folder holds none of {', '.join(_ENDINGS)}" if path.is_dir() else "there is no such file"
        raise ShardNotFoundError(
            f"source_uri {uri!r}: {what} ({path.absolute()})",
            remedy="relative paths start at the working directory",
        )
    return sorted(
        (SourceFile(file, file.relative_to(root).as_posix()) for file in kept), key=lambda file: file.origin
    )


def _is_named(name: str) -> bool:
    """Whether a file in a folder is called as one of a format that is read."""
    lower = name.lower()
    for packed in _PACKED:
        lower = lower.removesuffix(packed)
    return lower.endswith(_ENDINGS) or _TFRECORD_SHARD.search(lower) is not None


def _glob_root(pattern: Path) -> Path:
    parts: list[str] = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)


def recognise(path: Path, wanted: str | None = None) -> str:
    """Return the format of a file: as the config says, else by content, else by name.

    Raises:
        RecordError: Neither says.
        ConfigError: There is no format of the wanted name.
    """
    known = get_args(FormatName)
    if wanted in known:
        return str(wanted)
    if wanted:
        near = nearest(wanted, known)
        hint = f"did you mean {near!r}? " if near else ""
        raise ConfigError(f"there is no format {wanted!r}", remedy=f"{hint}known: {', '.join(known)}")
    form, _ = _core.recognise_source(path)
    if form is None:
        with path.open("rb") as file:
            head = file.read(16)
        if head.startswith(_ZIP):
            raise _zip_refused(path)
        what = f"it begins with {head!r}" if head else "it is empty"
        raise RecordError(
            f"{path}: neither content nor name says what it is: {what}",
            remedy=f"set data.format to one of {', '.join(known)}, or convert it",
        )
    return form


def _zip_refused(path: Path) -> RecordError:
    if path.suffix.lower() == ".npz":
        return RecordError(
            f"{path}: an .npz is a zip archive of arrays, which is not read as it is",
            remedy="register a builder that returns dict(numpy.load(path)), each array a column; or save one array by "
            "itself: numpy.save('x.npy', numpy.load(path)['x'])",
        )
    return RecordError(f"{path}: a zip archive is not read as it is", remedy="unpack it, and name its files")
