"""When the endpoint is down: one probe at a time instead of every row's retries, and an end that says so."""

from __future__ import annotations

from collections import deque

__all__ = ["Breaker"]

_FIRST_PROBE_S = 0.5
_LONGEST_PROBE_S = 15.0
_NEVER_ANSWERED_S = 10.0


class Breaker:
    """Opens after so many failures in a row that are the endpoint's own, and gives up when it stays down.

    An answer takes back the failures that were heard before its request was sent, and no later ones: what was under
    way when the endpoint went down may still be answered, and says nothing about what is sent now.

    While it is open one request at a time goes out, after 0.5 s, then 1 s, 2 s, … 15 s; its answer closes it.
    It gives up after `outage_s`; where nothing was ever answered, after 10 s at most: an address is wrong then.

    Args:
        failures: Failures in a row that open it.
        outage_s: Longest outage that is waited for.
    """

    def __init__(self, failures: int, outage_s: float) -> None:
        self._failures = failures
        self._outage_s = outage_s
        self._heard: deque[float] = deque()  # when each failure in a row came
        self._silent_since = 0.0
        self._answered = False
        self._open = False
        self._pause_s = _FIRST_PROBE_S
        self._next_probe = 0.0

    @property
    def open(self) -> bool:
        """Whether the endpoint counts as down."""
        return self._open

    @property
    def failing(self) -> bool:
        """Whether the last word of the endpoint was a failure of its own."""
        return bool(self._heard)

    def success(self, sent_at: float, now: float) -> None:
        """Take in that the endpoint answered, whatever it said, a request that was sent at `sent_at`."""
        self._answered = True
        self._silent_since = now
        while self._heard and self._heard[0] <= sent_at:
            self._heard.popleft()
        if len(self._heard) < self._failures:
            self._open = False
            self._pause_s = _FIRST_PROBE_S

    def failure(self, now: float) -> None:
        """Count a failure of the endpoint's own."""
        if not self._heard:
            self._silent_since = now
        self._heard.append(now)
        if not self._open and len(self._heard) >= self._failures:
            self._open = True
            self._next_probe = now + self._pause_s
        elif self._open and now >= self._next_probe:
            self._pause_s = min(_LONGEST_PROBE_S, self._pause_s * 2)
            self._next_probe = now + self._pause_s

    def wait_s(self, now: float, in_flight: int) -> float | None:
        """Return how long the next request waits; None while a probe is out."""
        if not self.open:
            return 0.0
        return None if in_flight else max(0.0, self._next_probe - now)

    def gave_up(self, now: float) -> str | None:
        """Return why the run should stop, or None."""
        if not self.open:
            return None
        patience_s = self._outage_s if self._answered else min(self._outage_s, _NEVER_ANSWERED_S)
        if now - self._silent_since < patience_s:
            return None
        since = f"for {now - self._silent_since:.0f} s" if self._answered else "a single request"
        return f"the endpoint hasn't answered {since} ({len(self._heard)} failures in a row)"
