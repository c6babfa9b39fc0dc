"""A config whose source is a dataset that is made already: its catalog is opened as it lies, and nothing is prepared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nexa_data.artifacts import is_complete, read_meta
from nexa_data.catalog import CATALOG_NAME
from nexa_data.errors import ConfigError, ShardNotFoundError

if TYPE_CHECKING:
    from nexa_data.artifacts import ArtifactMeta
    from nexa_data.config import Config

__all__ = ["opened_dataset"]

_PREPARING = ("split", "filters", "checks", "shards", "on_error", "format", "read")
_OF_ORDER = {"seed", "label"}


def opened_dataset(config: Config) -> ArtifactMeta | None:
    """Return the artifact whose `catalog.jsonl` is the config's `source_uri`; None if that names data.

    Raises:
        ShardNotFoundError: There is no such file.
        ConfigError: The catalog is of no artifact; or the config wants records changed, which are loaded as they lie.
    """
    uri = config.data.source_uri
    if not isinstance(uri, str) or Path(uri).name != CATALOG_NAME:
        return None
    catalog = Path(uri.removeprefix("file://")).expanduser()
    if not catalog.is_file():
        raise ShardNotFoundError(
            f"source_uri {uri!r}: there is no such file ({catalog.absolute()})",
            remedy="relative paths start at the working directory",
        )
    if not is_complete(catalog.parent):
        raise ConfigError(
            f"source_uri: {catalog} is no artifact's catalog",
            remedy=f"make one of it with `nexa-data stage {catalog} FOLDER`, or name its shards as the source",
        )
    wanted = [name for name in _PREPARING if name in config.data.model_fields_set]
    wanted += [
        f"preprocessing.{name}" for name in sorted(config.data.preprocessing.model_fields_set - _OF_ORDER)
    ]
    if wanted:
        raise ConfigError(
            f"{config.origin}: {', '.join(wanted)}: the records of {catalog} are loaded as they lie",
            remedy=f"leave it out, or prepare them anew from {catalog.parent}/shards/*.arrow",
        )
    return read_meta(catalog.parent)
