"""What is asked of a teacher for one row, and the identity under which its answer is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nexa_data.errors import RecordError

__all__ = ["TeacherRequest", "clean_endpoint", "request_key"]

_KEY_HEX = 32


@dataclass(frozen=True, slots=True)
class TeacherRequest:
    """One row to be answered.

    Args:
        row: The row's number in its source, counted from 0; errors name it.
        messages: Chat messages as the API takes them, at least one.
        columns: Input columns to carry to the output, by name.

    Raises:
        RecordError: The messages aren't chat messages.
    """

    row: int
    messages: Sequence[Mapping[str, Any]]
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no endpoint would take."""
        listed = isinstance(self.messages, Sequence) and not isinstance(self.messages, str | bytes)
        if not listed or not self.messages or not all(_is_message(message) for message in self.messages):
            raise RecordError(
                f"row {self.row}: messages aren't a list of chat messages",
                remedy='give a list such as [{"role": "user", "content": "…"}]',
            )


def _is_message(message: object) -> bool:
    return isinstance(message, Mapping) and isinstance(message.get("role"), str)


def clean_endpoint(base_url: str) -> str:
    """Return the endpoint without what could be a secret: user, password, query and fragment.

    Example:
        >>> clean_endpoint("http://me:pw@host:8000/v1/?token=x")
        'http://host:8000/v1'
    """
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(base_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def request_key(endpoint: str, body: Mapping[str, Any], occurrence: int = 0) -> str:
    """Return the identity of a request: 128 bits of sha256, as hex.

    Args:
        endpoint: Base URL without credentials; the same prompt to another endpoint is another request.
        body: The request body: model, messages and parameters. Headers, and so the key, are no part of it.
        occurrence: How many equal requests came before in the same run: rows that ask the same are sampled
            independently, and each keeps its own answer.

    Raises:
        TypeError: The body isn't JSON.
    """
    import orjson

    text = orjson.dumps([endpoint, body, occurrence], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:_KEY_HEX]
