"""Dataset name → builder: where a config's `dataset_name` finds the code that makes the rows."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nexa_data.config_source import nearest
from nexa_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nexa_data.config import DataConfig

__all__ = ["Builder", "DatasetRegistry", "default_registry", "register"]

Builder = Callable[["DataConfig"], Any]
"""Takes the section `data:` and returns rows: `(features, labels)`, a mapping of columns, an Arrow table, record
batches or anything with an Arrow C stream."""


@dataclass(frozen=True, slots=True)
class _Entry:
    target: Builder | str
    version: str

    def load(self) -> Builder:
        if not isinstance(self.target, str):
            return self.target
        module, _, name = self.target.partition(":")
        loaded: Builder = getattr(importlib.import_module(module), name)
        return loaded


class DatasetRegistry:
    """Names of datasets and the functions that build them.

    Example:
        >>> registry = DatasetRegistry()
        >>> @registry.register("tiny")
        ... def build(data):
        ...     return [[0.0], [1.0]], [0, 1]
        >>> "tiny" in registry
        True
    """

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def register(
        self, name: str, builder: Builder | str | None = None, *, version: str = "1", replace: bool = False
    ) -> Callable[[Builder], Builder]:
        """Register a builder, directly or as a decorator.

        Args:
            name: The `dataset_name` that will find it.
            builder: The function, or `"module:function"`, imported when first used.
            version: Part of the artifact's key; raise it when the builder's output changes in a way that its own
                source doesn't show (a function that it calls, a file that it reads).
            replace: Take the place of a builder of that name.

        Raises:
            ConfigError: The name is taken.
        """
        if name in self._entries and not replace:
            raise ConfigError(
                f"dataset {name!r} is registered already", remedy="pass replace=True or another name"
            )

        def add(target: Builder | str) -> None:
            self._entries[name] = _Entry(target, version)

        def decorate(function: Builder) -> Builder:
            add(function)
            return function

        if builder is not None:
            add(builder)
        return decorate

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def builder(self, name: str) -> Builder:
        """Return the builder of `name`.

        Raises:
            ConfigError: Nobody registered it; the message lists the known ones.
        """
        return self._entry(name).load()

    def fingerprint(self, name: str) -> str:
        """Return what identifies the builder's code: its name, version, and the text of a user's own function."""
        entry = self._entry(name)
        if isinstance(entry.target, str):
            return f"{entry.target}@{entry.version}"
        try:
            text = inspect.getsource(entry.target)
        except (OSError, TypeError):  # typed in at a prompt, or an object with `__call__`
            text = f"{getattr(entry.target, '__module__', '')}.{getattr(entry.target, '__qualname__', '')}"
        return f"{hashlib.sha256(text.encode()).hexdigest()}@{entry.version}"

    def _entry(self, name: str) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            near = nearest(name, list(self))
            hint = f"did you mean {near!r}? " if near else ""
            raise ConfigError(
                f"unknown dataset {name!r}",
                remedy=f"{hint}known: {', '.join(self)}; or name files by `source_uri`, or register a builder",
            )
        return entry


default_registry = DatasetRegistry()
"""The registry that configs are looked up in."""
default_registry.register("synthetic", "nexa_data.datasets.synthetic:build", version="2")
default_registry.register("synthetic_tokens", "nexa_data.datasets.synthetic_sequences:build_tokens")
default_registry.register("synthetic_text", "nexa_data.datasets.synthetic_sequences:build_text")
default_registry.register("digits", "nexa_data.datasets.digits:build")

register = default_registry.register
