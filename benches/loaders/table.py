"""The Markdown and the picture that people look at, from what the rounds found."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from benches.loaders.contestants import CONTESTANTS
from benches.loaders.costs import FIGURES
from benches.loaders.data import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Sequence

Runs = dict[str, list[dict[str, float]]]
"""Contestant → what each round found."""

OURS, BARE, TAKE = (
    "nexa-data, 1 thread",
    "our bare gather, ready permutation",
    "np.take, ready permutation, reused buffer",
)
IN_ORDER, HAND = "nexa-data, 1 thread, unshuffled", "batched memmap by hand, DataLoader(batch_size=None)"
_COLOURS = {"ours": "#0b7285", "limit": "#868e96"}


def median(runs: Runs, name: str, key: str = "records_per_s") -> float:
    """Return a contestant's median."""
    return statistics.median(run[key] for run in runs[name])


def ratio(runs: Runs, name: str, other: str) -> tuple[float, float, float]:
    """Return median, least and greatest of the rounds' ratios."""
    pairs = [
        one["records_per_s"] / two["records_per_s"] for one, two in zip(runs[name], runs[other], strict=False)
    ]
    return statistics.median(pairs), min(pairs), max(pairs)


def rows(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    every = [head, ["---"] + ["---:"] * (len(head) - 1), *lines]
    return "".join("| " + " | ".join(line) + " |\n" for line in every)


def summary(found: dict[str, Runs]) -> str:
    """Return one table of all workloads: rates, and how many times faster our loader is."""
    first = next(iter(found.values()))
    names = sorted(first, key=lambda name: -median(first, name))
    names += [name for runs in found.values() for name in runs if name not in names]
    head = ["shuffled, unless said"]
    for key in found:
        head += [f"{key}, M records/s", "ours is"]
    lines = []
    for name in dict.fromkeys(names):
        ours = CONTESTANTS[name].kind == "ours"
        line = [f"**{name}**" if ours else name]
        for runs in found.values():
            if name not in runs:
                line += ["", ""]
                continue
            rate = median(runs, name) / 1e6
            against = IN_ORDER if CONTESTANTS[name].kind == "scan" else OURS
            line += [f"{rate:.3g}", "" if ours else f"{_shown(ratio(runs, against, name)[0])} ×"]
        lines.append(line)
    return rows(head, lines)


def _shown(times: float) -> str:
    return f"{times:,.0f}" if times >= 20 else f"{times:.1f}" if times >= 2 else f"{times:.2f}"


def workload(key: str, runs: Runs, *, part: int) -> str:
    """Return a workload's tables."""
    work = WORKLOADS[key].smaller(part)
    wide = f"{work.width:,} {work.dtype}" + (" + int64" if work.labels else "")
    title = f"{work.records:,} × ({wide}), batch {work.batch:,}"
    lines = []
    for name in sorted(runs, key=lambda each: -median(runs, each)):
        kind = CONTESTANTS[name].kind
        rate = median(runs, name)
        faster = "" if kind == "ours" else f"{_paired(runs, name)}"
        first = median(runs, name, "first_batch_s")
        memory = median(runs, name, "memory_bytes")
        lines.append(
            [
                f"**{name}**" if kind == "ours" else name,
                f"{rate / 1e6:,.3f} M",
                f"{rate * work.record_bytes / 1e9:,.2f}",
                faster,
                f"{1000 * first:,.1f}",
                f"{memory / 2**20:,.0f}",
            ]
        )
    head = ["", "records/s", "GB/s", "ours, 1 thread, is faster", "first batch ms", "memory MiB"]
    return f"\n## {key}. {title}, rounds: {len(runs[OURS])}\n\n{rows(head, lines)}\n{_verdicts(key, runs)}"


def _paired(runs: Runs, name: str) -> str:
    ours = IN_ORDER if CONTESTANTS[name].kind == "scan" else OURS
    middle, least, greatest = ratio(runs, ours, name)
    return f"{middle:,.2f} × ({least:,.2f}–{greatest:,.2f})"


def _verdicts(key: str, runs: Runs) -> str:
    peers = [name for name in runs if CONTESTANTS[name].kind == "peer"]
    wanted: list[tuple[str, str, str, float]] = [
        ("bare gather beside np.take", BARE, TAKE, {"W1": 1.7, "W2": 1.3}[key]),
        ("loader, 1 thread, beside the bare gather", OURS, BARE, {"W1": 0.6, "W2": 0.65}[key]),
        ("beside the best by hand", OURS, HAND, {"W1": 5, "W2": 2}[key]),
        *((f"beside {name}", OURS, name, {"W1": 15, "W2": 8}[key]) for name in peers),
    ]
    if key == "W1":
        wanted.insert(2, ("loader, 1 thread, beside np.take", OURS, TAKE, 1.1))
    use = "DataLoader over memmap, record by record"
    wanted.append(("beside DataLoader as people use it", OURS, use, {"W1": 150, "W2": 10}[key]))
    wanted.append(("unshuffled, beside Lance's scan", IN_ORDER, "Lance scan (unshuffled)", 2))
    lines = []
    for what, name, other, target in wanted:
        if name in runs and other in runs:
            found = ratio(runs, name, other)[0]
            lines.append([what, f"{found:,.2f} ×", f"≥ {target:g} ×", "met" if found >= target else "MISSED"])
    return rows(["figure", "measured", "target", ""], lines)


def plot(found: dict[str, Runs], *, part: int) -> str:
    """Return an SVG: a bar a contestant, on a logarithmic scale, the limit drawn through all."""
    parts, top = [], 0
    for key, runs in found.items():
        work = WORKLOADS[key].smaller(part)
        names = sorted(runs, key=lambda each: -median(runs, each))
        parts.append(_bars(key, work.record_bytes, runs, names, top))
        top += 60 + 22 * len(names)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{top + 10}" font-family="sans-serif" '
        f'font-size="12" role="img" aria-label="Records per second of loaders, logarithmic scale">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _bars(key: str, record_bytes: int, runs: Runs, names: Sequence[str], top: int) -> str:
    import math

    least = math.floor(math.log10(min(median(runs, name) for name in names)))
    most = math.log10(max(median(runs, name) for name in names))
    left, width = 330, 420

    def x(rate: float) -> float:
        return left + width * (math.log10(rate) - least) / (most - least)

    title = f"{key}: records/s, logarithmic ({record_bytes:,} bytes a record)"
    parts = [f'<text x="10" y="{top + 28}" font-size="15" font-weight="bold" fill="#212529">{title}</text>']
    base = top + 42
    for number, name in enumerate(names):
        y, rate = base + 22 * number, median(runs, name)
        colour = _COLOURS.get(CONTESTANTS[name].kind, "#ced4da")
        weight = "bold" if CONTESTANTS[name].kind == "ours" else "normal"
        parts.append(
            f'<text x="{left - 8}" y="{y + 13}" text-anchor="end" font-weight="{weight}" fill="#212529">{escape(name)}</text>'
            f'<rect x="{left}" y="{y + 2}" width="{max(x(rate) - left, 1):.1f}" height="16" fill="{colour}"/>'
            f'<text x="{x(rate) + 6:.1f}" y="{y + 14}" fill="#495057">{_short(rate)}</text>'
        )
    if TAKE in runs:
        at = x(median(runs, TAKE))
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{base}" y2="{base + 22 * len(names)}" stroke="#e03131" stroke-dasharray="4 3"/>'
        )
    return "".join(parts)


def _short(rate: float) -> str:
    return f"{rate / 1e6:.2f} M" if rate >= 1e5 else f"{rate / 1e3:.1f} k"


def plain(found: dict[str, Runs]) -> dict[str, Any]:
    """Return plain values for JSON."""
    return {"schema_version": 1, "workloads": found}


def costs(found: dict[str, dict[str, float]]) -> str:
    """Return the table of what a loader costs beside its rate, by threads."""
    lines = []
    for key, (what, most, unit) in FIGURES.items():
        each = [found[threads][key] for threads in found]
        shown = [f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:,.2f} {unit}" for value in each]
        lines.append([what, *shown, f"≤ {most:g} {unit}", "met" if max(each) <= most else "MISSED"])
    head = ["", *(f"{threads} thread{'s' if threads != '1' else ''}" for threads in found), "target", ""]
    return f"\n## What a loader costs\n\n{rows(head, lines)}"
