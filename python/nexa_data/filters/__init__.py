"""Which records are kept."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexa_data.filters.basic import filter_by_label
    from nexa_data.filters.tables import filter_table_by_label

__all__ = ["filter_by_label", "filter_table_by_label"]

_HOMES = {"filter_by_label": "basic", "filter_table_by_label": "tables"}


def __getattr__(name: str) -> Any:
    """Import a public name from its module (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
