"""Those that decode: each a function of (path, threads) that returns how many records it turned into columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Read = Callable[[Path, int], int]
    Write = Callable[[Path, int], None]


@dataclass(frozen=True)
class Contestant:
    """One of those that are compared.

    Args:
        read: Decodes a file, and returns its records.
        kind: `ours`, `peer`, `reference` (does less or other work) or `limit`.
        threads: The numbers of threads that it can work with.
    """

    read: Read
    kind: str = "peer"
    threads: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class Form:
    """A format: how its file is written, and who reads it.

    Args:
        file: The file's name.
        write: Writes that many records into a file.
        contestants: Who reads it, by the name that the table has.
    """

    file: str
    write: Write
    contestants: dict[str, Contestant]


def ours(form: str) -> Contestant:
    """Return our reader of a format."""

    def read(path: Path, threads: int) -> int:
        from nexa_data import _core  # peers' processes don't load it

        rows = 0
        for _, batch, bad in _core.SourceReader(path, form).batches(threads=threads):
            assert not bad
            rows += len(batch)
        return rows

    return Contestant(read, "ours")
