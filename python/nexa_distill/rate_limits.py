"""How much the endpoint grants per minute: buckets that fill again, fed by the user and by every response."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Bucket", "RateLimits", "reset_s"]

_WINDOW_S = 60.0
_BURST_S = 1.0
_LONGEST_RESET_S = 3600.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def reset_s(text: str | None) -> float | None:
    """Return the seconds of a duration as rate headers write it: `6m0s`, `120ms`, or a bare number of seconds.

    Example:
        >>> reset_s("1m30s"), reset_s("120ms"), reset_s("7"), reset_s("soon")
        (90.0, 0.12, 7.0, None)
    """
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        parts = _DURATION.findall(text)
        if not parts or _DURATION.sub("", text).strip():
            return None
        seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    return min(seconds, _LONGEST_RESET_S) if seconds >= 0 else None


@dataclass(slots=True)
class Bucket:
    """A quantity that fills with time up to its capacity.

    Args:
        per_second: What is added each second; infinite for no limit.
        capacity: The most that it holds.
        level: What it holds; below zero after something larger than the capacity was taken.
        at: When it was looked at last, on a monotonic clock in seconds.
    """

    per_second: float
    capacity: float
    level: float
    at: float

    @classmethod
    def per_minute(cls, limit: float | None, now: float) -> Bucket:
        """Return a full bucket for a limit per minute; bursts are those of one second, at least one piece."""
        rate = float("inf") if limit is None else limit / _WINDOW_S
        capacity = max(1.0, rate * _BURST_S)
        return cls(rate, capacity, capacity, now)

    def wait_s(self, amount: float, now: float) -> float:
        """Return how long until `amount` can be taken; more than the capacity waits for a full bucket."""
        if self.per_second == float("inf"):
            return 0.0
        self._fill(now)
        missing = min(amount, self.capacity) - self.level
        return max(0.0, missing / self.per_second) if self.per_second > 0 else 0.0

    def take(self, amount: float, now: float) -> None:
        """Take `amount`, or give it back where it is negative."""
        if self.per_second != float("inf"):
            self._fill(now)
            self.level = min(self.capacity, self.level - amount)

    def hear(self, limit: float, remaining: float, reset: float | None, now: float) -> None:
        """Take over what a response said: the limit of its window, what remains of it, and when it is full again."""
        used = limit - remaining
        rate = used / reset if reset and used > 0 else limit / _WINDOW_S
        if self.per_second == float("inf"):
            self.per_second, self.capacity, self.level, self.at = rate, limit, max(0.0, remaining), now
            return
        self._fill(now)
        # Where the window is a fixed one, the first responses make it look as if it filled slowly; later ones don't.
        self.per_second, self.capacity = max(self.per_second, rate), limit
        self.level = min(self.level, max(0.0, remaining))

    def _fill(self, now: float) -> None:
        self.level = min(self.capacity, self.level + (now - self.at) * self.per_second)
        self.at = now


class RateLimits:
    """Requests and tokens that may be sent, by the user's limits and by the `x-ratelimit-*` headers of responses.

    Args:
        requests_per_minute: The user's limit; None: what the endpoint says.
        tokens_per_minute: As above, prompt and answer together.
        now: Monotonic seconds.
    """

    def __init__(
        self, requests_per_minute: float | None, tokens_per_minute: float | None, *, now: float
    ) -> None:
        self._requests = Bucket.per_minute(requests_per_minute, now)
        self._tokens = Bucket.per_minute(tokens_per_minute, now)
        self._heard_requests: Bucket | None = None
        self._heard_tokens: Bucket | None = None

    def wait_s(self, tokens: float, now: float) -> float:
        """Return how long a request of about so many tokens has to wait."""
        waits = [bucket.wait_s(1.0, now) for bucket in (self._requests, self._heard_requests) if bucket]
        waits += [bucket.wait_s(tokens, now) for bucket in (self._tokens, self._heard_tokens) if bucket]
        return max(waits)

    def take(self, tokens: float, now: float) -> None:
        """Count a request that is sent."""
        for bucket in (self._requests, self._heard_requests):
            if bucket:
                bucket.take(1.0, now)
        self.settle(-tokens, now)

    def settle(self, tokens: float, now: float) -> None:
        """Give back tokens that were taken and not used; a negative number takes more."""
        for bucket in (self._tokens, self._heard_tokens):
            if bucket:
                bucket.take(-tokens, now)

    def hear(self, headers: Mapping[str, str], now: float) -> None:
        """Learn from a response's headers; limits of −1 and 0, which some servers send for "none", say nothing."""
        self._heard_requests = _heard(self._heard_requests, headers, "requests", now)
        self._heard_tokens = _heard(self._heard_tokens, headers, "tokens", now)


def _heard(bucket: Bucket | None, headers: Mapping[str, str], what: str, now: float) -> Bucket | None:
    limit = _positive(headers.get(f"x-ratelimit-limit-{what}"))
    remaining = _count(headers.get(f"x-ratelimit-remaining-{what}"))
    if limit is None or remaining is None or remaining < 0:
        return bucket
    bucket = bucket or Bucket(float("inf"), limit, limit, now)
    bucket.hear(limit, remaining, reset_s(headers.get(f"x-ratelimit-reset-{what}")), now)
    return bucket


def _positive(text: str | None) -> float | None:
    number = _count(text)
    return number if number is not None and number > 0 else None


def _count(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    return number if number is not None and abs(number) < float("inf") else None
