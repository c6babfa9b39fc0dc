"""How many requests are in flight at once: more while the endpoint answers, half as many when it asks for less."""

from __future__ import annotations

__all__ = ["Concurrency"]

_FIRST = 8
_LESS = 0.5


class Concurrency:
    """A limit that doubles until the first complaint, then grows by one per round and halves per complaint (AIMD).

    Args:
        cap: The most, set by the user.

    Example:
        >>> limit = Concurrency(64)
        >>> limit.limit
        8
        >>> sent_at = limit.send(now=0.0)
        >>> limit.complaint(sent_at, now=1.0); limit.limit
        4
    """

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.in_flight = 0
        self._limit = float(min(cap, _FIRST))
        self._complained = False
        self._lowered_at = float("-inf")

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return int(self._limit)

    @property
    def free(self) -> bool:
        """Whether another request may be sent."""
        return self.in_flight < self.limit

    def send(self, now: float) -> float:
        """Count a request as in flight; returns when it was sent."""
        self.in_flight += 1
        return now

    def done(self) -> None:
        """Count a request as back."""
        self.in_flight -= 1

    def success(self) -> None:
        """Grow: an answer came."""
        self._limit = min(float(self.cap), self._limit + (1.0 / self._limit if self._complained else 1.0))

    def complaint(self, sent_at: float, now: float) -> None:
        """Shrink, once for all requests that were in flight together."""
        self._complained = True
        if sent_at >= self._lowered_at:
            self._limit = max(1.0, self._limit * _LESS)
            self._lowered_at = now
