"""Async work from plain code, with or without an event loop running (scripts, Jupyter), Ctrl-C included."""

from __future__ import annotations

import asyncio
import concurrent.futures
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from openai import AsyncOpenAI

__all__ = ["client_for_own_loop", "in_thread", "run_to_completion"]

_T = TypeVar("_T")


def run_to_completion(main: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run `main()` in an event loop of its own; where one runs already, in a thread beside it.

    Ctrl-C cancels `main` and waits until it has cleaned up, then raises `KeyboardInterrupt`.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main())
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def tracked() -> _T:
        task = asyncio.current_task()
        if task is not None:
            running.append((asyncio.get_running_loop(), task))
        return await main()

    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="nexa-distill") as pool:
        future = pool.submit(lambda: asyncio.run(tracked()))
        try:
            return future.result()
        except BaseException:
            if not future.done() and running:
                loop, task = running[0]
                loop.call_soon_threadsafe(task.cancel)
            raise


async def in_thread(work: Callable[[], _T]) -> _T:
    """Run blocking `work` in a thread; a cancellation waits until it has ended."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


@asynccontextmanager
async def client_for_own_loop(client: AsyncOpenAI) -> AsyncIterator[AsyncOpenAI]:
    """Give a copy of `client` that may be used in the running loop, and leaves no connection behind.

    Connections belong to the loop that opened them. So the SDK's default HTTP client is replaced by a fresh
    one; one that the user passed in (a proxy, a certificate) is used as it is.
    """
    import openai

    if type(client._client).__name__ != "AsyncHttpxClientWrapper":  # noqa: SLF001 (the SDK doesn't say it otherwise)
        yield client
        return
    async with openai.DefaultAsyncHttpxClient() as http_client:
        yield client.with_options(http_client=http_client)
