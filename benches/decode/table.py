"""The Markdown that people look at, from what the rounds found."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benches.decode.formats import FORMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Rates = dict[str, dict[str, dict[int, list[float]]]]
"""Format → contestant → threads → records a second in each round."""

OURS = "nexa-data"


def ratio(ours: Sequence[float], other: Sequence[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(one / two for one, two in zip(ours, other, strict=True))


def _shown(times: float) -> str:
    return f"{times:,.0f}" if times >= 20 else f"{times:.1f}" if times >= 10 else f"{times:.2f}"


def _cell(rates: dict[int, list[float]], threads: int) -> str:
    return f"{statistics.median(rates[threads]) / 1e6:.3g}" if threads in rates else ""


def _times(form: dict[str, dict[int, list[float]]], name: str, threads: int) -> str:
    if name == OURS or threads not in form[name]:
        return ""
    return f"{_shown(ratio(form[OURS][threads], form[name][threads]))} ×"


def summary(found: Rates) -> str:
    """Return a row a format: our rate at one and two threads, and how many times faster than each peer that is."""
    lines = ["| | M records/s, 1 → 2 threads | ours is | limit |", "| --- | ---: | --- | --- |"]
    for form, contestants in found.items():
        beside: dict[str, list[str]] = {"peer": [], "limit": []}
        for name in contestants:
            kind = FORMS[form].contestants[name].kind
            if kind in beside:
                beside[kind].append(f"{name} {_both(_times(contestants, name, each) for each in (1, 2))}")
        rates = _both(_cell(contestants[OURS], each) for each in (1, 2))
        lines.append(f"| {form} | **{rates}** | {', '.join(beside['peer'])} | {', '.join(beside['limit'])} |")
    return "\n".join(lines) + "\n"


def _both(cells: Iterable[str]) -> str:
    """Return what there is for one and for two threads; the unit once."""
    there = [cell for cell in cells if cell]
    unit = " ×" if there and there[0].endswith(" ×") else ""
    return " → ".join(cell.removesuffix(unit) for cell in there) + unit


def details(found: Rates) -> str:
    """Return a row for each contestant of each format: rates at one and two threads, and how many times faster ours is."""
    lines = [
        "| | 1 thread, M records/s | ours is | 2 threads | ours is |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for form, contestants in found.items():
        for name, rates in contestants.items():
            shown = f"**{form}, {name}**" if name == OURS else f"{form}, {name}"
            kind = FORMS[form].contestants[name].kind
            note = f" ({kind})" if kind in {"limit", "reference"} else ""
            cells = [
                _cell(rates, 1),
                _times(contestants, name, 1),
                _cell(rates, 2),
                _times(contestants, name, 2),
            ]
            lines.append(f"| {shown}{note} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
