"""Calls of the native core on several files at once, which end when whoever waits for them is interrupted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nexa_data import _core

__all__ = ["side_by_side"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(call: Callable[[Item, _core.Control], Result], items: Iterable[Item]) -> list[Result]:
    """Return what `call` returned for each item, in their order.

    Args:
        call: Called in a thread; the control ends its native work on Ctrl-C, or when a call of an item before its own failed.
        items: What it is called with.

    Raises:
        BaseException: What the first call raised that failed; `KeyboardInterrupt`.
    """
    from nexa_data import _core

    control = _core.Control()
    with ThreadPoolExecutor(_core.default_threads(), "nexa-files") as threads:
        try:
            return list(threads.map(lambda item: call(item, control), items))
        except BaseException:
            control.cancel()
            threads.shutdown(cancel_futures=True)
            raise
