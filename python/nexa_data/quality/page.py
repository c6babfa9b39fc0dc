"""The report as one page that needs nothing else: no script, no request, readable by eye, keyboard and screen reader."""

from __future__ import annotations

import math
import unicodedata
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexa_data.artifacts import write_atomic
from nexa_data.quality.charts import bars, curve, outline, paired_bars

if TYPE_CHECKING:
    from jinja2 import Template

    from nexa_data.quality.model import ColumnDrift, ColumnQuality, QualityReport, SplitQuality

__all__ = ["render_page", "verdict_text", "write_page"]

_PICTURED = 60
"""Columns that get a card; of more, those with findings or drift come first, and the rest are rows of a table."""
_LISTED = 2000
_CLASSES = 16
_DRIFT_PICTURED = 40
_LONGEST = 60
_ENTIRE = 1e9
"""Whole numbers below are written digit by digit."""
_THOUSAND = 1000
_LEAST_SHARE = 0.0001
_TENTH = 0.1
_DEPTH = 6
"""Floors of a tree that are shown."""
_SEVERITIES = ("critical", "error", "warning")
_SYMBOLS = {"critical": "✖", "error": "✖", "warning": "▲"}


def write_page(report: QualityReport, path: Path) -> None:
    """Write the page, whole or not at all."""
    write_atomic(path, render_page(report).encode())


def render_page(report: QualityReport) -> str:
    """Return the report as HTML."""
    names = _column_names(report)
    pictured, listed = names[:_PICTURED], names[_PICTURED:]
    return _template().render(
        report=report,
        verdict=_verdict(report),
        counts={each: _count(report, each) for each in _SEVERITIES},
        classes=_classes(report),
        cards=[_card(name, report) for name in pictured],
        listed=[_card(name, report) for name in listed[:_LISTED]],
        unlisted=len(listed[_LISTED:]),
        drift=[]
        if report.drift is None
        else [_drift(each) for each in report.drift.columns[:_DRIFT_PICTURED]],
        drifted=[] if report.drift is None else [each for each in report.drift.columns if each.drifted],
        provenance=_tree(report.provenance),
    )


def verdict_text(report: QualityReport) -> str:
    """Return in a line what the page says first.

    Example:
        >>> from nexa_data.quality.model import QualityReport, QualityStatistics, Target
        >>> target = Target(kind="source", uri="x.csv")
        >>> statistics = QualityStatistics(splits={})
        >>> report = QualityReport(verdict="accepted", created_at="", target=target, findings=(), statistics=statistics)
        >>> verdict_text(report)
        'fit for training, no findings'
    """
    verdict = _verdict(report)
    return f"{verdict['text'].lower()}, {verdict['why']}"


@cache
def _template() -> Template:
    import jinja2

    folder = Path(__file__).parent / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "share": share, "shown": shown, "whole": whole}
    environment.globals["symbols"] = _SYMBOLS
    return environment.get_template("report.html.j2")


def number(value: float | None) -> str:
    """Return a number in as many digits as one reads: `12,345,678`, `0.00012`, `1.6e9`.

    Example:
        >>> number(0.1 + 0.2), number(12345678), number(None)
        ('0.3', '12,345,678', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value == int(value) and abs(value) < _ENTIRE:
        return f"{int(value):,}".replace("-", "−")
    if _THOUSAND <= abs(value) < _ENTIRE:
        return f"{value:,.0f}".replace("-", "−")
    digits, _, power = f"{value:.4g}".partition("e")
    return (f"{digits}e{int(power)}" if power else digits).replace("-", "−")


def share(value: float | None) -> str:
    """Return a share in percent; what is there is never 0 %."""
    if value is None:
        return "–"
    if 0 < value < _LEAST_SHARE:
        return "< 0.01 %"
    return f"{value:.2%}".replace("%", " %") if value < _TENTH else f"{value:.1%}".replace("%", " %")


def whole(text: Any) -> str:
    """Return a text without what would change the page around it: control characters, changes of direction."""
    kept = (
        each if unicodedata.category(each) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} else "�"
        for each in str(text)
    )
    return "".join(kept)


def shown(text: Any, longest: int = _LONGEST) -> str:
    """Return the beginning of a text."""
    text = whole(str(text)[: 4 * longest])
    return text if len(text) <= longest else f"{text[:longest]}…"


def _count(report: QualityReport, severity: str) -> int:
    return sum(finding.severity == severity for finding in report.findings)


def _verdict(report: QualityReport) -> dict[str, str]:
    errors = _count(report, "error") + _count(report, "critical")
    warnings = _count(report, "warning")
    several = "" if warnings == 1 else "s"
    if report.verdict == "refused":
        said = f"{errors} error{'' if errors == 1 else 's'}" if errors else f"{warnings} warning{several}"
        return {"css": "bad", "symbol": "✖", "text": "Not fit for training", "why": said}
    if errors or warnings:
        said = f"{errors} errors, " if errors else ""
        return {
            "css": "fair",
            "symbol": "▲",
            "text": "Fit for training",
            "why": f"with {said}{warnings} warning{several}",
        }
    return {"css": "good", "symbol": "✔", "text": "Fit for training", "why": "no findings"}


def _column_names(report: QualityReport) -> list[str]:
    """Return the columns: with findings or drift first, then as they come."""
    named: dict[str, None] = {}
    for split in report.statistics.splits.values():
        named |= dict.fromkeys(column.name for column in split.columns)
    if len(named) <= _PICTURED:
        return list(named)
    first = [each.column for each in report.findings if each.column in named]
    first += [] if report.drift is None else [each.column for each in report.drift.columns if each.drifted]
    return list(dict.fromkeys([*(each for each in first if each is not None and each in named), *named]))


def _card(name: str, report: QualityReport) -> dict[str, Any]:
    found = {
        split: column for split, each in report.statistics.splits.items() if (column := each.column(name))
    }
    first = next(iter(found.values()))
    findings = [each for each in report.findings if each.column == name]
    return {
        "name": name,
        "first": first,
        "picture": _picture(name, next(iter(found)), first),
        "splits": {split: _facts(column) for split, column in found.items()},
        "top": [(str(value), count, count / first.values) for value, count in first.top[:3]]
        if first.values
        else [],
        "few": _few(first),
        "findings": findings,
    }


def _few(column: ColumnQuality) -> bool:
    return bool(column.top) and column.distinct <= len(column.top)


def _picture(name: str, split: str, column: ColumnQuality) -> Any:
    what = {"text": "lengths of ", "binary": "lengths of ", "list": "lengths of "}.get(column.kind, "")
    if _few(column) and column.kind != "list":
        values = ", ".join(
            f"{shown(value, 20)} {share(count / column.values)}" for value, count in column.top[:5]
        )
        return bars(
            [count for _, count in column.top], f"Most frequent values of {shown(name)} in {split}: {values}"
        )
    if column.histogram is None or column.quantiles is None:
        return None
    middle = number(column.quantiles[len(column.quantiles) // 2])
    title = f"Histogram of {what}{shown(name)} in {split}: from {number(column.min)} to {number(column.max)}, half below {middle}"
    return outline(column.histogram.edges, column.histogram.counts, title)


def _facts(column: ColumnQuality) -> dict[str, str]:
    infinite = column.positive_infinities + column.negative_infinities
    points = column.quantiles
    steps = 0 if points is None else len(points) - 1
    quantiles = {
        label: "–" if points is None else number(points[round(at * steps)])
        for label, at in (("1 %", 0.01), ("25 %", 0.25), ("50 %", 0.5), ("75 %", 0.75), ("99 %", 0.99))
    }
    error = f" ± {share(column.distinct_error)}" if column.distinct_error else ""
    return {
        "null": _part(column.nulls, column.values),
        "NaN": _part(column.nans, column.values),
        "±∞": _part(infinite, column.values),
        "min": number(column.min),
        **quantiles,
        "max": number(column.max),
        "mean": number(column.mean),
        "std": number(column.std),
        "distinct": f"{column.distinct:,}{error}",
    }


def _part(count: int, of: int) -> str:
    return f"{count:,} ({share(count / of)})" if count and of else "0"


def _classes(report: QualityReport) -> dict[str, Any] | None:
    labelled: dict[str, SplitQuality] = {
        name: split
        for name, split in report.statistics.splits.items()
        if split.label is not None and split.label.kind == "class" and split.label.counts
    }
    if not labelled:
        return None
    totals: dict[str, int] = {}
    names: dict[str, str] = {}
    for split in labelled.values():
        if split.label is not None:
            names |= split.label.names
            for label, count in split.label.counts.items():
                totals[label] = totals.get(label, 0) + count
    ordered = sorted(totals, key=lambda label: -totals[label])
    all_shown = len(ordered) <= _CLASSES
    chosen = (
        sorted(ordered, key=lambda label: (len(label), label))
        if all_shown
        else [*ordered[:10], *ordered[-5:]]
    )
    largest = max(
        count / split.rows
        for split in labelled.values()
        if split.label
        for count in split.label.counts.values()
    )
    rows = []
    for label in chosen:
        parts = {}
        for name, split in labelled.items():
            count = 0 if split.label is None else split.label.counts.get(label, 0)
            parts[name] = {
                "count": count,
                "share": count / split.rows,
                "width": 100 * count / split.rows / largest,
            }
        rows.append({"name": names.get(label, label), "id": label, "splits": parts})
    title = f"Records of {len(ordered)} classes, the largest first: from {totals[ordered[0]]:,} to {totals[ordered[-1]]:,}"
    return {
        "rows": rows,
        "splits": list(labelled),
        "count": len(ordered),
        "left_out": len(ordered) - len(chosen),
        "curve": None
        if all_shown
        else curve([totals[label] for label in ordered[:: max(1, len(ordered) // 240)]], title),
        "ratio": totals[ordered[0]] / totals[ordered[-1]],
    }


def _drift(column: ColumnDrift) -> dict[str, Any]:
    title = f"{shown(column.column)} in {column.split}: {len(column.bins)} bins, now as bars and the reference as a line"
    picture = paired_bars(column.current, column.reference, title) if column.bins else None
    return {"of": column, "picture": picture}


def _tree(value: Any, depth: int = 0) -> Any:
    """Return nested mappings and lists as (name, text or children) pairs, so deep that it can be read."""
    if isinstance(value, dict) and value and depth < _DEPTH:
        return [(str(name), _tree(each, depth + 1)) for name, each in value.items()]
    if (
        isinstance(value, list | tuple)
        and value
        and depth < _DEPTH
        and any(isinstance(each, dict | list) for each in value)
    ):
        return [(str(at), _tree(each, depth + 1)) for at, each in enumerate(value[:100])]
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value[:100])) or "–"
    return "–" if value is None or value in ({}, "") else str(value)
