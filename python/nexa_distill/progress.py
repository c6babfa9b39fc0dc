"""The few numbers that a caller sees while a collection runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Progress", "ProgressCallback"]


@dataclass(frozen=True, slots=True)
class Progress:
    """State of a running collection; carries no prompt text.

    Args:
        done: Rows that are finished, answered or not.
        ok: Rows that have an answer, those from earlier runs included.
        failed: Rows that failed in this session.
        total: Rows in all, None where it isn't known.
        prompt_tokens: Prompt tokens of this session's answers, as the endpoint counts them.
        completion_tokens: Answered tokens of this session.
        unknown: Rows that were sent and whose answer is lost.
        reused: Rows of `ok` that were answered before this session.
        requests: Requests sent in this session.
        in_flight: Requests that are out now.
        concurrency: Requests that may be out now.
        elapsed_s: Seconds since the session began.
        cost: What the run cost so far, at most; None without a price.
        waiting: Why nothing is sent at the moment, or None.
    """

    done: int
    ok: int
    failed: int
    total: int | None
    prompt_tokens: int
    completion_tokens: int
    unknown: int = 0
    reused: int = 0
    requests: int = 0
    in_flight: int = 0
    concurrency: int = 0
    elapsed_s: float = 0.0
    cost: float | None = None
    waiting: str | None = None


ProgressCallback: TypeAlias = Callable[[Progress], None]
