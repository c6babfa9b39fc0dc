"""Contestants over records: tuples whose last element is the label, from every kind of iterable."""

from __future__ import annotations

import itertools
from collections import deque
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from nexa_data.filters import filter_by_label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

OURS, GENERATOR, TOOLS = "nexa-data", "generator expression", "itertools.compress"


class Custom:
    """An iterator that somebody wrote as a class."""

    def __init__(self, records: list[Any]) -> None:
        self.records = iter(records)

    def __iter__(self) -> Custom:
        return self

    def __next__(self) -> Any:
        return next(self.records)


def _ready(made: Iterable[Any]) -> Callable[[], Iterable[Any]]:
    return lambda: made


SOURCES: dict[str, Callable[[list[Any]], Callable[[], Iterable[Any]]]] = {
    "list": _ready,
    "tuple": lambda records: _ready(tuple(records)),
    "deque": lambda records: _ready(deque(records)),
    "iter(list)": lambda records: lambda: iter(records),
    "map": lambda records: lambda: map(_same, records),
    "generator": lambda records: lambda: (record for record in records),
    "class": lambda records: lambda: Custom(records),
    "endless": lambda records: lambda: itertools.islice(itertools.cycle(records), len(records)),
}
"""Name → from records to what makes an iterable of them for each run."""


def _same(record: Any) -> Any:
    return record


def contestants(allowed: set[int]) -> dict[str, Callable[[Iterable[Any]], Iterator[Any]]]:
    """Return name → what filters an iterable."""
    label = itemgetter(-1)

    def compressed(records: Iterable[Any]) -> Iterator[Any]:
        one, two = itertools.tee(records)
        return itertools.compress(one, map(allowed.__contains__, map(label, two)))

    return {
        OURS: lambda records: filter_by_label(records, allowed),
        GENERATOR: lambda records: (record for record in records if record[-1] in allowed),
        TOOLS: compressed,
    }
