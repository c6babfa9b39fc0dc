"""What a command or function that has no config is told of reading: the keys of `data.read`, and their faults, as there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nexa_data.config import load_config
from nexa_data.config_reading import ReadConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["read_options"]


def read_options(given: ReadConfig | Mapping[str, Any] | Sequence[str] | None) -> ReadConfig:
    """Return how source files are read, all defaults filled in.

    Args:
        given: The section `data.read`, as a mapping too, or changes to its defaults as `["delimiter=;"]`.

    Raises:
        ConfigError: A key is unknown, or a value impossible; the message names the nearest known key.

    Example:
        >>> read_options(["types.id=int64", "header=false"]).types
        {'id': 'int64'}
    """
    if isinstance(given, ReadConfig):
        return given
    section, pairs = (given, []) if isinstance(given, Mapping) else ({}, list(given or ()))
    data = {"dataset_name": "source", "read": dict(section)}
    return load_config({"data": data}, overrides=[f"data.read.{pair}" for pair in pairs]).data.read
