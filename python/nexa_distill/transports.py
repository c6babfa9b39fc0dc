"""Which transport a client needs, opened in the running event loop."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from nexa_distill.sdk_transport import SdkTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openai import AsyncOpenAI

    from nexa_distill.settings import TeacherSettings
    from nexa_distill.transport import Transport

__all__ = ["open_transport"]


@asynccontextmanager
async def open_transport(client: AsyncOpenAI, settings: TeacherSettings) -> AsyncIterator[Transport]:
    """Give the fast transport where it sends what `client` would, else one that asks through `client` itself.

    A subclass (Azure), a key that is fetched anew for each request, and an HTTP client of the caller's own (proxies,
    certificates, hooks) do things that only the client knows; so does the SDK's own, of proxies that aren't HTTP.

    Connections belong to the loop that opened them. So the SDK's default HTTP client is never used, but a fresh one;
    one that the caller passed in is used as it is.
    """
    import openai

    from nexa_distill.direct_transport import DirectTransport, proxy_for

    # The SDK says neither whether its HTTP client is its own nor whether the key is fetched.
    default_http = type(client._client).__name__ == "AsyncHttpxClientWrapper"  # noqa: SLF001
    fetched_key = getattr(client, "_api_key_provider", None) is not None
    transport: Transport
    http_proxy = (proxy_for(str(client.base_url)) or "http").startswith("http")
    if type(client) is openai.AsyncOpenAI and default_http and not fetched_key and http_proxy:
        from nexa_distill.wire import wire_of

        transport = DirectTransport(
            await wire_of(client, settings), timeout_s=settings.timeout_s, connections=settings.concurrency
        )
        try:
            yield transport
        finally:
            await transport.close()
    elif default_http:
        async with openai.DefaultAsyncHttpxClient() as http_client:
            yield SdkTransport(client.with_options(http_client=http_client), settings)
    else:
        yield SdkTransport(client, settings)
