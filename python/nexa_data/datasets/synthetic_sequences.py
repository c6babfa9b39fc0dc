"""Token sequences and texts out of nothing: words by Zipf's law, other ones in each class, and record i the same whoever asks."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from nexa_data.config_source import nearest
from nexa_data.datasets.uniform import uniform
from nexa_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    import pyarrow as pa

    from nexa_data.config import DataConfig
    from nexa_data.datasets.rows import RowSource

__all__ = ["SyntheticTextDataset", "SyntheticTokenDataset", "build_text", "build_tokens"]

Lengths = Literal["fixed", "uniform", "lognormal", "geometric"]

_LABELS, _TOKENS = 111, 112
_BLOCK_TOKENS = 1 << 22
_SPREAD = 0.5
"""Standard deviation of the logarithm of lognormal lengths."""
_CONSONANTS, _VOWELS = "bcdfghjklmnprstvwz", "aeiou"


class SyntheticTokenDataset:
    """Sequences of token ids, with a class each that a bag of words tells.

    Token ids are drawn by Zipf's law, `P(rank r) ∝ 1 / r^exponent`; in each class the ranks stand for other ids. Record i is a
    pure function of the seed and i.

    Args:
        num_samples: Number of records N.
        vocab_size: Token ids are 0 … vocab_size - 1.
        num_classes: Number of classes.
        seed: Seed of labels, lengths and tokens.
        exponent: Of Zipf's law; 0 for ids that are equally likely.
        lengths: Distribution of the lengths: `fixed`, `uniform`, `lognormal` or `geometric`.
        mean_length: Mean of the lengths, before they are cut.
        min_length: Least length.
        max_length: Greatest length.

    Raises:
        ConfigError: A number is impossible.

    Example:
        >>> dataset = SyntheticTokenDataset(10**9, 1000, lengths="uniform", mean_length=8, max_length=15)
        >>> tokens, label = dataset[123_456_789]
        >>> tokens.dtype.name, 1 <= len(tokens) <= 15, label in (0, 1)
        ('int32', True, True)
    """

    def __init__(  # noqa: PLR0913 (one for each property of the sequences, by name)
        self,
        num_samples: int = 10_000,
        vocab_size: int = 10_000,
        num_classes: int = 2,
        seed: int = 0,
        *,
        exponent: float = 1.0,
        lengths: Lengths = "lognormal",
        mean_length: float = 64.0,
        min_length: int = 1,
        max_length: int = 512,
    ) -> None:
        if lengths not in get_args(Lengths):
            raise ConfigError(f"lengths={lengths!r}", remedy=f"known: {', '.join(get_args(Lengths))}")
        if num_samples < 1 or vocab_size < 2 or num_classes < 1 or seed < 0 or not 0 <= exponent < 100:  # noqa: PLR2004
            raise ConfigError(
                f"no sequences have num_samples={num_samples}, vocab_size={vocab_size}, num_classes={num_classes}, "
                f"seed={seed}, exponent={exponent}",
                remedy="samples and classes are at least 1, the vocabulary at least 2, seed and exponent at least 0",
            )
        if not 1 <= min_length <= max_length or not mean_length > 0:
            raise ConfigError(
                f"min_length={min_length}, max_length={max_length}, mean_length={mean_length}",
                remedy="lengths are at least 1, and the least no more than the greatest",
            )
        self.num_samples, self.vocab_size, self.num_classes, self.seed = (
            num_samples,
            vocab_size,
            num_classes,
            seed,
        )
        self.exponent, self.lengths, self.mean_length = exponent, lengths, mean_length
        self.min_length, self.max_length = min_length, max_length

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.int32], int]:
        if not -self.num_samples <= index < self.num_samples:
            raise IndexError(f"record {index} is out of range: the dataset has {self.num_samples}")
        tokens, _, labels = self.rows(np.array([index % self.num_samples]))
        return tokens, int(labels[0])

    @cached_property
    def _zipf(self) -> npt.NDArray[np.float64]:
        shares = 1.0 / np.arange(1, self.vocab_size + 1) ** self.exponent
        cumulative: npt.NDArray[np.float64] = np.cumsum(shares / shares.sum())
        return cumulative

    def rows(
        self, numbers: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the tokens of some records one after the other, the length of each, and its label."""
        drawn = uniform(self.seed, _LABELS, numbers, 1)
        labels = (drawn[:, 0] * self.num_classes).astype(np.int64)
        lengths = np.clip(self._lengths(drawn[:, 1], drawn[:, 2]), self.min_length, self.max_length)
        longest = int(lengths.max(initial=1))
        words = uniform(self.seed, _TOKENS, numbers, -(-longest // 4))[:, :longest]
        there = np.arange(longest) < lengths[:, None]
        ranks = np.searchsorted(self._zipf, words[there], side="right").clip(max=self.vocab_size - 1)
        # A class's own ids for the ranks: the frequent ones of one are rare in another.
        first = np.repeat(labels * self.vocab_size // self.num_classes, lengths)
        tokens: npt.NDArray[np.int32] = ((ranks + first) % self.vocab_size).astype(np.int32)
        return tokens, lengths, labels

    def _lengths(
        self, first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.int64]:
        mean = self.mean_length
        if self.lengths == "fixed":
            found = np.full(len(first), mean)
        elif self.lengths == "uniform":
            found = 1 + first * (2 * mean - 1)
        elif self.lengths == "geometric":
            found = 1 + np.floor(np.log1p(-first) / np.log1p(-min(1 / mean, 0.999_999)))
        else:
            normal = np.sqrt(-2 * np.log1p(-first)) * np.cos(2 * np.pi * second)
            found = mean * np.exp(_SPREAD * normal - _SPREAD**2 / 2)
        lengths: npt.NDArray[np.int64] = np.minimum(found, 2**40).round().astype(np.int64)
        return lengths

    def _blocks(self) -> Iterator[tuple[int, pa.ListArray, pa.Array, pa.Array]]:
        import pyarrow as pa

        rows = max(1, _BLOCK_TOKENS // self.max_length)
        for first in range(0, self.num_samples, rows):
            tokens, lengths, labels = self.rows(np.arange(first, min(first + rows, self.num_samples)))
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(tokens))
            yield first, lists, pa.array(lengths), pa.array(labels)

    def row_source(self) -> RowSource:
        """Return the records as a stream of Arrow record batches: tokens, length, label."""
        import pyarrow as pa

        from nexa_data.datasets.rows import RowBatch, RowSource

        schema = pa.schema([("tokens", pa.list_(pa.int32())), ("length", pa.int64()), ("label", pa.int64())])

        def batches() -> Iterator[RowBatch]:
            for first, lists, lengths, labels in self._blocks():
                yield RowBatch(
                    "synthetic_tokens", first, pa.record_batch([lists, lengths, labels], schema=schema)
                )

        return RowSource(schema, batches, "dataset 'synthetic_tokens'")


class SyntheticTextDataset(SyntheticTokenDataset):
    """Texts of made-up words, with a class each that a bag of words tells; the arguments are those of `SyntheticTokenDataset`.

    Example:
        >>> text, label = SyntheticTextDataset(100, 50, lengths="fixed", mean_length=3)[7]
        >>> len(text.split())
        3
    """

    def __getitem__(self, index: int) -> tuple[str, int]:  # type: ignore[override]
        tokens, label = super().__getitem__(index)
        return " ".join(self._words[token].as_py() for token in tokens.tolist()), label

    @cached_property
    def _words(self) -> pa.Array:
        import pyarrow as pa

        syllables = [consonant + vowel for consonant in _CONSONANTS for vowel in _VOWELS]
        words = []
        for token in range(self.vocab_size):
            rest, word = token + len(syllables), ""
            while rest:
                rest, syllable = divmod(rest, len(syllables))
                word += syllables[syllable]
            words.append(word)
        return pa.array(words)

    def row_source(self) -> RowSource:
        """Return the records as a stream of Arrow record batches: text, length (words), label."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from nexa_data.datasets.rows import RowBatch, RowSource

        schema = pa.schema([("text", pa.string()), ("length", pa.int64()), ("label", pa.int64())])

        def batches() -> Iterator[RowBatch]:
            for first, lists, lengths, labels in self._blocks():
                words = pa.ListArray.from_arrays(lists.offsets, self._words.take(lists.values))
                batch = pa.record_batch([pc.binary_join(words, " "), lengths, labels], schema=schema)
                yield RowBatch("synthetic_text", first, batch)

        return RowSource(schema, batches, "dataset 'synthetic_text'")


_OPTIONS = ("vocab_size", "exponent", "lengths", "mean_length", "min_length", "max_length")


def _options(data: DataConfig) -> Mapping[str, Any]:
    options = data.preprocessing.options
    for name in options:
        if name not in _OPTIONS:
            near = nearest(name, _OPTIONS)
            hint = f"did you mean {near}? " if near else ""
            raise ConfigError(
                f"data.preprocessing.options: there is no {name!r}",
                remedy=f"{hint}known: {', '.join(_OPTIONS)}",
            )
    return options


def build_tokens(data: DataConfig) -> SyntheticTokenDataset:
    """Return the token sequences that `preprocessing` and its `options` describe."""
    wanted = data.preprocessing
    return SyntheticTokenDataset(
        wanted.num_samples, num_classes=wanted.num_classes or 2, seed=wanted.seed, **_options(data)
    )


def build_text(data: DataConfig) -> SyntheticTextDataset:
    """Return the texts that `preprocessing` and its `options` describe."""
    wanted = data.preprocessing
    return SyntheticTextDataset(
        wanted.num_samples, num_classes=wanted.num_classes or 2, seed=wanted.seed, **_options(data)
    )
