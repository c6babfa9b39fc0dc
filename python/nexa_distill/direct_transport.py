"""The hot path: the official client's own request, posted with aiohttp, the body handed on as it came."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from nexa_distill.transport import AnswerLostError, NotSentError, Reply, TimedOutError

if TYPE_CHECKING:
    from nexa_distill.wire import Wire

__all__ = ["MAX_BODY_BYTES", "DirectTransport", "proxy_for"]

MAX_BODY_BYTES = 256 << 20
"""Longest body that is read: beyond it the answer counts as lost."""

_CONNECT_S = 30.0
_IDLE_S = 4.0  # Below the keep-alive of common servers (5 s): a connection that they close under us loses an answer.


class DirectTransport:
    """Posts what the official client would, over connections that are kept open.

    Args:
        wire: The request.
        timeout_s: Longest time from sending to the last byte of the answer.
        connections: Most connections at once.
    """

    def __init__(self, wire: Wire, *, timeout_s: float, connections: int) -> None:
        self._wire = wire
        self._timeout_s = timeout_s
        connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=_IDLE_S)
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=wire.headers,
            skip_auto_headers=("User-Agent",),
            timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_S),
            proxy=proxy_for(wire.url),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def send(self, asked: bytes) -> Reply:
        """Send one request; see `Transport.send`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(self._wire.body(asked))
        except TimeoutError:
            raise TimedOutError(f"timed out after {self._timeout_s:g} s") from None
        except (
            aiohttp.ClientConnectorError,
            aiohttp.InvalidURL,
            aiohttp.ClientProxyConnectionError,
        ) as error:
            raise NotSentError(f"connection failed ({_cause(error)})") from error
        except (aiohttp.ClientError, OSError) as error:
            raise AnswerLostError(f"connection lost ({_cause(error)})") from error

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _post(self, body: bytes) -> Reply:
        try:
            context = await self._session.post(self._wire.url, data=body, allow_redirects=False)
        except aiohttp.ConnectionTimeoutError as error:
            raise NotSentError(f"no connection within {_CONNECT_S:g} s") from error
        async with context as response:
            return Reply(response.status, _Lower(response.headers), await _read(response))


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for `url`, as the official client takes it.

    It is looked up once: with `trust_env` the session asks for it, and for a password in `.netrc`, in a thread for each request.
    """
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    named = getproxies()
    return named.get(parts.scheme) or named.get("all")


class _Lower(dict[str, str]):
    def __init__(self, headers: Any) -> None:
        super().__init__((name.lower(), value) for name, value in headers.items())


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > MAX_BODY_BYTES:
            response.close()
            raise AnswerLostError(f"the answer is longer than {MAX_BODY_BYTES >> 20} MiB")
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _cause(error: BaseException) -> str:
    number = getattr(error, "errno", None)
    # The errors' own texts hold addresses, and a proxy's address may hold its password.
    return os.strerror(number) if isinstance(number, int) and number > 0 else type(error).__name__
