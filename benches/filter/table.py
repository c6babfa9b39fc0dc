"""The Markdown that people look at, from what the rounds found."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

Times = dict[str, list[float]]
"""Contestant → seconds of each round."""

BEGIN, END = "<!-- filter: begin -->", "<!-- filter: end -->"


def median(times: Times, name: str) -> float:
    """Return a contestant's median."""
    return statistics.median(times[name])


def ratio(times: Times, ours: str, other: str) -> tuple[float, float, float]:
    """Return how many times faster ours is: median, least and greatest of the rounds."""
    pairs = [two / one for one, two in zip(times[ours], times[other], strict=True)]
    return statistics.median(pairs), min(pairs), max(pairs)


def best(times: Times, peers: list[str]) -> str:
    """Return the peer with the least median."""
    return min(peers, key=lambda name: median(times, name))


def rows(head: list[str], lines: list[list[str]]) -> str:
    """Return a Markdown table."""
    every = [head, ["---"] + ["---:"] * (len(head) - 1), *lines]
    return "".join("| " + " | ".join(line) + " |\n" for line in every)


def tables(found: dict[str, dict[str, Times]], ours: str, aside: tuple[str, ...]) -> str:
    """Return a table a shape: a line a contestant, a column a question, milliseconds; and ours beside the best peer."""
    text = ""
    for shape, questions in found.items():
        names = list(next(iter(questions.values())))
        head = [f"{shape}, ms", *questions]
        lines = []
        for name in names:
            shown = [f"{1000 * median(times, name):,.1f}" for times in questions.values()]
            lines.append([f"**{name}**" if name.startswith(ours) else name, *shown])
        for label in (ours, *(name for name in aside if name.startswith(ours))):
            line = [f"{label} is faster than the best peer"]
            for times in questions.values():
                peers = [name for name in names if name != ours and name not in aside]
                middle, least, most = ratio(times, label, best(times, peers))
                line.append(f"**{middle:.2f} ×** ({least:.2f}–{most:.2f})")
            lines.append(line)
        text += rows(head, lines) + "\n"
    return text


def records(found: dict[str, dict[str, Times]], count: int, ours: str, beside: str) -> str:
    """Return the table of iterables: M records/s of ours, and how many times the generator's."""
    sources = next(iter(found.values()))
    lines = []
    for source in sources:
        line = [source]
        for each in found.values():
            times = each[source]
            middle, least, most = ratio(times, ours, beside)
            line.append(
                f"{count / median(times, ours) / 1e6:.1f} M/s, **{middle:.2f} ×** ({least:.2f}–{most:.2f})"
            )
        lines.append(line)
    return rows([f"records from a …, rate and times that of the {beside}", *found], lines)


def into_readme(readme: Path, text: str) -> None:
    """Put `text` between the marks of README."""
    whole = readme.read_text()
    before, _, rest = whole.partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{BEGIN}\n{text.strip()}\n{END}{after}")
