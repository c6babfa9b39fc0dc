"""Types of columns as a config names them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nexa_data.config_source import nearest
from nexa_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

__all__ = ["parse_type", "with_types"]

_SCALARS = (
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float16",
    "float32",
    "float64",
    "string",
    "binary",
)
_FIXED = re.compile(r"^(?P<item>.+)\[(?P<length>\d+)\]$")
_LIST = re.compile(r"^list<(?P<item>.+)>$")


def parse_type(text: str, where: str) -> pa.DataType:
    """Return the type that `text` names: a scalar (`float32`), `list<T>`, or `T[n]` for n of them.

    Raises:
        ConfigError: There is no such type.
    """
    import pyarrow as pa

    name = text.strip()
    if name in _SCALARS:
        return getattr(pa, {"bool": "bool_"}.get(name, name))()
    if found := _FIXED.match(name):
        return pa.list_(parse_type(found["item"], where), int(found["length"]))
    if found := _LIST.match(name):
        return pa.list_(parse_type(found["item"], where))
    near = nearest(name, list(_SCALARS))
    hint = f"did you mean {near!r}? " if near else ""
    raise ConfigError(
        f"{where}: there is no type {text!r}",
        remedy=f"{hint}known: {', '.join(_SCALARS)}, list<T>, and T[n] for n of them",
    )


def with_types(schema: pa.Schema, types: Mapping[str, str], *, more: bool = False) -> pa.Schema:
    """Return the schema with the types that a config gives.

    Args:
        schema: Columns as they were found.
        types: Types by column.
        more: Whether a column that wasn't found may be there all the same, in records that weren't looked at.

    Raises:
        ConfigError: A type is unknown, or there is no such column.
    """
    import pyarrow as pa

    fields: dict[str, Any] = {field.name: field for field in schema}
    for name, text in types.items():
        if name not in fields and not more:
            near = nearest(name, list(fields))
            hint = f"did you mean {near!r}? " if near else ""
            raise ConfigError(
                f"data.read.types: there is no column {name!r}", remedy=f"{hint}known: {', '.join(fields)}"
            )
        fields[name] = pa.field(name, parse_type(text, f"data.read.types.{name}"))
    return pa.schema(list(fields.values()))
