"""Every exception that the library raises on purpose: what went wrong, where, and the remedy."""

from __future__ import annotations

__all__ = [
    "ArtifactError",
    "CatalogError",
    "ConfigError",
    "ContentMismatchError",
    "MissingDependencyError",
    "NexaError",
    "RecordError",
    "ShardNotFoundError",
    "StagingError",
    "TeacherError",
    "ValidationRefusedError",
]


class NexaError(Exception):
    """Base of every error of nexa-data; `except NexaError` catches all of them and nothing else.

    Args:
        message: What went wrong and where, in one line.
        remedy: What the user can do about it; appended to the message.

    Example:
        >>> str(ConfigError("data.split sums to 0.9", remedy="make the shares sum to 1"))
        'data.split sums to 0.9; make the shares sum to 1'
    """

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        """Join message and remedy into the one line that is shown."""
        super().__init__(message if remedy is None else f"{message}; {remedy}")
        self.message = message
        self.remedy = remedy


class ConfigError(NexaError, ValueError):
    """A config that can't be read, or that says something impossible."""


class CatalogError(NexaError, ValueError):
    """A catalog that is malformed or doesn't tell the truth about its shards."""


class RecordError(NexaError, ValueError):
    """A shard or source file whose bytes aren't what its format, schema or label range promises."""


class ArtifactError(NexaError, ValueError):
    """An artifact that is incomplete, foreign, of another kind, or not where it should be."""


class ValidationRefusedError(ArtifactError):
    """Our checks refused the data: nothing was published."""


class ShardNotFoundError(NexaError, FileNotFoundError):
    """A catalog, shard or source file that isn't there."""


class StagingError(NexaError, OSError):
    """A copy that could not be made or proven: space, permissions, device, a digest that differs."""


class ContentMismatchError(StagingError):
    """A file whose size or digest is not what its catalog says; the bad copy was removed."""


class TeacherError(NexaError):
    """A teacher that can't be asked (key refused, quota used up), or whose answers nothing can be made of."""


class MissingDependencyError(NexaError, ImportError):
    """A package that only this function needs isn't installed; the message names it and the command."""
