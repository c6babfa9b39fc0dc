"""What the official client would send: its URL, headers and body, so that a faster path sends the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nexa_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openai import AsyncOpenAI

    from nexa_distill.settings import TeacherSettings

__all__ = ["Wire", "client_arguments", "wire_of"]

_CONNECTION_HEADERS = frozenset(
    {"host", "content-length", "connection", "accept-encoding", "transfer-encoding"}
)
_PLACEHOLDER = "0"


@dataclass(frozen=True, slots=True)
class Wire:
    """One request of the official client, without what is a single request's own.

    Args:
        url: Where it goes.
        headers: All headers that don't belong to the connection; among them the key, so never shown.
        shared: What all bodies share, as a JSON object.
    """

    url: str
    headers: Mapping[str, str]
    shared: bytes

    def __repr__(self) -> str:
        """Show the address alone: headers hold the key."""
        return f"Wire({self.url})"

    def body(self, asked: bytes) -> bytes:
        """Return the body of a request whose own part is `asked`, a JSON object."""
        return b"".join((asked[:-1], b",", self.shared[1:]))


def client_arguments(settings: TeacherSettings) -> dict[str, Any]:
    """Return the arguments of `chat.completions.create` beside the messages."""
    extra = dict(settings.extra_body)
    named = {name: value for name, value in settings.parameters().items() if name not in extra}
    return {"model": settings.model, **named, "extra_body": extra or None, "timeout": settings.timeout_s}


async def wire_of(client: AsyncOpenAI, settings: TeacherSettings) -> Wire:
    """Let `client` make a request, and take it before it leaves.

    Args:
        client: Any client of the SDK; nothing is sent with it.
        settings: What is asked with each row.

    Raises:
        ConfigError: The client makes no request out of these settings.
    """
    import openai
    import orjson

    caught: list[Any] = []

    async def catch(request: Any) -> None:
        caught.append(request)
        raise _CaughtError

    placeholder: Any = [{"role": "user", "content": _PLACEHOLDER}]
    async with openai.DefaultAsyncHttpxClient(event_hooks={"request": [catch]}) as http_client:
        caller = client.with_options(http_client=http_client, max_retries=0)
        try:
            await caller.chat.completions.create(messages=placeholder, **client_arguments(settings))
        except (openai.APIConnectionError, _CaughtError):
            pass
        except openai.OpenAIError as error:
            raise ConfigError(
                f"the client makes no request: {error}", remedy="check its arguments"
            ) from error
    if not caught:
        raise ConfigError("the client made no request", remedy="pass an AsyncOpenAI of the SDK")
    request = caught[0]
    rest = {name: value for name, value in orjson.loads(request.content).items() if name != "messages"}
    headers = {
        name: value for name, value in request.headers.items() if name.lower() not in _CONNECTION_HEADERS
    }
    return Wire(str(request.url), headers, orjson.dumps(rest))


class _CaughtError(Exception):
    """Keeps a request from being sent."""
