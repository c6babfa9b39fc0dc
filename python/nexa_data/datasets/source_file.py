"""One file of a source, and what is known of it beforehand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["SourceFile"]


@dataclass(slots=True)
class SourceFile:
    """One file of a source.

    Args:
        path: The file.
        origin: Its name relative to the folder or glob that it was found by; what splits depend on, so that a
            dataset that is moved stays split as it was.
        split: Split that all of it belongs to, where it was cut already.
        digests: Hexadecimal digests that an index beside it promises, by algorithm.
    """

    path: Path
    origin: str
    split: str | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
