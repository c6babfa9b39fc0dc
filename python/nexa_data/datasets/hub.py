"""Datasets of the Hugging Face hub by their names, as the Arrow files that the library `datasets` keeps of them."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from nexa_data.config_source import nearest
from nexa_data.datasets.folders import split_name
from nexa_data.datasets.source_file import SourceFile
from nexa_data.errors import ConfigError, RecordError, ShardNotFoundError
from nexa_data.optional import needed

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HubName", "hub_files", "parse_hub_uri"]

_log = logging.getLogger(__name__)

_URI = re.compile(
    r"hf://(?:datasets/)?(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^?#]+))?(?:\?(?P<query>[^#]*))?",
    re.IGNORECASE | re.ASCII,
)
_FORM = "hf://OWNER/NAME, hf://OWNER/NAME@REVISION, and behind either ?config=…&split=…"
_OPTIONS = ("config", "split")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubName:
    """What a hub's dataset is called.

    Args:
        repo: `OWNER/NAME`.
        revision: Branch, tag or commit; default: the newest.
        config: Configuration (subset); default: the dataset's own default.
        split: The one split that is read, by the hub's name of it; default: all.
    """

    repo: str
    revision: str | None = None
    config: str | None = None
    split: str | None = None


def parse_hub_uri(uri: str) -> HubName:
    """Return what `hf://OWNER/NAME@REVISION?config=…&split=…` names.

    Raises:
        ConfigError: It is of another form.

    Example:
        >>> parse_hub_uri("hf://stanfordnlp/imdb@main?split=train").split
        'train'
    """
    found = _URI.fullmatch(uri)
    if found is None:
        raise ConfigError(f"source_uri {uri!r}: it names no dataset of the hub", remedy=f"write {_FORM}")
    options: dict[str, str] = {}
    for key, value in parse_qsl(found["query"] or "", keep_blank_values=True):
        if key not in _OPTIONS or key in options or not value:
            near = nearest(key, _OPTIONS)
            hint = f"did you mean {near!r}? " if near and near != key else ""
            raise ConfigError(
                f"source_uri {uri!r}: {key}={value} is not taken",
                remedy=f"{hint}write {_FORM}, each option once",
            )
        options[key] = value
    revision = unquote(found["revision"]) if found["revision"] else None
    return HubName(found["repo"], revision, **options)


def hub_files(uri: str) -> list[SourceFile]:
    """Return the files of a hub's dataset, in their order; what isn't in the local cache is downloaded.

    All splits come as what they are; one that is named by `?split=` belongs to none and is cut as the config says.

    Raises:
        MissingDependencyError: The package `datasets` isn't installed.
        ConfigError: The name is malformed, or names a configuration or split that there isn't.
        ShardNotFoundError: The hub has no such dataset, or can't be reached.
        RecordError: The dataset can't be made files of, or isn't of the revision.
    """
    name = parse_hub_uri(uri)
    loaded = _load(uri, name)
    if name.split is not None and name.split not in loaded:
        raise ConfigError(
            f"source_uri {uri!r}: there is no split {name.split!r}", remedy=f"known: {', '.join(loaded)}"
        )
    files: list[SourceFile] = []
    for split, dataset in loaded.items():
        if name.split not in {None, split}:
            continue
        own = None if name.split else split_name(split, uri, f"name one alone: ?split={split}")
        for number, path in enumerate(_cached(uri, dataset)):
            # The revision is not in it: records that stay stay in their split.
            origin = f"{name.repo}/{dataset.config_name}/{split}/{number:05d}.arrow"
            files.append(SourceFile(path, origin, own))
    return files


def _load(uri: str, name: HubName) -> Mapping[str, Any]:
    """Return the dataset's splits as `datasets` has them, prepared in its cache. Code of the dataset is never run."""
    with needed("datasets", f"source_uri {uri!r}", install="nexa-data[hf]"):
        import datasets
    if Path(name.repo).exists():
        raise ConfigError(
            f"source_uri {uri!r}: the working directory has a {name.repo!r} too, which `datasets` would take instead",
            remedy="start elsewhere, or name the folder's path without hf://",
        )
    commit = _commit(uri, name)
    try:
        loaded: Mapping[str, Any] = datasets.load_dataset(
            name.repo, name=name.config, revision=commit, keep_in_memory=False, trust_remote_code=False
        )
    except (FileNotFoundError, ConnectionError) as error:
        raise _not_found(uri, error) from error
    except ValueError as error:
        raise ConfigError(f"source_uri {uri!r}: {error}") from error
    except Exception as error:
        raise RecordError(
            f"source_uri {uri!r}: {type(error).__name__}: {error}",
            remedy="`datasets.load_dataset` fails likewise; download the files and name their path",
        ) from error
    _check_commit(uri, commit, loaded)
    return loaded


def _commit(uri: str, name: HubName) -> str | None:
    """Return the commit that the name's revision is now, None where it names none."""
    if name.revision is None or _COMMIT.fullmatch(name.revision):
        return name.revision
    with needed("huggingface_hub", f"source_uri {uri!r}", install="nexa-data[hf]"):
        from huggingface_hub import HfApi

    try:
        return HfApi().dataset_info(name.repo, revision=name.revision).sha
    except Exception as error:
        raise _not_found(uri, error, f"the hub names no commit of {name.revision!r}: ") from error


def _not_found(uri: str, error: Exception, what: str = "") -> ShardNotFoundError:
    said = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    return ShardNotFoundError(
        f"source_uri {uri!r}: {what}{type(error).__name__}: {said}",
        remedy="check name, revision and network; a private dataset wants HF_TOKEN",
    )


def _check_commit(uri: str, commit: str | None, loaded: Mapping[str, Any]) -> None:
    """Refuse another commit than was asked for: without the hub `datasets` takes the newest that its cache has."""
    paths = [Path(entry["filename"]) for dataset in loaded.values() for entry in dataset.cache_files]
    commits = sorted({part for path in paths for part in path.parts if _COMMIT.fullmatch(part)})
    _log.info("%s: commit %s", uri, ", ".join(commits) or "unknown")
    if commit is not None and set(commits) - {commit}:
        raise RecordError(
            f"source_uri {uri!r}: the hub wasn't reached, and the newest in the cache is commit {', '.join(commits)}",
            remedy="connect, so that the revision that is named can be had",
        )


def _cached(uri: str, dataset: Any) -> list[Path]:
    """Return the Arrow files of one split."""
    paths = [Path(entry["filename"]) for entry in dataset.cache_files]
    if not paths and dataset.num_rows:
        raise RecordError(
            f"source_uri {uri!r}: `datasets` keeps it in memory alone",
            remedy="unset HF_DATASETS_IN_MEMORY_MAX_SIZE",
        )
    return paths
