"""Async work from plain code, with or without an event loop running (scripts, Jupyter), Ctrl-C included."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["in_thread", "run_to_completion"]

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
