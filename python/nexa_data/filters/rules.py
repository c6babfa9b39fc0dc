"""Rules over columns of the source: which rows of a record batch pass, before anything is made of them."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nexa_data.config_source import nearest
from nexa_data.errors import ConfigError
from nexa_data.filters.comparisons import OPS, compare

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["ColumnRule", "LengthRule", "WhereRule", "parse_length", "parse_where"]

_LENGTH_HINT = "for example `length: {column: text, min: 1, max: 512}`"
_WHERE_HINT = 'for example `where: {column: score, op: ">=", value: 0.5}`'
_SCALARS = (bool, int, float, str, dt.date, dt.time)


class ColumnRule(Protocol):
    """A rule that needs only columns of the source."""

    def columns(self) -> set[str]:
        """Return the columns that it reads."""

    def rows(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Return for each row whether it passes; a row whose value is null passes only where nulls are asked for.

        Raises:
            ConfigError: A column isn't there, or can't be asked that.
        """


@dataclass(frozen=True, slots=True)
class LengthRule:
    """Keep the rows whose text has so many characters, binary so many bytes, or list so many items.

    Args:
        place: Where the config says it.
        column: Name of the column.
        least: Smallest length that passes.
        most: Largest length that passes; None for any.
    """

    place: str
    column: str
    least: int = 0
    most: int | None = None

    def columns(self) -> set[str]:
        """Return the column that it reads."""
        return {self.column}

    def rows(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Return for each row whether its length is within the bounds."""
        lengths = _lengths(_column(batch, self.column, self.place), self.place)
        found = lengths >= self.least
        return found if self.most is None else found & (lengths <= self.most)


@dataclass(frozen=True, slots=True)
class WhereRule:
    """Keep the rows whose value compares so.

    Args:
        place: Where the config says it.
        column: Name of the column.
        op: `==`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `not_in`, `is_null` or `not_null`. Null compares with nothing, as in SQL.
        value: What it is compared with: a list for `in` and `not_in`, nothing for nulls.
    """

    place: str
    column: str
    op: str
    value: Any = None

    def columns(self) -> set[str]:
        """Return the column that it reads."""
        return {self.column}

    def rows(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Return for each row whether its value compares so."""
        column = _column(batch, self.column, self.place)
        return _flags(compare(column, self.op, self.value, f"{self.place}: column {self.column!r}"))


def parse_length(wanted: object, place: str) -> LengthRule:
    """Return the rule that the config's `length:` says.

    Raises:
        ConfigError: It is malformed; the message names the place.
    """
    found = _keys(wanted, ("column", "min", "max"), place, _LENGTH_HINT)
    column = _name(found, place, _LENGTH_HINT)
    for key in ("min", "max"):
        bound = found.get(key, 0)
        if not isinstance(bound, int) or isinstance(bound, bool) or bound < 0:
            raise ConfigError(f"{place}.{key} is {bound!r}, not a whole number ≥ 0", remedy=_LENGTH_HINT)
    if not {"min", "max"} & set(found):
        raise ConfigError(f"{place} says neither min nor max", remedy=_LENGTH_HINT)
    least, most = found.get("min", 0), found.get("max")
    if most is not None and most < least:
        raise ConfigError(f"{place}: max {most} is below min {least}", remedy="no row could pass")
    return LengthRule(place, column, least, most)


def parse_where(wanted: object, place: str) -> WhereRule:
    """Return the rule that the config's `where:` says.

    Raises:
        ConfigError: It is malformed; the message names the place.
    """
    found = _keys(wanted, ("column", "op", "value"), place, _WHERE_HINT)
    column = _name(found, place, _WHERE_HINT)
    op, value = found.get("op"), found.get("value")
    if not isinstance(op, str) or op not in OPS:
        raise ConfigError(f"{place}.op is {op!r}", remedy=f"known: {', '.join(OPS)}; {_WHERE_HINT}")
    if op in {"is_null", "not_null"}:
        if "value" in found:
            raise ConfigError(f"{place}.value: {op} compares with nothing", remedy="leave out value")
    elif op in {"in", "not_in"}:
        if not isinstance(value, list) or not all(map(_is_plain, value)):
            raise ConfigError(
                f"{place}.value is {value!r}; {op} wants a list of values",
                remedy=f"for example `where: {{column: {column}, op: {op}, value: [1, 2]}}`",
            )
    elif not _is_plain(value):
        raise ConfigError(
            f"{place}.value is {value!r}; {op} wants one number, text or date",
            remedy=f"for nulls there are the ops is_null and not_null; {_WHERE_HINT}",
        )
    return WhereRule(place, column, op, value)


def _is_plain(value: object) -> bool:
    """Say whether a value can be compared with: NaN equals nothing, and is none."""
    return isinstance(value, _SCALARS) and not (isinstance(value, float) and math.isnan(value))


def _keys(wanted: object, known: Sequence[str], place: str, hint: str) -> dict[str, Any]:
    if not isinstance(wanted, dict):
        raise ConfigError(f"{place} wants {', '.join(known)}", remedy=hint)
    for key in wanted:
        if key not in known:
            near = nearest(str(key), known)
            meant = f"did you mean {near!r}? " if near else f"known: {', '.join(known)}; "
            raise ConfigError(f"{place}: unknown key {key!r}", remedy=f"{meant}{hint}")
    return wanted


def _name(found: dict[str, Any], place: str, hint: str) -> str:
    name = found.get("column")
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{place}.column is {name!r}, not the name of a column", remedy=hint)
    return name


def _column(batch: pa.RecordBatch, name: str, place: str) -> pa.Array:
    """Return a column as its values: of a dictionary, what it stands for."""
    import pyarrow as pa

    at = batch.schema.get_field_index(name)
    if at < 0:
        near = nearest(name, batch.schema.names)
        raise ConfigError(
            f"{place}: there is no column {name!r}",
            remedy=(f"did you mean {near!r}? " if near else "") + f"columns: {', '.join(batch.schema.names)}",
        )
    column = batch.column(at)
    column = column.storage if isinstance(column, pa.ExtensionArray) else column
    return column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column


def _lengths(column: pa.Array, place: str) -> npt.NDArray[np.int64]:
    """Return the length of each value, and -1 of a null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string_view(column.type) or pa.types.is_binary_view(column.type):
        column = column.cast(pa.large_string() if pa.types.is_string_view(column.type) else pa.large_binary())
    measures = (pc.utf8_length, pc.binary_length, pc.list_value_length)
    for measure in measures:
        try:
            lengths = measure(column)
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
            continue
        found: npt.NDArray[np.int64] = lengths.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
        return found
    raise ConfigError(
        f"{place}: a {column.type} has no length", remedy="name a column of text, bytes or lists"
    )


def _flags(found: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(found.fill_null(False).to_numpy(zero_copy_only=False), np.bool_)
