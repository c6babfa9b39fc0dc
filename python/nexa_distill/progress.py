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
        done: Rows that are finished, answered or failed.
        ok: Rows that have an answer, those from earlier runs included.
        failed: Rows that failed in this run.
        total: Rows in all, None where it isn't known.
        prompt_tokens: Prompt tokens of this run, as the endpoint counts them.
        completion_tokens: Answered tokens of this run.
    """

    done: int
    ok: int
    failed: int
    total: int | None
    prompt_tokens: int
    completion_tokens: int


ProgressCallback: TypeAlias = Callable[[Progress], None]
