"""The classes' names that Hugging Face `datasets` writes beside a column of ids, in the schema's metadata."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

__all__ = ["class_names"]

_KEY = b"huggingface"


def class_names(schemas: Iterable[pa.Schema]) -> dict[str, list[tuple[str, ...]]]:
    """Return for each column of ids what its classes are called: each list of names that one of the schemas has.

    Ids count from 0 in the names' order. Metadata of another form is nobody's promise and is passed over.
    """
    found: dict[str, list[tuple[str, ...]]] = {}
    for schema in schemas:
        for column, feature in _features(schema).items():
            names = feature.get("names") if isinstance(feature, dict) else None
            if isinstance(names, list) and names and feature.get("_type") == "ClassLabel":
                known = found.setdefault(column, [])
                named = tuple(map(str, names))
                if named not in known:
                    known.append(named)
    return found


def _features(schema: pa.Schema) -> dict[str, Any]:
    try:
        features = json.loads((schema.metadata or {}).get(_KEY, b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}
