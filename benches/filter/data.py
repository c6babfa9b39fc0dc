"""The records that every contestant filters: made from a seed, in the form that each of them likes best."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

WIDTH = 32
SEED = 7


@dataclass(frozen=True)
class Question:
    """How many labels are allowed, and which share of the rows has one.

    Args:
        labels: Number of allowed labels.
        share: Share of the rows that is kept.
    """

    labels: int
    share: float

    @property
    def name(self) -> str:
        """Return it as the tables say it."""
        return f"K={self.labels:,}, {self.share:.0%} kept"

    @property
    def allowed(self) -> list[int]:
        """Allowed labels: every other number, so that no range answers."""
        return list(range(0, 2 * self.labels, 2))

    def column(self, rows: int) -> npt.NDArray[np.int64]:
        """Return labels of `rows` rows, in no order."""
        chance = np.random.default_rng(SEED)
        inside = chance.random(rows) < self.share
        return 2 * chance.integers(0, self.labels, rows) + ~inside


QUESTIONS = [
    Question(100, 0.01),
    Question(100, 0.5),
    Question(100, 0.99),
    Question(2, 0.5),
    Question(100_000, 0.5),
]


def features(rows: int) -> npt.NDArray[np.float32]:
    """Return vectors, shape (rows, 32)."""
    return np.random.Generator(np.random.SFC64(SEED)).standard_normal((rows, WIDTH), np.float32)


def records(question: Question, rows: int) -> list[tuple[Any, int]]:
    """Return tuples of an object and a label, as Python programs make them: one after the other."""
    chance = random.Random(SEED)  # noqa: S311 (nothing is secret here)
    allowed = question.allowed
    found = []
    for at in range(rows):
        label = allowed[chance.randrange(len(allowed))] + (chance.random() >= question.share)
        found.append((float(at), label))
    return found
