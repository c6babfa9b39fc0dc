"""What is asked of a teacher for one row, and the identity under which its answer is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nexa_data.errors import RecordError

__all__ = ["KEY_BYTES", "TeacherRequest", "clean_endpoint", "request_key"]

KEY_BYTES = 16
"""Bytes of a request's key."""


@dataclass(frozen=True, slots=True)
class TeacherRequest:
    """One row to be answered.

    Args:
        row: The row's number in its source, counted from 0; errors name it.
        messages: Chat messages as the API takes them, at least one.
        columns: Input columns to carry to the output, by name.
        tools: Tools of this request, as the API takes them; those of all requests stand in `extra_body`.

    Raises:
        RecordError: The messages aren't chat messages.
    """

    row: int
    messages: Sequence[Mapping[str, Any]]
    columns: Mapping[str, Any] = field(default_factory=dict)
    tools: Sequence[Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        """Refuse what no endpoint would take."""
        listed = isinstance(self.messages, Sequence) and not isinstance(self.messages, str | bytes)
        if not listed or not self.messages or not all(_is_message(message) for message in self.messages):
            raise RecordError(
                f"row {self.row}: messages aren't a list of chat messages",
                remedy='give a list such as [{"role": "user", "content": "…"}]',
            )

    def asked(self) -> dict[str, Any]:
        """Return the part of the body that is this request's own."""
        own: dict[str, Any] = {"messages": self.messages}
        return own if self.tools is None else {**own, "tools": self.tools}


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


def request_key(endpoint: str, parameters: bytes, asked: bytes, sample: int = 0) -> bytes:
    """Return the identity of a request: 128 bits of sha256.

    Args:
        endpoint: Base URL without credentials; the same prompt to another endpoint is another request.
        parameters: Model and parameters as canonical JSON. Headers, and so the key, are no part of it.
        asked: What is the request's own, as canonical JSON.
        sample: How many equal requests came before in the same run: rows that ask the same are sampled
            independently, and each keeps its own answer.
    """
    digest = hashlib.sha256()
    for part in (endpoint.encode(), parameters, asked, str(sample).encode()):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()[:KEY_BYTES]
