"""The records that every format is written with, from a seed: {id, label, 32 features, a text of about 100 characters}."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS, QUICK_ROWS = 400_000, 20_000
FEATURES = 32
_CHUNK = 10_000
_WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "you",
    "that",
    "it",
    "he",
    "was",
    "for",
    "on",
    "are",
    "as",
    "with",
    "his",
    "they",
    "at",
    "be",
    "this",
    "have",
    "from",
    "or",
    "one",
    "had",
    "by",
    "word",
    "but",
    "not",
    "what",
    "all",
    "were",
    "we",
    "when",
    "your",
    "can",
    "said",
    "there",
    "use",
    "an",
    "each",
    "which",
    "she",
    "do",
    "how",
    "their",
    "if",
    "will",
    "up",
    "other",
    "about",
]


def chunks(rows: int) -> Iterator[dict[str, Any]]:
    """Yield columns of up to 10,000 records each; floats as people write them, with six digits."""
    random = np.random.default_rng(7)
    for first in range(0, rows, _CHUNK):
        n = min(_CHUNK, rows - first)
        words = random.choice(_WORDS, (n, 28))
        yield {
            "id": range(first, first + n),
            "label": random.integers(0, 1000, n).tolist(),
            "features": np.round(random.standard_normal((n, FEATURES)), 6).tolist(),
            "text": [" ".join(row)[:100] for row in words.tolist()],
        }
