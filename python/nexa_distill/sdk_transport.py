"""The official client as it is, for those that only it knows how to use: own HTTP clients, rotating keys, Azure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nexa_distill.transport import AnswerLostError, NotSentError, Reply, TimedOutError
from nexa_distill.wire import client_arguments

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from nexa_distill.settings import TeacherSettings

__all__ = ["SdkTransport"]

_NOT_SENT = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "PoolTimeout",
        "UnsupportedProtocol",
        "LocalProtocolError",
        "ProxyError",
    }
)


class SdkTransport:
    """Sends with the official client, without its retries: they send again what was answered and paid for.

    Args:
        client: The caller's client; not closed here.
        settings: What is asked with each row.
    """

    def __init__(self, client: AsyncOpenAI, settings: TeacherSettings) -> None:
        self._client = client.with_options(max_retries=0)
        self._arguments = client_arguments(settings)
        self._timeout_s = settings.timeout_s

    async def send(self, asked: bytes) -> Reply:
        """Send one request; see `Transport.send`."""
        import openai
        import orjson

        try:
            # The SDK's timeout is per read; this one bounds an answer that trickles in.
            async with asyncio.timeout(self._timeout_s):
                response = await self._client.chat.completions.with_raw_response.create(
                    **orjson.loads(asked), **self._arguments
                )
        except openai.APIStatusError as error:
            body = error.response.content
            return Reply(error.status_code, dict(error.response.headers.items()), body)
        except (TimeoutError, openai.APITimeoutError) as error:
            if _name(error.__cause__) in _NOT_SENT:
                raise NotSentError(f"connection failed ({_name(error.__cause__)})") from error
            raise TimedOutError(f"timed out after {self._timeout_s:g} s") from error
        except openai.APIConnectionError as error:
            cause = _name(error.__cause__ or error)
            if cause in _NOT_SENT:
                raise NotSentError(f"connection failed ({cause})") from error
            raise AnswerLostError(f"connection lost ({cause})") from error
        return Reply(response.status_code, dict(response.headers.items()), response.content)


def _name(error: BaseException | None) -> str:
    return type(error).__name__
