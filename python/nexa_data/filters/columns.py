"""Filters over columns, as a config names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.config_source import nearest
from nexa_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

__all__ = ["LabelRule", "parse_filters", "select_rows"]

_HINT = "for example `filters: [{label: {allow: [0, 1]}}]`"


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Keep the records with these labels, or with `deny` those without them."""

    labels: tuple[int | str, ...]
    deny: bool = False

    def ids(self, classes: Sequence[str] | None) -> list[int]:
        """Return the labels as class ids; names are looked up in `classes`."""
        return [label if isinstance(label, int) else _class_id(label, classes) for label in self.labels]


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


def parse_filters(filters: Sequence[dict[str, Any]]) -> list[LabelRule]:
    """Return the rules that the config's `filters:` names.

    Raises:
        ConfigError: A filter is unknown or malformed.
    """
    return [_parse(number, item) for number, item in enumerate(filters)]


def _parse(number: int, item: dict[str, Any]) -> LabelRule:
    place = f"data.filters[{number}]"
    if set(item) != {"label"}:
        raise ConfigError(
            f"{place}: unknown filter {', '.join(map(str, item)) or '(empty)'}",
            remedy=f"known: label; {_HINT}",
        )
    wanted = item["label"]
    if not isinstance(wanted, dict) or len(wanted) != 1 or not set(wanted) <= {"allow", "deny"}:
        raise ConfigError(f"{place}.label wants either allow or deny", remedy=_HINT)
    ((mode, labels),) = wanted.items()
    if not isinstance(labels, list) or not all(
        isinstance(label, int | str) and not isinstance(label, bool) for label in labels
    ):
        raise ConfigError(f"{place}.label.{mode} is not a list of class ids or names", remedy=_HINT)
    return LabelRule(tuple(labels), mode == "deny")


def select_rows(
    labels: npt.NDArray[np.int64], rules: Sequence[LabelRule], classes: Sequence[str] | None
) -> npt.NDArray[np.uint64] | None:
    """Return the rows, ascending, that pass every rule, or None if there is no rule.

    Args:
        labels: Class ids, shape (n,).
        rules: The rules.
        classes: Name of each class id, if the source has names.
    """
    from nexa_data._core import select_labels

    rows: npt.NDArray[np.uint64] | None = None
    for rule in rules:
        left = np.ascontiguousarray(labels if rows is None else labels[rows])
        kept = np.frombuffer(select_labels(left, rule.ids(classes), invert=rule.deny), np.uint64)
        rows = kept if rows is None else rows[kept]
    return rows
