"""When the endpoint is down: one probe at a time instead of every row's retries, and an end that says so."""

from __future__ import annotations

__all__ = ["Breaker"]

_FIRST_PROBE_S = 0.5
_LONGEST_PROBE_S = 15.0
_NEVER_ANSWERED_S = 10.0


class Breaker:
    """Opens after so many failures in a row that are the endpoint's own, and gives up when it stays down.

    While it is open one request at a time goes out, after 0.5 s, then 1 s, 2 s, … 15 s; the first answer closes it.
    It gives up after `outage_s`; where nothing was ever answered, after 10 s at most: an address is wrong then.

    Args:
        failures: Failures in a row that open it.
        outage_s: Longest outage that is waited for.
    """

    def __init__(self, failures: int, outage_s: float) -> None:
        self._failures = failures
        self._outage_s = outage_s
        self._in_a_row = 0
        self._since = 0.0
        self._failed_at = float("-inf")
        self._good_until = float("-inf")  # when the latest of the answered requests was sent
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
        """Whether nothing that was sent since the last failure of the endpoint's own was answered.

        What was under way when the endpoint went down may be answered later: that says nothing about what is sent now.
        """
        return self._failed_at > self._good_until

    def success(self, sent_at: float) -> None:
        """Close: the endpoint answered, whatever it said, a request that was sent at `sent_at`."""
        self._good_until = max(self._good_until, sent_at)
        self._answered = True
        self._in_a_row = 0
        self._open = False
        self._pause_s = _FIRST_PROBE_S

    def failure(self, now: float) -> None:
        """Count a failure of the endpoint's own."""
        if self._in_a_row == 0:
            self._since = now
        self._in_a_row += 1
        self._failed_at = now
        if not self._open and self._in_a_row >= self._failures:
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
        if now - self._since < patience_s:
            return None
        since = f"for {now - self._since:.0f} s" if self._answered else "a single request"
        return f"the endpoint hasn't answered {since} ({self._in_a_row} failures in a row)"
