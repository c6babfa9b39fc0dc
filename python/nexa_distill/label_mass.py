"""From the alternatives of an answer's tokens to the probability of each label."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["label_mass"]

_SPACE = b" \t\r\n"
_ENDS = frozenset({b" ", b"\n", b"\r", b"\t", b".", b",", b";", b"!"})


def label_mass(
    top: Sequence[Sequence[tuple[bytes, float]]], sampled: Sequence[bytes], labels: Sequence[str]
) -> tuple[list[float], float]:
    r"""Return the raw probability of each label, and the mass that fell on none.

    The first token's alternatives are read first. An alternative that begins exactly one label stands for that
    label: `"pos"` for `"positive"`. White space before it is passed over, so that `"A"` and `" A"` add up, and an
    alternative that goes on behind the label (`"A\\n"`) counts too, up to white space.

    An alternative that begins several labels (`"A"` of `"A1"` and `"A2"`) is decided by the next token, where the
    answer went that way: its alternatives share the mass. Where the answer went another way, or ends there, the mass
    goes to the label that equals what was said, if there is one, else it is residual. So no label gets mass that is
    another's, and `max_tokens` needs to be no larger than the longest beginning that labels share, plus one.

    A label outside the alternatives has no mass: what the endpoint doesn't show is residual.

    Args:
        top: For each token of the answer its alternatives, as (bytes, log probability), the sampled one among them.
        sampled: For each token the one that was sampled.
        labels: The label set.

    Returns:
        One probability per label, not scaled: they sum to at most 1. The rest is the residual mass, in [0, 1].

    Example:
        >>> top = [[(b"A", math.log(0.6)), (b" B", math.log(0.3)), (b"x", math.log(0.1))]]
        >>> mass, residual = label_mass(top, [b"A"], ["A", "B"])
        >>> [round(p, 3) for p in mass], round(residual, 3)
        ([0.6, 0.3], 0.1)
    """
    names = [label.strip().encode() for label in labels]
    mass = [0.0] * len(names)
    reached, said = 1.0, b""
    for alternatives, token in zip(top, sampled, strict=True):
        open_mass = 0.0
        for text, logprob in dict(alternatives).items():
            share = reached * math.exp(min(0.0, logprob))
            found, undecided = _stands_for(said + text, names)
            if undecided and text == token:
                open_mass += share
            elif found is not None:
                mass[found] += share
        said += token
        reached = open_mass
        if reached == 0.0:
            break
    if reached > 0.0 and said.strip(_SPACE) in names:  # it ended before another token could decide
        mass[names.index(said.strip(_SPACE))] += reached
    total = math.fsum(mass)
    if total > 1.0:  # rounding of the endpoint's
        mass = [value / total for value in mass]
    return mass, min(1.0, max(0.0, 1.0 - total))


def _stands_for(said: bytes, names: Sequence[bytes]) -> tuple[int | None, bool]:
    """Return the label that `said` stands for, if it is one, and whether another token has to decide."""
    text = said.lstrip(_SPACE)
    if not text:
        return None, True  # white space alone: the label comes next
    begun = [index for index, name in enumerate(names) if name.startswith(text)]
    if len(begun) > 1:
        exact = next((index for index in begun if names[index] == text), None)
        return exact, True
    if begun:
        return begun[0], False
    ended = [index for index, name in enumerate(names) if text.startswith(name) and _is_over(text, name)]
    return (ended[0] if ended else None), False


def _is_over(text: bytes, name: bytes) -> bool:
    """Return whether a label ends where `text` goes on behind it."""
    return text[len(name) : len(name) + 1] in _ENDS
