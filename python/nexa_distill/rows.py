"""Which rows are to be asked next: those in their order, and those whose wait for another attempt is over."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Rows", "Turn"]


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """A row whose turn it is.

    Args:
        due: From when on, on a monotonic clock.
        index: The row's place in the plan.
        tries: Attempts that were made in this session.
    """

    due: float
    index: int
    tries: int


class Rows:
    """Rows that wait, the due ones first; fresh ones only while few wait for another attempt.

    Args:
        fresh: Rows that weren't asked in this session, in order.
        most_waiting: As soon as so many wait for another attempt, no fresh row is begun.
    """

    def __init__(self, fresh: Iterator[int], most_waiting: int) -> None:
        self._fresh = fresh
        self._most_waiting = most_waiting
        self._waiting: list[Turn] = []
        self._next: Turn | None = None
        self._ended = False

    @property
    def empty(self) -> bool:
        """Whether no row waits and no fresh one is left."""
        return not self._waiting and self._peek_fresh() is None

    def peek(self, now: float, *, prefer_fresh: bool = False) -> Turn | None:
        """Return the row whose turn it is, if there is one; it stays until `take`.

        Args:
            now: Monotonic seconds.
            prefer_fresh: Rather one that wasn't asked yet: those that wait may fail for reasons of their own, and
                shouldn't use up their attempts while the endpoint fails.
        """
        roomy = len(self._waiting) < 2 * self._most_waiting
        if prefer_fresh and roomy and (fresh := self._peek_fresh()) is not None:
            return fresh
        if self._waiting and self._waiting[0].due <= now:
            return self._waiting[0]
        return self._peek_fresh() if len(self._waiting) < self._most_waiting else None

    def take(self, turn: Turn) -> None:
        """Take away what `peek` returned."""
        if turn is self._next:
            self._next = None
        else:
            heapq.heappop(self._waiting)

    def wait_s(self, now: float) -> float | None:
        """Return how long until a waiting row is due; None where none waits."""
        return max(0.0, self._waiting[0].due - now) if self._waiting else None

    def again(self, index: int, tries: int, due: float) -> None:
        """Let a row wait for another attempt."""
        heapq.heappush(self._waiting, Turn(due, index, tries))

    def _peek_fresh(self) -> Turn | None:
        if self._next is None and not self._ended:
            index = next(self._fresh, None)
            self._ended = index is None
            self._next = None if index is None else Turn(0.0, index, 0)
        return self._next
