"""Pictures of a report, as SVG of a path or two each: they are read without a script, and hundreds of them stay small."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["bars", "curve", "outline", "paired_bars"]

_WIDTH, _HEIGHT = 240, 64


def outline(edges: Sequence[float], counts: Sequence[float], title: str, *, css: str = "fill") -> Markup:
    """Return a histogram: `counts` between `edges`, each bin as wide as it is.

    Args:
        edges: n + 1 ascending edges.
        counts: n counts.
        title: What it shows, in words.
        css: Class of the path.
    """
    return _svg(_path(_places(edges), counts, max(counts, default=0)), title, css)


def bars(counts: Sequence[float], title: str) -> Markup:
    """Return bars of equal width."""
    return _svg(_bars(counts, max(counts, default=0), 0.0, 0.82), title, "fill")


def paired_bars(current: Sequence[float], reference: Sequence[float], title: str) -> Markup:
    """Return the bins of two distributions: the current one as bars, the reference as an outline over the same bins."""
    most = max((*current, *reference), default=0)
    edges = [at * _WIDTH / max(1, len(current)) for at in range(len(current) + 1)]
    inner = Markup('<path class="fill" d="{}"/><path class="line" d="{}"/>').format(
        _bars(current, most, 0.09, 0.82), _path(edges, reference, most)
    )
    return _frame(inner, title)


def curve(values: Sequence[float], title: str) -> Markup:
    """Return descending values as one area."""
    edges = [at * _WIDTH / max(1, len(values)) for at in range(len(values) + 1)]
    return _svg(_path(edges, values, max(values, default=0)), title, "fill")


def _places(edges: Sequence[float]) -> list[float]:
    span = edges[-1] - edges[0] if len(edges) > 1 else 0.0
    if not span > 0 or span == float("inf"):
        return [at * _WIDTH / max(1, len(edges) - 1) for at in range(len(edges))]
    return [(edge - edges[0]) / span * _WIDTH for edge in edges]


def _path(places: Sequence[float], counts: Sequence[float], most: float) -> str:
    steps = [f"M0 {_HEIGHT}"]
    for (_, right), count in zip(pairwise(places), counts, strict=False):
        steps.append(f"V{_height(count, most)}H{right:.4g}")
    return "".join([*steps, f"V{_HEIGHT}Z"])


def _bars(counts: Sequence[float], most: float, gap: float, width: float) -> str:
    step = _WIDTH / max(1, len(counts))
    return "".join(
        f"M{(at + gap) * step:.4g} {_HEIGHT}V{_height(count, most)}h{width * step:.3g}V{_HEIGHT}Z"
        for at, count in enumerate(counts)
    )


def _height(count: float, most: float) -> str:
    if not count or not most:
        return str(_HEIGHT)
    # What is there is seen, however little it is.
    return f"{min(_HEIGHT - 1, _HEIGHT - count / most * (_HEIGHT - 2)):.3g}"


def _svg(path: str, title: str, css: str) -> Markup:
    return _frame(Markup('<path class="{}" d="{}"/>').format(css, path), title)


def _frame(inner: Markup, title: str) -> Markup:
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" preserveAspectRatio="none"><title>{}</title>{}</svg>'
    ).format(_WIDTH, _HEIGHT, title, inner)
