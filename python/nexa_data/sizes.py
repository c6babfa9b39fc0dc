"""Sizes as people write them: `500GB`, `64GiB`, `200MB/s`."""

from __future__ import annotations

import re
from fractions import Fraction

from nexa_data.errors import ConfigError

__all__ = ["size_bytes"]

_FORM = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)(b?)\s*", re.IGNORECASE)


def size_bytes(text: str | int, *, what: str = "size") -> int:
    """Return a size in bytes.

    Args:
        text: Plain bytes, or a number with B, kB, MB, GB, TB, PB (powers of 1000) or KiB, MiB, GiB, TiB, PiB (powers
            of 1024); `/s` behind it is let be.
        what: What it is called in the error.

    Raises:
        ConfigError: It isn't a size above zero.

    Example:
        >>> size_bytes("500GB"), size_bytes("1.5 KiB"), size_bytes("200MB/s"), size_bytes(7)
        (500000000000, 1536, 200000000, 7)
    """
    found = _FORM.fullmatch(str(text).strip().removesuffix("/s"))
    number, letter, binary, unit = found.groups() if found else ("", "", "", "")
    # A bare `64G` is read in two ways by two people, so it is in none here.
    if not number or (letter and not unit) or (binary and not letter):
        raise _refused(text, what)
    power = "kmgtp".index(letter.lower()) + 1 if letter else 0
    size = int(Fraction(number) * (1024 if binary else 1000) ** power)
    if size <= 0:
        raise _refused(text, what)
    return size


def _refused(text: str | int, what: str) -> ConfigError:
    return ConfigError(f"{what} {str(text)!r} is no size", remedy="write plain bytes, 500GB or 64GiB")
