"""What a person sees of a running collection, and of what came of it; what a program reads with `--json`."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from nexa_data.console import bytes_text, say, seconds_text, show_facts, show_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nexa_distill.collect_teacher import UnknownRows
    from nexa_distill.job import JobReport
    from nexa_distill.progress import Progress
    from rich.progress import Progress as RichProgress

__all__ = ["CollectionBar", "EventLines", "confirm_on_terminal", "show_plan", "show_result"]

_EVENTS_EVERY_S = 1.0
_SHOWN_ROWS = 20


class CollectionBar:
    """A live line on stderr: rows, rates, requests in flight, cost so far and projected, time left."""

    def __init__(self) -> None:
        self._shown: RichProgress | None = None
        self._task: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown is not None:
            self._shown.stop()

    def __call__(self, told: Progress) -> None:
        """Show how far the collection is."""
        if self._shown is None:
            self._shown = _rich_bar()
            self._task = self._shown.add_task("", total=told.total)
            self._shown.start()
        self._shown.update(self._task, completed=told.done, description=line_of(told))


def line_of(told: Progress) -> str:
    """Return one line for a person."""
    elapsed_s = max(told.elapsed_s, 1e-9)
    parts = [f"{told.ok:,} done"]
    parts += [
        f"{count:,} {what}" for count, what in ((told.failed, "failed"), (told.unknown, "unknown")) if count
    ]
    tokens = told.prompt_tokens + told.completion_tokens
    parts.append(f"{told.requests / elapsed_s:.1f} requests/s")
    parts.append(f"{tokens / elapsed_s:,.0f} tokens/s")
    parts.append(f"{told.in_flight}/{told.concurrency} in flight")
    if told.cost is not None:
        parts.append(f"cost {told.cost:.4f}{_projected(told)}")
    if told.waiting is not None:
        parts.append(told.waiting)
    return ", ".join(parts)


def _projected(told: Progress) -> str:
    fresh = told.ok - told.reused
    if told.total is None or not fresh or told.cost is None:
        return ""
    return f" of about {told.cost / fresh * (told.total - told.reused):.4f}"


def _rich_bar() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)


class EventLines:
    """Progress as a JSON object a line on stderr, once a second and at the end."""

    def __init__(self) -> None:
        self._told: Progress | None = None
        self._said_at = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._told is not None:
            self._say(self._told)

    def __call__(self, told: Progress) -> None:
        """Say how far the collection is, unless that was said within the last second."""
        self._told = told
        if time.monotonic() - self._said_at >= _EVENTS_EVERY_S:
            self._say(told)

    def _say(self, told: Progress) -> None:
        self._said_at = time.monotonic()
        say(json.dumps({"event": "progress", **asdict(told)}))


def confirm_on_terminal(unknown: UnknownRows) -> bool:
    """Ask whether to send again what was sent and has no answer."""
    cost = "" if unknown.cost is None else f", {unknown.cost:.4f} at most"
    sys.stderr.write(
        f"{unknown.rows} requests were sent and their answers are lost; they may have been paid for{cost}. "
        "Send them again? [y/N] "
    )
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def show_plan(report: JobReport) -> None:
    """Print what would be asked, and the first prompts."""
    show_facts(plan_facts(report))
    for number, messages in enumerate(report.previews, 1):
        show_facts({f"prompt {number}": "\n".join(_message_lines(messages))})
    show_facts({"dry run": "nothing was sent"})


def plan_facts(report: JobReport) -> dict[str, Any]:
    """Return what a plan says, for a person."""
    estimate = report.estimate
    answers = "unbounded" if estimate.completion_tokens is None else f"at most {estimate.completion_tokens:,}"
    cost = None
    if estimate.cost is not None:
        cost = f"about {estimate.cost:.4f}, at most {estimate.worst_cost:.4f}"
    return {
        "model": f"{report.model} at {report.endpoint}",
        "key": f"OPENAI_API_KEY is {'set' if report.key_present else 'not set'}",
        "parameters": json.dumps(report.parameters, ensure_ascii=False),
        "input": ", ".join(report.files),
        "requests": f"{estimate.requests:,} of {bytes_text(estimate.prompt_bytes)} in all, up to {report.concurrency} at once",
        "tokens": f"about {estimate.prompt_tokens:,} of prompts, {answers} of answers",
        "cost": cost,
        "output": report.output_dir,
    }


def _message_lines(messages: list[dict[str, Any]]) -> Iterator[str]:
    for message in messages:
        yield f"{message['role']}: {message.get('content')}"


def show_result(report: JobReport) -> None:
    """Print what a collection came to."""
    counts, session, spend = report.counts, report.session, report.spend
    artifact = report.artifact
    show_facts({"artifact": artifact and artifact.uri, "hash": artifact and artifact.hash})
    rows = [
        (name, f"{counts[name]:,}")
        for name in ("ok", "failed", "unknown", "rejected")
        if counts[name] or name == "ok"
    ]
    rows += [(label, f"{counts[name]:,}") for name, label in _NOTED if counts[name]]
    rows.append(
        ("tokens", f"{counts['prompt_tokens']:,} of prompts, {counts['completion_tokens']:,} answered")
    )
    rows.append(("this session", _session_text(session)))
    lost = spend["unknown_prompt_tokens"] + spend["unknown_completion_tokens"]
    if "cost" in spend:
        rows.append(
            ("cost", f"{spend['cost']:.6f}" + (" at most: what is lost counts in full" if lost else ""))
        )
    show_table(("rows", "count"), rows)


_NOTED = (("length", "cut at max_tokens"), ("without_label", "without a label among the alternatives"))


def _session_text(session: dict[str, Any]) -> str:
    if not session["requests"]:
        return "nothing was sent: every row had its answer"
    wall_s = session["wall_s"]
    text = f"{session['requests']:,} requests in {seconds_text(wall_s)}"
    if wall_s > 0:
        tokens = session["prompt_tokens"] + session["completion_tokens"]
        text += f" ({session['requests'] / wall_s:.1f} requests/s, {tokens / wall_s:,.0f} tokens/s)"
    reused = f", {session['reused']:,} rows were answered before" if session["reused"] else ""
    lost = f", {session['lost']:,} answers lost" if session["lost"] else ""
    return text + reused + lost
