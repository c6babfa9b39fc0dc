"""Those that decode: each a function of (path, threads) that returns how many records it turned into columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benches.decode.cached import read_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benches.decode.agreement import Sums

    Read = Callable[[Path, int], int | None]
    Write = Callable[[Path, int], None]


@dataclass(frozen=True)
class Contestant:
    """One of those that are compared.

    Args:
        read: Decodes a file, and returns its records; None from what sees bytes alone.
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
        file: The file's name, or a folder's.
        write: Writes that many records into a file.
        contestants: Who reads it, by the name that the table has.
        ours: The name of the format in our reader.
        witness: A peer's reading, added up, that ours has to agree with.
        member: Which file of the folder ours reads.
        part: The form has a `part`-th of the records: its peers make a Python object of each.
        loaders: Its peer wants torch, and is installed in the environment of the loaders' bench.
    """

    file: str
    write: Write
    contestants: dict[str, Contestant]
    ours: str
    witness: Callable[[Path], Sums]
    member: str = ""
    part: int = 1
    loaders: bool = False


def ours(form: str, member: str = "") -> Contestant:
    """Return our reader of a format."""

    def read(path: Path, threads: int) -> int:
        from nexa_data import _core  # peers' processes don't load it

        rows = 0
        for _, batch, bad in _core.SourceReader(path / member, form).batches(threads=threads):
            assert not bad
            rows += len(batch)
        return rows

    return Contestant(read, "ours")


def file_read(member: str = "") -> Contestant:
    """Return the limit of the page cache: copy the file's bytes out of it, into memory that is used again."""

    def read(path: Path, _: int) -> None:
        read_files([path / member])

    return Contestant(read, "limit", (1,))
