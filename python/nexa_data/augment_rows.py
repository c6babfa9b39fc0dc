"""Augmentations whose randomness belongs to the row: the same for a record in whatever batch, order, rank or thread."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from nexa_data import _core
from nexa_data.artifacts import digest_text
from nexa_data.errors import ConfigError, RecordError
from nexa_data.optional import needed

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Generator, Tensor

    Rows = npt.NDArray[np.uint64]

__all__ = [
    "AUGMENT_VERSION",
    "feature_dropout",
    "gaussian_noise",
    "label_noise",
    "label_smoothing",
    "mixup",
    "scale",
]

AUGMENT_VERSION = 1
"""What a seed draws changes only together with this number."""

_WORDS = 4_294_967_296.0
_MATRIX = 2


def gaussian_noise(
    features: Tensor,
    labels: Tensor,
    *,
    rows: Rows | None = None,
    epoch: int = 0,
    seed: int = 0,
    generator: Generator | None = None,
    std: float = 0.1,
) -> tuple[Tensor, Tensor]:
    """Add independent normal noise of standard deviation `std` to every feature, in place.

    Args:
        features: Floating point, shape (B, …). Float32 on the CPU in C order is changed where it lies; anything else by way of
            such a copy, with the same draws.
        labels: Left as they are.
        rows: The records' numbers, shape (B,); default: 0 … B-1.
        epoch: The epoch.
        seed: Seed of the draws.
        generator: Draws the seed instead, if given.
        std: Standard deviation, not negative.

    Returns:
        The features given, and the labels.

    Raises:
        ConfigError: `std` is impossible.
        RecordError: The features aren't floating point.

    Example:
        >>> import torch
        >>> noised, _ = gaussian_noise(torch.zeros(1000, 8), torch.zeros(1000), std=0.5)
        >>> 0.45 < float(noised.std()) < 0.55
        True
    """
    _within("std", std, 0.0, np.inf)
    return _change("noise", features, rows, epoch, _seed(seed, generator), (std, 0.0)), labels


def feature_dropout(
    features: Tensor,
    labels: Tensor,
    *,
    rows: Rows | None = None,
    epoch: int = 0,
    seed: int = 0,
    generator: Generator | None = None,
    p: float = 0.1,
    scale: bool = False,
) -> tuple[Tensor, Tensor]:
    """Set each feature to zero with probability `p`, known to 2^-32; with `scale`, divide the others by 1 - p.

    The other arguments, the results and the errors are those of `gaussian_noise`.
    """
    _within("p", p, 0.0, 1.0)
    if p == 1:
        return features.zero_(), labels
    factor = 1 / (1 - p) if scale else 1.0
    return _change("dropout", features, rows, epoch, _seed(seed, generator), (p, factor)), labels


def scale(
    features: Tensor,
    labels: Tensor,
    *,
    rows: Rows | None = None,
    epoch: int = 0,
    seed: int = 0,
    generator: Generator | None = None,
    low: float = 0.9,
    high: float = 1.1,
) -> tuple[Tensor, Tensor]:
    """Multiply each feature by a number drawn evenly from `low` to `high`.

    The other arguments, the results and the errors are those of `gaussian_noise`.
    """
    _within("low", low, -np.inf, high)
    _within("high", high, low, np.inf)
    return _change("scale", features, rows, epoch, _seed(seed, generator), (low, high)), labels


def mixup(
    features: Tensor,
    labels: Tensor,
    *,
    num_classes: int,
    rows: Rows | None = None,
    epoch: int = 0,
    seed: int = 0,
    alpha: float = 0.2,
) -> tuple[Tensor, Tensor]:
    """Mix each record with another of its batch, by a weight from Beta(alpha, alpha) (Zhang et al., arXiv:1710.09412).

    A row's weight depends on its number alone. Its partner is drawn by its number among the rows of the batch, so that it
    depends on what the batch holds: it is the same again after a resume, not under another batch size or world size.

    Args:
        features: As for `gaussian_noise`.
        labels: Class ids (B,), or distributions (B, C).
        num_classes: Number of classes C.
        rows: The records' numbers, shape (B,); default: 0 … B-1.
        epoch: The epoch.
        seed: Seed of the draws.
        alpha: Positive; the smaller, the nearer are the weights to 0 and 1.

    Returns:
        The features given, changed in place, and labels as distributions (B, C), float32.

    Raises:
        ConfigError: `alpha` is impossible.
        RecordError: A label is none of the classes, or the features aren't floating point.
    """
    with needed("torch", "augmentation"):
        import torch

    _within("alpha", alpha, float(np.finfo(np.float32).tiny), np.inf)
    soft = _soft(labels, num_classes)
    if not len(features):
        return features, soft
    words = _words(_numbers(rows, len(features)), epoch, seed)
    partners = (words[:, 0].astype(np.uint64) * np.uint64(len(features)) >> np.uint64(32)).astype(np.int64)
    weights = _symmetric_beta(alpha, words[:, 1:])
    plain = _plain(features)
    if plain.numel():
        _core.mix_rows(plain.numpy(), partners, weights)
    share = torch.from_numpy(weights).to(soft.device)[:, None]
    return _back(plain, features), soft * share + soft[torch.from_numpy(partners)] * (1 - share)


def label_smoothing(
    features: Tensor, labels: Tensor, *, num_classes: int, eps: float = 0.1
) -> tuple[Tensor, Tensor]:
    """Spread a share `eps` of each label over all classes; labels become distributions (B, C), float32.

    Raises:
        ConfigError: `eps` isn't from 0 to 1.
        RecordError: A label is none of the classes.
    """
    _within("eps", eps, 0.0, 1.0)
    return features, _soft(labels, num_classes) * (1 - eps) + eps / num_classes


def label_noise(
    features: Tensor,
    labels: Tensor,
    *,
    num_classes: int,
    rows: Rows | None = None,
    epoch: int = 0,
    seed: int = 0,
    p: float = 0.1,
) -> tuple[Tensor, Tensor]:
    """Change each class label, with probability `p`, into one of the others, all alike.

    Raises:
        ConfigError: `p` isn't from 0 to 1.
        RecordError: A label is none of the classes, or labels are distributions already.
    """
    with needed("torch", "augmentation"):
        import torch

    _within("p", p, 0.0, 1.0)
    _check_classes(labels, num_classes)
    if not len(labels):
        return features, labels
    words = _words(_numbers(rows, len(labels)), epoch, seed)
    steps = 1 + (words[:, 1].astype(np.uint64) * np.uint64(num_classes - 1) >> np.uint64(32)).astype(np.int64)
    steps[words[:, 0] >= p * _WORDS] = 0
    return features, (labels + torch.from_numpy(steps).to(labels.device)) % num_classes


def _within(name: str, value: float, low: float, high: float) -> None:
    if not (np.isfinite(value) and low <= value <= high):
        raise ConfigError(f"{name} is {value}", remedy=f"choose a finite number from {low} to {high}")


def _seed(seed: int, generator: Generator | None) -> int:
    if generator is None:
        return seed
    import torch

    return int(torch.randint(1 << 62, (), generator=generator))


def _numbers(rows: Rows | None, count: int) -> Rows:
    return np.arange(count, dtype=np.uint64) if rows is None else np.ascontiguousarray(rows, np.uint64)


@cache
def _purpose(kind: str) -> int:
    return int(digest_text(f"augment {AUGMENT_VERSION}", kind)[-15:], 16)


def _words(rows: Rows, epoch: int, seed: int) -> npt.NDArray[np.uint32]:
    import pyarrow as pa

    drawn = pa.record_batch(_core.random_words(seed, _purpose("words"), rows, 1, epoch))
    return np.frombuffer(drawn["words"].buffers()[1], np.uint32).reshape(len(rows), 4)


def _symmetric_beta(alpha: float, words: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    # t of 2 alpha degrees of freedom by Bailey's polar method (Math. Comp. 62, 1994), as Devroye's "Random variate
    # generation in one line of code" (WSC 1996) takes it to the symmetric beta distribution.
    uniform, angle, sign = ((words[:, at] + 0.5) / _WORDS for at in range(3))
    with np.errstate(over="ignore"):  # an infinite t is a weight of 0 or 1
        squared = (uniform ** (-1 / alpha) - 1) * np.cos(2 * np.pi * angle) ** 2
        distance = 0.5 / np.sqrt(1 + 1 / np.maximum(squared, np.finfo(np.float64).tiny))
    weights: npt.NDArray[np.float32] = (0.5 + np.copysign(distance, sign - 0.5)).astype(np.float32)
    return weights


def _change(
    kind: str, features: Tensor, rows: Rows | None, epoch: int, seed: int, amounts: tuple[float, float]
) -> Tensor:
    plain = _plain(features)
    if plain.numel():
        numbers = _numbers(rows, len(features))
        _core.augment_rows(
            kind, plain.numpy(), numbers, seed=seed, purpose=_purpose(kind), epoch=epoch, amounts=amounts
        )
    return _back(plain, features)


def _plain(features: Tensor) -> Tensor:
    """Return the features as float32 on the CPU in C order, themselves if they are that."""
    with needed("torch", "augmentation"):
        import torch

    if not features.is_floating_point():
        raise RecordError(
            f"features of type {features.dtype} can't be augmented",
            remedy="convert them to float32 (data.batch.convert)",
        )
    return features.detach().to("cpu", torch.float32).contiguous()


def _back(plain: Tensor, features: Tensor) -> Tensor:
    return features if plain.data_ptr() == features.data_ptr() else features.copy_(plain)


def _check_classes(labels: Tensor, num_classes: int) -> None:
    if labels.ndim != 1 or labels.is_floating_point():
        raise RecordError(
            f"labels of shape {tuple(labels.shape)}, {labels.dtype}, are no class ids",
            remedy="put label_noise before mixup and label_smoothing, and give labels of kind class",
        )
    if len(labels) and not (int(labels.min()) >= 0 and int(labels.max()) < num_classes):
        raise RecordError(
            f"labels from {int(labels.min())} to {int(labels.max())} are not all of {num_classes} classes",
            remedy="set num_classes to the number of classes that there are",
        )


def _soft(labels: Tensor, num_classes: int) -> Tensor:
    with needed("torch", "augmentation"):
        import torch

    if labels.ndim == _MATRIX and labels.is_floating_point() and labels.shape[1] == num_classes:
        return labels.float()
    _check_classes(labels, num_classes)
    return torch.nn.functional.one_hot(labels.long(), num_classes).float()
