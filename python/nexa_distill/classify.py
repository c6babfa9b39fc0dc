"""One place that says what a failed attempt means: ask again, give up on the row, or stop the run."""

from __future__ import annotations

import email.utils
import math
import re
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from nexa_distill.answer import BrokenAnswerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Action", "Verdict", "classify", "redact", "retry_after_s"]

_QUOTA_CODES = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "quota_exceeded"}
)
_NOT_SENT = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "LocalProtocolError"}
)
_SHOWN_CHARS = 500
_SHORTEST_SECRET = 8
_KEY_LIKE = re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf)[-_][A-Za-z0-9_*-]{8,}")


class Action(StrEnum):
    """What to do after a failed attempt."""

    RETRY = "retry"
    FAIL_ROW = "fail-row"
    STOP_RUN = "stop-run"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Meaning of one failed attempt.

    Args:
        action: What to do.
        reason: What happened, in one line.
        retry_after_s: Wait that the endpoint asked for.
        lost: The request may have been answered, and paid for, although no answer arrived.
        remedy: What the user can do, where the run stops.
    """

    action: Action
    reason: str
    retry_after_s: float | None = None
    lost: bool = False
    remedy: str | None = None


def classify(error: Exception) -> Verdict | None:
    """Say what a failed attempt means; None for an error that isn't the teacher's (a bug, a full disk).

    | What happened | Action |
    |---|---|
    | 401, 403; quota or balance used up (by code, or 402) | stop the run |
    | 408, 409, 429, every 5xx | retry |
    | any other status (400, 404, 413, 422, …) | the row failed |
    | no connection | retry |
    | timeout, reset, closed early, 200 with a broken body | retry, counted as lost |
    """
    import openai

    if isinstance(error, openai.APIStatusError):
        return _classify_status(error)
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__ or error
        what = "timed out" if isinstance(error, openai.APITimeoutError) else "connection failed"
        return Verdict(Action.RETRY, _line(f"{what} ({_name(cause)})"), lost=_name(cause) not in _NOT_SENT)
    if isinstance(error, TimeoutError):
        return Verdict(Action.RETRY, "timed out", lost=True)
    # A bare JSONDecodeError is a ValueError; so is our own finding of the same fault.
    if (
        isinstance(error, BrokenAnswerError | openai.APIResponseValidationError)
        or _name(error) == "JSONDecodeError"
    ):
        return Verdict(Action.RETRY, _line(f"broken answer: {error}"), lost=True)
    return None


def _classify_status(error: Any) -> Verdict:
    status = int(error.status_code)
    reason = _line(f"status {status}: {error.message}")
    names = {str(error.code or ""), str(error.type or "")}
    if names & _QUOTA_CODES or status == 402:  # noqa: PLR2004 (402: payment required)
        return Verdict(Action.STOP_RUN, reason, remedy="the quota is used up: top it up, then run again")
    if status in {401, 403}:
        return Verdict(Action.STOP_RUN, reason, remedy="check OPENAI_API_KEY and its rights, then run again")
    if status in {408, 409, 429} or status >= 500:  # noqa: PLR2004
        return Verdict(Action.RETRY, reason, retry_after_s=retry_after_s(error.response.headers))
    return Verdict(Action.FAIL_ROW, reason)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the wait asked for by `Retry-After-Ms` or `Retry-After` (seconds or a date), else None.

    Example:
        >>> retry_after_s({"retry-after": "2"})
        2.0
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return None if seconds is None else max(0.0, seconds)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` shortened and without secrets: the given ones, and whatever looks like an API key.

    Args:
        text: A message that came from outside.
        secrets: Exact values to hide; those under 8 characters are placeholders, not secrets.
    """
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[redacted]")
    # Shortened last: a key that is cut in two would look like none.
    text = _KEY_LIKE.sub("[redacted]", text)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else None
    except ValueError:
        return None
    return number if number is not None and math.isfinite(number) else None


def _name(error: BaseException) -> str:
    return type(error).__name__


def _line(text: str) -> str:
    return " ".join(text.split())
