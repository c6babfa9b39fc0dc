"""Files whose proof was lost, read again: several at once, stopped by Ctrl-C."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["are"]


def are(claims: Iterable[tuple[str, str]]) -> list[bool]:
    """Say of each file whether it has the digest that is claimed, and make those durable that have.

    Args:
        claims: Path and `algorithm:hex`.
    """
    from nexa_data import _core

    control = _core.Control()

    def check(claim: tuple[str, str]) -> bool:
        path, digest = claim
        try:
            if _core.digest_file(path, digest.partition(":")[0], control=control)[1] != digest:
                return False
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError:
            return False
        return True

    with ThreadPoolExecutor(_core.default_threads(), "nexa-digest") as threads:
        try:
            return list(threads.map(check, claims))
        except BaseException:
            control.cancel()
            threads.shutdown(cancel_futures=True)
            raise
