"""Files whose proof was lost, read again: several at once, stopped by Ctrl-C."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nexa_data.side_by_side import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["are"]


def are(claims: Iterable[tuple[str, str]]) -> list[bool]:
    """Say of each file whether it has the digest that is claimed, and make those durable that have.

    Args:
        claims: Path and `algorithm:hex`.
    """
    from nexa_data import _core

    def check(claim: tuple[str, str], control: _core.Control) -> bool:
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

    return side_by_side(check, claims)
