"""Filters over columns, as a config names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.config_source import nearest
from nexa_data.errors import ConfigError
from nexa_data.filters.rules import ColumnRule, parse_length, parse_where

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["LabelRule", "Rule", "parse_filters", "parse_label_filters", "select_rows"]

_HINT = "for example `filters: [{label: {allow: [0, 1]}}]`"
_KNOWN = ("label", "length", "where")


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Keep the records with these labels, or with `deny` those without them."""

    labels: tuple[int | str, ...]
    deny: bool = False

    def columns(self) -> set[str]:
        """Return the columns of the source that it reads: none but the label, which is class ids when it is asked."""
        return set()

    def ids(self, classes: Sequence[str] | None) -> list[int]:
        """Return the labels as class ids; names are looked up in `classes`."""
        return [label if isinstance(label, int) else _class_id(label, classes) for label in self.labels]


Rule = LabelRule | ColumnRule


def _class_id(name: str, classes: Sequence[str] | None) -> int:
    if classes is None or name not in classes:
        near = nearest(name, list(classes or ()))
        known = (
            f"did you mean {near!r}?"
            if near
            else f"known: {', '.join((classes or ())[:20]) or 'integers only'}"
        )
        raise ConfigError(f"data.filters: there is no class {name!r}", remedy=known)
    return list(classes).index(name)


def parse_filters(filters: Sequence[dict[str, Any]]) -> list[Rule]:
    """Return the rules that the config's `filters:` names.

    Raises:
        ConfigError: A filter is unknown or malformed.
    """
    return [_parse(f"data.filters[{number}]", item) for number, item in enumerate(filters)]


def parse_label_filters(filters: Sequence[dict[str, Any]]) -> list[LabelRule]:
    """Return the rules for data whose other columns aren't read: of labels alone.

    Raises:
        ConfigError: A filter is unknown, malformed, or of another column.
    """
    found = []
    for number, rule in enumerate(parse_filters(filters)):
        if not isinstance(rule, LabelRule):
            raise ConfigError(
                f"filters[{number}]: prepared data is filtered by label alone",
                remedy="put length and where into the config that prepares it",
            )
        found.append(rule)
    return found


def _parse(place: str, item: dict[str, Any]) -> Rule:
    if not isinstance(item, dict) or len(item) != 1 or not set(item) <= set(_KNOWN):
        raise ConfigError(f"{place}: {_unknown(item)}", remedy=f"known: {', '.join(_KNOWN)}; {_HINT}")
    ((name, wanted),) = item.items()
    place = f"{place}.{name}"
    if name == "length":
        return parse_length(wanted, place)
    return parse_where(wanted, place) if name == "where" else _parse_label(wanted, place)


def _unknown(item: object) -> str:
    if not isinstance(item, dict) or not item:
        return "unknown filter (empty)" if not item else f"{item!r} is no filter"
    foreign = [str(name) for name in item if name not in _KNOWN]
    if not foreign:
        return f"{', '.join(item)} are filters each of its own; give each an item of the list"
    near = nearest(foreign[0], _KNOWN)
    return f"unknown filter {', '.join(foreign)}" + (f"; did you mean {near!r}?" if near else "")


def _parse_label(wanted: object, place: str) -> LabelRule:
    if not isinstance(wanted, dict) or len(wanted) != 1 or not set(wanted) <= {"allow", "deny"}:
        raise ConfigError(f"{place} wants either allow or deny", remedy=_HINT)
    ((mode, labels),) = wanted.items()
    if not isinstance(labels, list) or not all(
        isinstance(label, int | str) and not isinstance(label, bool) for label in labels
    ):
        raise ConfigError(f"{place}.{mode} is not a list of class ids or names", remedy=_HINT)
    return LabelRule(tuple(labels), mode == "deny")


def select_rows(
    batch: pa.RecordBatch,
    labels: npt.NDArray[np.int64],
    rules: Sequence[Rule],
    classes: Sequence[str] | None,
) -> npt.NDArray[np.uint64] | None:
    """Return the rows, ascending, that pass every rule, or None if there is no rule.

    Args:
        batch: Columns of the source, shape (n,).
        labels: Class ids, shape (n,).
        rules: The rules.
        classes: Name of each class id, if the source has names.

    Raises:
        ConfigError: A rule names a column or a class that isn't there, or asks what a column can't be asked.
    """
    from nexa_data._core import select_labels

    rows: npt.NDArray[np.uint64] | None = None
    for rule in rules:
        if isinstance(rule, LabelRule):
            left = np.ascontiguousarray(labels if rows is None else labels[rows])
            kept = np.frombuffer(select_labels(left, rule.ids(classes), invert=rule.deny), np.uint64)
        else:
            passes = rule.rows(batch)
            kept = np.flatnonzero(passes if rows is None else passes[rows]).astype(np.uint64)
        rows = kept if rows is None else rows[kept]
    return rows
