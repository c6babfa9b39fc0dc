"""Augmentations whose randomness belongs to the row: the same for a record in whatever batch, order, rank or thread."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from numbers import Real
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nexa_data import _core
from nexa_data.artifacts import digest_text
from nexa_data.errors import ConfigError, RecordError

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch
    from torch import Tensor

    Rows = npt.NDArray[np.uint64]

__all__ = [
    "AUGMENT_VERSION",
    "feature_dropout",
    "gaussian_noise",
    "jitter",
    "label_noise",
    "label_smoothing",
    "mixup",
    "scale",
]

AUGMENT_VERSION = 1
"""What a seed draws changes only together with this number."""

_WORDS = 4_294_967_296.0
_MATRIX = 2


class _OfFeatures(ABC):
    """Changes features natively, each row by its number."""

    _kind: ClassVar[str]

    @abstractmethod
    def _amounts(self) -> tuple[float, float]:
        """Return the two numbers that the native step wants."""

    def __call__(
        self, features: Tensor, labels: Tensor, *, rows: Rows | None = None, epoch: int = 0, seed: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Return the features given, changed, and the labels.

        Args:
            features: Floating point, shape (B, …). Float32 on the CPU in C order is changed where it lies, anything else by way of
                such a copy, with the same draws.
            labels: Left as they are.
            rows: The records' numbers, shape (B,), uint64; default: 0 … B-1.
            epoch: The epoch.
            seed: Seed of the draws.

        Raises:
            RecordError: The features aren't floating point.
        """
        plain = _plain(features)
        if plain.numel():
            _core.augment_rows(
                self._kind,
                plain.numpy(),
                _numbers(rows, len(features)),
                seed=seed,
                purpose=_purpose(self._kind),
                epoch=epoch,
                amounts=self._amounts(),
            )
        return _back(plain, features), labels


@dataclass(frozen=True)
class gaussian_noise(_OfFeatures):  # noqa: N801 (made by the name that a config gives)
    """Adds independent normal noise to every feature of a batch.

    Args:
        std: Standard deviation, not negative.

    Raises:
        ConfigError: `std` is impossible.

    Example:
        >>> import torch
        >>> noised, _ = gaussian_noise(std=0.5)(torch.zeros(1000, 8), torch.zeros(1000))
        >>> 0.45 < float(noised.std()) < 0.55
        True
    """

    std: float = 0.1
    _kind = "noise"

    def __post_init__(self) -> None:
        """Check the option."""
        _within("std", self.std, 0.0, math.inf)

    def _amounts(self) -> tuple[float, float]:
        return self.std, 0.0


@dataclass(frozen=True)
class feature_dropout(_OfFeatures):  # noqa: N801 (made by the name that a config gives)
    """Sets each feature of a batch to zero, by chance.

    Args:
        p: Probability, known to 2^-32.
        scale: Divide the others by 1 - p, so that the mean stays.

    Raises:
        ConfigError: `p` isn't from 0 to 1.
    """

    p: float = 0.1
    scale: bool = False
    _kind = "dropout"

    def __post_init__(self) -> None:
        """Check the options."""
        _within("p", self.p, 0.0, 1.0)
        if not isinstance(self.scale, bool):
            raise ConfigError(f"scale is {self.scale!r}", remedy="choose true or false")

    def _amounts(self) -> tuple[float, float]:
        # Of p = 1 nothing is left that a factor could scale.
        return self.p, 1 / (1 - self.p) if self.scale and self.p < 1 else 1.0


@dataclass(frozen=True)
class scale(_OfFeatures):  # noqa: N801 (made by the name that a config gives)
    """Multiplies each feature of a batch by a number drawn evenly between two.

    Args:
        low: The least factor.
        high: The greatest.

    Raises:
        ConfigError: `low` is above `high`, or one isn't finite.
    """

    low: float = 0.9
    high: float = 1.1
    _kind = "scale"

    def __post_init__(self) -> None:
        """Check the options."""
        _within("high", self.high, -math.inf, math.inf)
        _within("low", self.low, -math.inf, self.high)

    def _amounts(self) -> tuple[float, float]:
        return self.low, self.high


jitter = scale


@dataclass(frozen=True)
class mixup:  # noqa: N801 (made by the name that a config gives)
    """Mixes each record with another of its batch, by a weight from Beta(alpha, alpha) (Zhang et al., arXiv:1710.09412).

    Called as `gaussian_noise` is, with `num_classes` besides; labels are class ids (B,) or distributions (B, C), and come back as
    distributions (B, C), float32.

    A row's weight depends on its number alone. Its partner is drawn by its number among the rows of the batch, so that it
    depends on what the batch holds: it is the same again after a resume, not under another batch size or world size.

    Args:
        alpha: Positive; the smaller, the nearer are the weights to 0 and 1.
        num_classes: Number of classes C; default: the data's.

    Raises:
        ConfigError: An option is impossible, or nobody knows the number of classes.
        RecordError: When called: a label is none of the classes, or the features aren't floating point.
    """

    alpha: float = 0.2
    num_classes: int | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        _within("alpha", self.alpha, float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max))
        _check_count(self.num_classes)

    def __call__(
        self,
        features: Tensor,
        labels: Tensor,
        *,
        rows: Rows | None = None,
        epoch: int = 0,
        seed: int = 0,
        num_classes: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the features given, changed, and labels as distributions."""
        import torch

        classes = _classes(self, self.num_classes or num_classes)
        if not len(features):
            return features, _soft(labels, classes)
        plain, hard = _plain(features), None
        if _are_soft(labels, classes):
            soft = labels.detach().to("cpu", torch.float32, copy=True).contiguous()
        else:
            _check_ids(labels)
            hard = _as(labels, torch.int64).numpy()
            soft = torch.empty(len(labels), classes)
        if not _core.mixup(
            plain.numpy(),
            _numbers(rows, len(features)),
            hard,
            soft.numpy(),
            seed=seed,
            purpose=_purpose("words"),
            epoch=epoch,
            alpha=self.alpha,
        ):
            _check_classes(labels, classes)
        return _back(plain, features), soft if labels.is_cpu else soft.to(labels.device)


@dataclass(frozen=True)
class label_smoothing:  # noqa: N801 (made by the name that a config gives)
    """Spreads a share of each label over all classes; labels become distributions (B, C), float32.

    Args:
        eps: The share.
        num_classes: Number of classes C; default: the data's.

    Raises:
        ConfigError: `eps` isn't from 0 to 1, or nobody knows the number of classes.
        RecordError: When called: a label is none of the classes.
    """

    eps: float = 0.1
    num_classes: int | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        _within("eps", self.eps, 0.0, 1.0)
        _check_count(self.num_classes)

    def __call__(
        self, features: Tensor, labels: Tensor, *, num_classes: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the features, and labels as distributions."""
        classes = _classes(self, self.num_classes or num_classes)
        return features, _soft(labels, classes) * (1 - self.eps) + self.eps / classes


@dataclass(frozen=True)
class label_noise:  # noqa: N801 (made by the name that a config gives)
    """Changes each class label, by chance, into one of the others, all alike; called as `mixup` is.

    Args:
        p: Probability.
        num_classes: Number of classes; default: the data's.

    Raises:
        ConfigError: `p` isn't from 0 to 1, or nobody knows the number of classes.
        RecordError: When called: a label is none of the classes, or labels are distributions already.
    """

    p: float = 0.1
    num_classes: int | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        _within("p", self.p, 0.0, 1.0)
        _check_count(self.num_classes)

    def __call__(
        self,
        features: Tensor,
        labels: Tensor,
        *,
        rows: Rows | None = None,
        epoch: int = 0,
        seed: int = 0,
        num_classes: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the features, and the labels, of which some are others."""
        import torch

        classes = _classes(self, self.num_classes or num_classes)
        _check_classes(labels, classes)
        if not len(labels):
            return features, labels
        words = _words(_numbers(rows, len(labels)), epoch, seed)
        steps = 1 + (words[:, 1].astype(np.uint64) * np.uint64(classes - 1) >> np.uint64(32)).astype(np.int64)
        steps[words[:, 0] >= self.p * _WORDS] = 0
        return features, (labels + torch.from_numpy(steps).to(labels.device)) % classes


def _within(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ConfigError(f"{name} is {value!r}", remedy=f"choose a number from {low} to {high}")
    if not (math.isfinite(value) and low <= value <= high):
        raise ConfigError(f"{name} is {value}", remedy=f"choose a finite number from {low} to {high}")


def _check_count(num_classes: int | None) -> None:
    if num_classes is not None and (
        isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 2  # noqa: PLR2004
    ):
        raise ConfigError(f"num_classes is {num_classes!r}", remedy="choose a whole number from 2 on")


def _classes(of: object, num_classes: int | None) -> int:
    if num_classes is None:
        raise ConfigError(
            f"{type(of).__name__} wants the number of classes",
            remedy=f"say {type(of).__name__}(num_classes=…)",
        )
    return num_classes


def _numbers(rows: Rows | None, count: int) -> Rows:
    return np.arange(count, dtype=np.uint64) if rows is None else np.ascontiguousarray(rows, np.uint64)


@cache
def _purpose(kind: str) -> int:
    return int(digest_text(f"augment {AUGMENT_VERSION}", kind)[-15:], 16)


def _words(rows: Rows, epoch: int, seed: int) -> npt.NDArray[np.uint32]:
    import pyarrow as pa

    drawn = pa.record_batch(_core.random_words(seed, _purpose("words"), rows, 1, epoch))
    return np.frombuffer(drawn["words"].buffers()[1], np.uint32).reshape(len(rows), 4)


def _plain(features: Tensor) -> Tensor:
    """Return the features as float32 on the CPU in C order, themselves if they are that."""
    import torch

    if not features.is_floating_point():
        raise RecordError(
            f"features of type {features.dtype} can't be augmented",
            remedy="convert them to float32 (data.batch.convert)",
        )
    return _as(features, torch.float32)


def _as(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a tensor of a type on the CPU in C order, itself if it is that."""
    if tensor.dtype is dtype and tensor.is_cpu and tensor.is_contiguous() and not tensor.requires_grad:
        return tensor
    return tensor.detach().to("cpu", dtype).contiguous()


def _back(plain: Tensor, features: Tensor) -> Tensor:
    return features if plain is features or plain.data_ptr() == features.data_ptr() else features.copy_(plain)


def _check_ids(labels: Tensor) -> None:
    if labels.ndim != 1 or labels.is_floating_point():
        raise RecordError(
            f"labels of shape {tuple(labels.shape)}, {labels.dtype}, are no class ids",
            remedy="put label_noise before mixup and label_smoothing, and give labels of kind class",
        )


def _check_classes(labels: Tensor, num_classes: int) -> None:
    _check_ids(labels)
    if len(labels) and not (int(labels.min()) >= 0 and int(labels.max()) < num_classes):
        raise RecordError(
            f"labels from {int(labels.min())} to {int(labels.max())} are not all of {num_classes} classes",
            remedy="set num_classes to the number of classes that there are",
        )


def _are_soft(labels: Tensor, num_classes: int) -> bool:
    return labels.ndim == _MATRIX and labels.is_floating_point() and labels.shape[1] == num_classes


def _soft(labels: Tensor, num_classes: int) -> Tensor:
    import torch

    if _are_soft(labels, num_classes):
        return labels.float()
    _check_classes(labels, num_classes)
    soft = torch.zeros(len(labels), num_classes, device=labels.device)
    return soft.scatter_(1, labels.long()[:, None], 1.0)
