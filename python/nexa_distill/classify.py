"""One place that says what a failed attempt means: ask again, give up on the row, or stop the run."""

from __future__ import annotations

import email.utils
import math
import re
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from nexa_data.redaction import SHORTEST_SECRET, redact_text

from nexa_distill.transport import AnswerLostError, NotSentError, TimedOutError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nexa_distill.transport import Reply, TransportError

__all__ = [
    "Action",
    "Verdict",
    "broken",
    "classify_error",
    "classify_reply",
    "redact",
    "retry_after_s",
    "without_echo",
    "without_keys",
]

_OK = range(200, 300)
_REDIRECTS = range(300, 400)
_PAYMENT = 402
_AUTH = frozenset({401, 403})
_RETRIED = frozenset({408, 409, 425, 429})
_THROTTLED = frozenset({429, 503, 529})
_SERVER = 500
_QUOTA_CODES = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "quota_exceeded"}
)
_SHOWN_CHARS = 500
_SHORTEST_KEY_IN_BODY = 20
_SHORTEST_ECHO = 20
_HIDDEN = re.compile("\0+")


class Action(StrEnum):
    """What to do after a failed attempt."""

    RETRY = "retry"
    FAIL_ROW = "fail-row"
    UNKNOWN = "unknown"
    STOP_RUN = "stop-run"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Meaning of one failed attempt.

    Args:
        action: What to do.
        reason: What happened, in one line, without prompt text.
        retry_after_s: Wait that the endpoint asked for.
        lost: The request may have been answered, and paid for, although no answer arrived.
        unsent: Nothing went out: the endpoint can't be reached, whichever row it is.
        throttled: The endpoint asks for fewer requests.
        outage: The endpoint can't be reached, or fails by itself.
        status: HTTP status, 0 where there was none.
        remedy: What the user can do, where the run stops.
    """

    action: Action
    reason: str
    retry_after_s: float | None = None
    lost: bool = False
    unsent: bool = False
    throttled: bool = False
    outage: bool = False
    status: int = 0
    remedy: str | None = None


def classify_error(error: TransportError) -> Verdict:
    """Say what an attempt without a response means.

    | What happened | Action |
    |---|---|
    | no connection | retry; it cost nothing, and none of the row's attempts |
    | no answer within the time | retry, counted as spent |
    | sent, and the answer lost: reset, closed early, cut | unknown: asked again as the user's policy says |
    """
    reason = _line(str(error))
    if isinstance(error, NotSentError):
        return Verdict(Action.RETRY, reason, unsent=True, outage=True)
    if isinstance(error, TimedOutError):
        return Verdict(Action.RETRY, reason, lost=True, throttled=True, outage=True)
    assert isinstance(error, AnswerLostError)  # noqa: S101 (the third of three)
    return Verdict(Action.UNKNOWN, reason, lost=True, outage=True)


def broken(reason: str) -> Verdict:
    """Say what a response of status 200 means whose body isn't an answer: it may have been paid for."""
    return Verdict(Action.UNKNOWN, _line(f"broken answer: {reason}"), lost=True, outage=True)


def classify_reply(reply: Reply) -> Verdict | None:
    """Say what a response means; None for one that says it is an answer.

    | Status | Action |
    |---|---|
    | 401, 403; quota or balance used up (by code, or 402) | stop the run |
    | 3xx | stop the run: a key is not carried to another address |
    | 408, 409, 425, 429, every 5xx | retry |
    | any other (400, 404, 413, 422, …) | the row failed |
    """
    status = reply.status
    if status in _OK:
        return None
    message, names = _said(reply)
    reason = _line(f"status {status}: {message}")
    if status in _REDIRECTS:
        where = reply.headers.get("location", "another address")
        return Verdict(
            Action.STOP_RUN, _line(f"status {status}: the endpoint redirects to {where}"), status=status,
            remedy="set OPENAI_BASE_URL to the address that answers, then run again",
        )  # fmt: skip
    if status == _PAYMENT or names & _QUOTA_CODES:
        remedy = "the quota is used up: top it up, then run again"
        return Verdict(Action.STOP_RUN, reason, status=status, remedy=remedy)
    if status in _AUTH:
        remedy = "check OPENAI_API_KEY and its rights, then run again"
        return Verdict(Action.STOP_RUN, reason, status=status, remedy=remedy)
    if status in _RETRIED or status >= _SERVER:
        return Verdict(
            Action.RETRY,
            reason,
            retry_after_s=retry_after_s(reply.headers),
            throttled=status in _THROTTLED,
            outage=status >= _SERVER,
            status=status,
        )
    return Verdict(Action.FAIL_ROW, reason, status=status)


def _said(reply: Reply) -> tuple[str, set[str]]:
    """Return an error body's message, and the codes in it."""
    import orjson

    try:
        document = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        kind = reply.headers.get("content-type", "unknown type").partition(";")[0]
        return f"a body of {len(reply.body)} bytes ({kind})", set()
    error: Any = document.get("error", document) if isinstance(document, dict) else {}
    if isinstance(error, str):
        return error, set()
    if not isinstance(error, dict):
        return "no message", set()
    names = {str(error.get("code") or ""), str(error.get("type") or "")}
    return str(error.get("message") or error.get("detail") or "no message"), names


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
    # Shortened last: a key that is cut in two would look like none.
    text = redact_text(text, secrets)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def without_echo(text: str, asked: Iterable[str]) -> str:
    """Return a message without what it repeats of a prompt: the whole, or pieces of 20 characters and more.

    Args:
        text: A message of one line.
        asked: Texts of the prompt; white space in them may have been changed on the way.

    Example:
        >>> without_echo("can't read 'my secret diary of 1999'", ["my secret diary  of 1999, all of it"])
        "can't read '[prompt]'"
    """
    text = _line(text)
    hidden = bytearray(len(text))
    for source in map(_line, asked):
        size = min(len(source), _SHORTEST_ECHO)
        if size < SHORTEST_SECRET:
            continue
        for start in range(len(text) - size + 1):
            if text[start : start + size] in source:
                hidden[start : start + size] = b"\1" * size
    return _HIDDEN.sub(
        "[prompt]", "".join("\0" if hide else char for char, hide in zip(text, hidden, strict=True))
    )


def without_keys(body: bytes, keys: Iterable[str]) -> bytes:
    """Return an answer without the API key, which some proxies repeat: the model never saw it, so it said nothing of it.

    Args:
        body: A response's body.
        keys: Keys; those under 20 characters may be placeholders that are words too, and stay.
    """
    for key in keys:
        if len(key) >= _SHORTEST_KEY_IN_BODY:
            body = body.replace(key.encode(), b"[redacted]")
    return body


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else None
    except ValueError:
        return None
    return number if number is not None and math.isfinite(number) else None


def _line(text: str) -> str:
    return " ".join(text.split())
