"""Random numbers by counter for numpy: what a record draws depends on its number alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nexa_data import _core

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["uniform"]


def uniform(seed: int, purpose: int, numbers: npt.NDArray[np.int64], blocks: int) -> npt.NDArray[np.float64]:
    """Return numbers in [0, 1), known to 2^-32, that records draw: shape (n, 4 * blocks).

    Args:
        seed: The seed.
        purpose: What they are drawn for; another purpose draws others.
        numbers: The records' numbers, shape (n,).
        blocks: Blocks of four that each draws.
    """
    import pyarrow as pa

    drawn = _core.random_words(seed, purpose, np.ascontiguousarray(numbers, np.uint64), blocks)
    words = np.frombuffer(pa.record_batch(drawn)["words"].buffers()[1], np.uint32)
    found: npt.NDArray[np.float64] = words.reshape(-1, 4 * blocks) / 2.0**32
    return found
