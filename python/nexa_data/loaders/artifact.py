"""Which artifact a config's loaders read, and making it where that is allowed."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from nexa_data.artifacts import is_complete, read_meta
from nexa_data.errors import ArtifactError, NexaError, ShardNotFoundError
from nexa_data.holds import hold_artifact
from nexa_data.publishing import DATASET_KIND, find_dataset, publish_dataset
from nexa_data.staging import stage_catalog, staged_folder

if TYPE_CHECKING:
    from pathlib import Path

    from nexa_data.artifacts import ArtifactMeta
    from nexa_data.config import Config
    from nexa_data.holds import Hold
    from nexa_data.pipeline import DataPipeline

__all__ = ["dataset_folder"]

_log = logging.getLogger(__name__)


def dataset_folder(pipeline: DataPipeline, *, distributed: bool) -> tuple[Path, Hold | None]:
    """Return the folder that loaders read: the staged copy in `data.cache_dir`, else the prepared artifact.

    A staged copy is held: as long as the loader keeps what is returned beside the folder, nobody evicts it.

    One process alone prepares and stages what is missing; one of several never does, since they would all start at
    once.

    Raises:
        ArtifactError: The dataset isn't prepared and this process is one of several; the message has the command.
    """
    config = pipeline.config
    prepared = _prepared(pipeline)
    if prepared is None:
        if distributed:
            raise ArtifactError(
                f"the dataset of {config.origin} is not prepared, and this process is one of several",
                remedy=f"{_command(config)} once before the job starts",
            )
        prepared = publish_dataset(pipeline)
    if config.data.cache_dir is None:
        return prepared.path, None
    return _staged(config, prepared, distributed=distributed)


def _command(config: Config) -> str:
    """Return what a person does to prepare and stage: a command for a file, a call for a config in memory."""
    if config.origin.startswith("<"):
        return "call build_loader in a process of its own"
    return f"run `nexa-data run {config.origin}`"


def _prepared(pipeline: DataPipeline) -> ArtifactMeta | None:
    try:
        return find_dataset(pipeline)
    except ShardNotFoundError:
        # The source is gone, but what was made of it may stand: `latest`, if it was made by this very config.
        latest = pipeline.config.store / "latest"
        meta = read_meta(latest) if is_complete(latest) else None
        if meta is None or meta.kind != DATASET_KIND or not _same_config(meta, pipeline.config):
            raise
        _log.warning(
            "the source of %s is not there; using %s, made from it before", pipeline.config.origin, meta.uri
        )
        return meta


def _same_config(meta: ArtifactMeta, config: Config) -> bool:
    there, here = meta.inputs.get("config"), config.data.content()
    return json.dumps(there, sort_keys=True) == json.dumps(here, sort_keys=True)


def _staged(config: Config, prepared: ArtifactMeta, *, distributed: bool) -> tuple[Path, Hold | None]:
    folder = staged_folder(config, prepared)
    hold = _held(folder, prepared)
    if hold is not None:
        return folder, hold
    if distributed:
        _log.warning(
            "%s is not staged to %s; reading it where it is (%s on each node, and it is staged)",
            prepared.uri,
            folder,
            _command(config),
        )
        return prepared.path, None
    try:
        stage_catalog(prepared.path, folder)
    except NexaError as error:
        _log.warning("%s could not be staged, reading it where it is: %s", prepared.uri, error)
        return prepared.path, None
    hold = _held(folder, prepared)
    return (folder, hold) if hold is not None else (prepared.path, None)


def _held(folder: Path, prepared: ArtifactMeta) -> Hold | None:
    """Return a hold on the staged copy if it is one of exactly what was prepared."""
    hold = hold_artifact(folder)
    # Asked once it is held: before, it could have been removed between the question and the use.
    if hold is not None and read_meta(folder).labels.get("source_hash") == prepared.hash:
        return hold
    return None
