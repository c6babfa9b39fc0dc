"""Rules of a user's own: functions and pandera schemas under a name that configs may use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nexa_data.errors import ConfigError

__all__ = ["RowRule", "register_check", "registered_checks", "unregister_check"]

RowRule = Callable[[Any], Any]
"""Takes a `pyarrow.RecordBatch` of named columns; returns a boolean mask, shape (n,), of the rows that break the rule."""

_REGISTERED: dict[str, RowRule | Any] = {}


def register_check(name: str, rule: RowRule | Any) -> None:
    """Make a rule usable in `checks:` under `name`; a config names it, and never imports code.

    Args:
        name: The name.
        rule: A function of a `pyarrow.RecordBatch` that returns a boolean mask, shape (n,), True for rows that break
            the rule; None or nothing, if all is well; or text that says what is wrong with the batch as a whole. Or a
            `pandera` schema (of `pandera.polars` or `pandera.pandas`), the failure cases of which are the rows.

    Raises:
        ConfigError: The name is a rule's of ours, or taken.

    Example:
        >>> import pyarrow.compute as pc
        >>> register_check("adults", lambda batch: pc.less(batch["age"], 18))
        >>> unregister_check("adults")
    """
    from nexa_data.quality.checks import RULES

    if name in RULES:
        raise ConfigError(f"{name!r} is a rule of ours", remedy="choose another name")
    if _REGISTERED.get(name, rule) is not rule:
        raise ConfigError(f"rule {name!r} is registered already", remedy="choose another name")
    _REGISTERED[name] = rule


def unregister_check(name: str) -> None:
    """Forget a rule; nothing happens if there is none of that name."""
    _REGISTERED.pop(name, None)


def registered_checks() -> dict[str, RowRule | Any]:
    """Return the rules that were registered, by name."""
    return dict(_REGISTERED)
