"""How a request reaches a teacher and what can come back: the one interface that a collection asks through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AnswerLostError", "NotSentError", "Reply", "TimedOutError", "Transport", "TransportError"]


@dataclass(frozen=True, slots=True)
class Reply:
    """A response as it came, whatever its status.

    Args:
        status: HTTP status.
        headers: Response headers, found by lower-case name.
        body: The whole body, decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class TransportError(Exception):
    """An attempt that ended without a response; the text holds neither key nor prompt."""


class NotSentError(TransportError):
    """Nothing was sent: no connection, no name, no certificate. It certainly cost nothing."""


class AnswerLostError(TransportError):
    """The request was sent, at least in part, and its answer is lost: it may have been answered and paid for."""


class TimedOutError(AnswerLostError):
    """No complete answer within the time."""


class Transport(Protocol):
    """Sends one request at a time for each caller; many callers at once.

    A transport never retries: whether to send again is decided where spending is counted.
    """

    async def send(self, asked: bytes) -> Reply:
        """Send one request.

        Args:
            asked: The request's own part as a JSON object: its messages, and its tools if it has any. All else was
                given to the transport when it was made.

        Raises:
            NotSentError: It certainly cost nothing.
            AnswerLostError: It may have been answered and paid for.
        """
        ...
