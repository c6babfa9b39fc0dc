"""Several datasets in one loader: whose turn it is, and how far each has come."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexa_data import _core
from nexa_data.datasets.orders import EpochOrder, MixedEpoch, Mixing
from nexa_data.datasets.sources import ShardSource
from nexa_data.errors import ConfigError
from nexa_data.filters.columns import parse_label_filters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nexa_data.config import MixtureConfig, MixtureSource

__all__ = ["MixedOrders", "Recipe", "mixture_sources", "recipe"]

_log = logging.getLogger(__name__)

Recipe = tuple[tuple[int, ...], tuple[int | None, ...], int | str]
"""Weights as whole numbers, the most records of each source in an epoch, and when an epoch ends."""

_DIGEST_CHARS = 16
_FAR = 2**63


def mixture_sources(mixture: MixtureConfig, split: str, *, train: bool) -> tuple[ShardSource, ...]:
    """Return the sources that a split's loader reads.

    A source that names a split of its own gives it to train alone: what a model is trained on is not what it is
    evaluated on.

    Raises:
        ConfigError: No source has the split, or a filter names an unknown class.
    """
    found = [each for each in mixture.sources if train or each.split is None]
    if not found:
        raise ConfigError(
            f"every source of data.mixture names its split, so none has {split!r}",
            remedy="leave `split` out where a source has that split as well",
        )
    return tuple(_source(each, each.split or split) for each in found)


def _source(source: MixtureSource, split: str) -> ShardSource:
    folder = Path(source.artifact).expanduser().resolve()
    allow: set[int] | None = None
    deny: set[int] = set()
    for rule in parse_label_filters(source.filters):
        named = set(rule.ids(_classes(folder)))
        if rule.deny:
            deny |= named
        else:
            allow = named if allow is None else allow & named
    return ShardSource(folder, split, None if allow is None else tuple(sorted(allow)), tuple(sorted(deny)))


def _classes(folder: Path) -> list[str] | None:
    """Return the names of an artifact's classes, if it says them."""
    try:
        return json.loads((folder / "dataset_metadata.json").read_bytes())["label"]["classes"]  # type: ignore[no-any-return]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def recipe(mixture: MixtureConfig, sources: Sequence[MixtureSource], records: Sequence[int]) -> Recipe:
    """Return weights, bounds and end of an epoch of sources with `records` records.

    Weights are taken as they are written: 0.1 is a tenth, not the nearest binary number.

    Raises:
        ConfigError: The weights differ by more than whole numbers of 63 bits can say.
    """
    if all(source.weight is None for source in sources):
        repeats = (_exact(1 if source.repeat is None else source.repeat) for source in sources)
        turns = [max(1, int(repeat * n)) for repeat, n in zip(repeats, records, strict=True)]
        return tuple(turns), (None,) * len(turns), sum(turns)
    weights = [_exact(source.weight or 0) for source in sources]
    common = math.lcm(*(weight.denominator for weight in weights))
    whole = [int(weight * common) for weight in weights]
    least = math.gcd(*whole)
    most = tuple(
        None if source.max_epochs is None else max(1, int(_exact(source.max_epochs) * n))
        for source, n in zip(sources, records, strict=True)
    )
    stop = mixture.stop if isinstance(mixture.stop, str) else mixture.stop.records
    if sum(whole) // least >= _FAR:
        raise ConfigError(
            f"data.mixture: the weights {', '.join(str(source.weight) for source in sources)} are no shares of whole records",
            remedy="round them to fewer digits",
        )
    return tuple(weight // least for weight in whole), most, stop


def _exact(value: float) -> Fraction:
    return Fraction(str(value))


@dataclass(frozen=True, slots=True)
class _Epoch:
    """An epoch that isn't like those before: where its sources begin, and how they are mixed in it."""

    number: int
    done: tuple[int, ...]
    mixings: tuple[Mixing, ...]


class MixedOrders:
    """Several datasets in turns, each gone through to its end before it begins again.

    Args:
        names: What messages call the sources.
        fingerprints: What tells that a source's content is the same.
        records: Records of each source.
        mixed: How they are mixed.
        seed: Seed of the orders.
        shuffle: Whether turns and records are mixed.

    Raises:
        ConfigError: The mixture is impossible.
    """

    def __init__(
        self,
        names: Sequence[str],
        fingerprints: Sequence[str],
        records: Sequence[int],
        mixed: Recipe,
        *,
        seed: int,
        shuffle: bool,
    ) -> None:
        self.names = tuple(names)
        self.fingerprints = tuple(text.removeprefix("sha256:")[:_DIGEST_CHARS] for text in fingerprints)
        self.records = tuple(records)
        for name, n in zip(self.names, self.records, strict=True):
            if not n:
                raise ConfigError(f"data.mixture: {name} has no records", remedy="leave it out")
        self.recipe = mixed
        self.seed = seed
        self.shuffle = shuffle
        self._from = _Epoch(0, (0,) * len(self.records), ((0, *mixed),))
        self._each = self._counts(self._from.mixings)

    def _plan(self, mixings: tuple[Mixing, ...]) -> _core.Mixture:
        return MixedEpoch(self.records, mixings, ()).plan()

    def _counts(self, mixings: tuple[Mixing, ...]) -> tuple[int, ...]:
        plan = self._plan(mixings)
        return tuple(plan.counts(len(plan)))

    def _epoch(self, number: int) -> _Epoch:
        """Return where the sources begin in an epoch: behind all that went before."""
        start = self._from
        if number == start.number:
            return start
        if number < start.number:
            # Before the last change: as if it had always been mixed as it is now.
            done = tuple(number * each % _FAR for each in self._each)
        else:
            later = number - start.number - 1
            first = self._counts(start.mixings)
            done = tuple(
                (before + once + later * each) % _FAR
                for before, once, each in zip(start.done, first, self._each, strict=True)
            )
        return _Epoch(number, done, ((0, *self.recipe),))

    def order(self, epoch: int) -> EpochOrder:
        """Return the order of an epoch."""
        at = self._epoch(epoch)
        mixed = MixedEpoch(self.records, at.mixings, at.done)
        return EpochOrder(len(self._plan(at.mixings)), self.seed, epoch, self.shuffle, mixed=mixed)

    def state(self, epoch: int) -> dict[str, Any]:
        """Return each source's content, size and position at the epoch's beginning, and how they are mixed."""
        at = self._epoch(epoch)
        sources = zip(self.fingerprints, self.records, at.done, strict=True)
        return {
            "mixture": {
                "sources": [list(source) for source in sources],
                "mixings": [
                    [start, list(weights), list(most), stop] for start, weights, most, stop in at.mixings
                ],
            }
        }

    def load(self, state: Mapping[str, Any], epoch: int, consumed: int) -> None:
        """Continue from a state; other weights, bounds or ends than there hold from the next window of turns on.

        Raises:
            ConfigError: It is of other sources or other content; the message says which.
        """
        done, mixings = self._read(state.get("mixture"))
        length = len(self._plan(mixings))
        if consumed > length:
            raise ConfigError(f"the loader's state is damaged: {consumed} of {length} records consumed")
        if mixings[-1][1:] == self.recipe:
            self._from = _Epoch(epoch, done, mixings)
            return
        window = _core.MIXTURE_WINDOW
        turn = min(-(-consumed // window) * window, length)
        kept = tuple(mixing for mixing in mixings if mixing[0] < turn)
        if turn < length and (not kept or kept[-1][1:] != self.recipe):
            kept = (*kept, (turn, *self.recipe))
        self._from = _Epoch(epoch, done, kept or ((0, *self.recipe),))
        _log.warning(
            "the mixture changes at %s: %s, it was %s",
            f"record {turn} of epoch {epoch}" if turn < length else f"epoch {epoch + 1}",
            self._told(self.recipe),
            self._told(mixings[-1][1:]),
        )

    def _told(self, mixed: Recipe) -> str:
        weights, most, stop = mixed
        parts = [
            f"{name} {weight / sum(weights):.3g}" + ("" if bound is None else f" (at most {bound})")
            for name, weight, bound in zip(self.names, weights, most, strict=True)
        ]
        return f"{', '.join(parts)}, stop {stop}"

    def _read(self, theirs: Any) -> tuple[tuple[int, ...], tuple[Mixing, ...]]:
        """Return positions and mixings of a state, checked against the sources that are here."""
        remedy = "load it with the config and the artifacts that it was saved with"
        if not isinstance(theirs, dict):
            raise ConfigError(
                "the loader's state doesn't fit: it is of one dataset, not of a mixture", remedy=remedy
            )
        try:
            sources = [
                (str(content), int(records), int(done)) for content, records, done in theirs["sources"]
            ]
            mixings = tuple(
                (
                    int(start),
                    tuple(map(int, weights)),
                    tuple(None if each is None else int(each) for each in most),
                    stop if isinstance(stop, str) else int(stop),
                )
                for start, weights, most, stop in theirs["mixings"]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"the loader's state is damaged: mixture {theirs!r}") from error
        if len(sources) != len(self.records):
            raise ConfigError(
                f"the loader's state doesn't fit: its mixture has {len(sources)} sources, {len(self.records)} are here",
                remedy=remedy,
            )
        for name, content, n, (their_content, their_n, _) in zip(
            self.names, self.fingerprints, self.records, sources, strict=True
        ):
            if (content, n) != (their_content, their_n):
                raise ConfigError(
                    f"the loader's state doesn't fit: {name} has other content than there ({n} records here, {their_n} there)",
                    remedy=remedy,
                )
        if not mixings or not all(0 <= done < _FAR for _, _, done in sources):
            raise ConfigError(f"the loader's state is damaged: mixture {theirs!r}")
        return tuple(done for _, _, done in sources), mixings
