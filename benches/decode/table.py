"""The Markdown that people look at, from what the rounds found."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benches.decode.formats import FORMS

if TYPE_CHECKING:
    from collections.abc import Sequence

Rates = dict[str, dict[str, dict[int, list[float]]]]
"""Format → contestant → threads → records a second in each round."""

OURS = "nexa-data"


def ratio(ours: Sequence[float], other: Sequence[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(one / two for one, two in zip(ours, other, strict=True))


def _cell(rates: dict[int, list[float]], threads: int) -> str:
    return f"{statistics.median(rates[threads]) / 1e6:.3g}" if threads in rates else ""


def _times(form: dict[str, dict[int, list[float]]], name: str, threads: int) -> str:
    if name == OURS or threads not in form[name]:
        return ""
    return f"{ratio(form[OURS][threads], form[name][threads]):.2g} ×"


def table(found: Rates) -> str:
    """Return a row for each contestant of each format: rates at one and two threads, and how many times faster ours is."""
    lines = [
        "| | 1 thread, M records/s | ours is | 2 threads | ours is |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for form, contestants in found.items():
        for name, rates in contestants.items():
            shown = f"**{form}, {name}**" if name == OURS else f"{form}, {name}"
            kind = FORMS[form].contestants[name].kind
            note = " (limit)" if kind == "limit" else ""
            cells = [
                _cell(rates, 1),
                _times(contestants, name, 1),
                _cell(rates, 2),
                _times(contestants, name, 2),
            ]
            lines.append(f"| {shown}{note} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
