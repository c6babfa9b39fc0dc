"""Augmentations: named functions over a dataset or a batch, applied in order."""

from __future__ import annotations

import hashlib
import inspect
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

from nexa_data.config_source import nearest
from nexa_data.datasets.synthetic import SyntheticClassificationDataset
from nexa_data.errors import ConfigError, RecordError
from nexa_data.optional import needed

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from nexa_data.config import Config

__all__ = [
    "Augmentor",
    "BatchAugmentor",
    "apply_augmentations",
    "batch_augmentor",
    "feature_dropout",
    "gaussian_noise",
    "register_augmentation",
]

_log = logging.getLogger(__name__)

Augmentor = Callable[[SyntheticClassificationDataset], SyntheticClassificationDataset]
"""A function of a whole dataset."""

BatchAugmentor = Callable[["Tensor", "Tensor"], "tuple[Tensor, Tensor]"]
"""A function of a batch, features (B, F) and labels (B,)."""


class SeededAugmentation(Protocol):
    """A function of a batch that draws all its randomness from `generator`, and may take options by keyword."""

    def __call__(
        self, features: Tensor, labels: Tensor, *, generator: Generator, **options: Any
    ) -> tuple[Tensor, Tensor]:
        """Return the augmented batch."""
        ...


def apply_augmentations(
    dataset: SyntheticClassificationDataset, augmentations: dict[str, Augmentor]
) -> SyntheticClassificationDataset:
    """Apply the named functions in their order, and log each.

    Args:
        dataset: What to augment; it is left as it is.
        augmentations: Name → function of a dataset, or of a batch `(features (B, F), labels (B,))`, which then gets
            all records as one batch. A function of two positional arguments is taken as the latter.

    Returns:
        The augmented dataset.

    Raises:
        RecordError: A function returned something else; the message has its name.

    Example:
        >>> data = SyntheticClassificationDataset(8, 2, 2, seed=0)
        >>> doubled = apply_augmentations(data, {"double": lambda features, labels: (features * 2, labels)})
        >>> bool((doubled.features == data.features * 2).all())
        True
    """
    for name, function in augmentations.items():
        started = time.perf_counter()
        result = _on_batch(function, dataset, name) if _takes_batch(function) else function(dataset)
        if not isinstance(result, SyntheticClassificationDataset):
            raise RecordError(
                f"augmentation {name!r} returned {type(result).__name__}",
                remedy="return a SyntheticClassificationDataset, or take and return (features, labels)",
            )
        _log.info(
            "augmentation %s: %d records in, %d out, %.3f s",
            name,
            len(dataset),
            len(result),
            time.perf_counter() - started,
        )
        dataset = result
    return dataset


def _takes_batch(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a callable without a signature, such as some built in C
        return False
    required = [each for each in parameters if each.default is each.empty and each.kind in _POSITIONAL]
    return len(required) == 2  # noqa: PLR2004 (features and labels)


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _on_batch(
    function: Any, dataset: SyntheticClassificationDataset, name: str
) -> SyntheticClassificationDataset:
    with needed("torch", "augmentation"):
        import torch

    result = function(dataset.features.clone(), dataset.labels.clone())
    if not (
        isinstance(result, tuple)
        and len(result) == 2  # noqa: PLR2004 (features and labels)
        and all(isinstance(part, torch.Tensor) for part in result)
    ):
        raise RecordError(
            f"augmentation {name!r} returned no pair of tensors", remedy="return (features, labels)"
        )
    return SyntheticClassificationDataset.from_tensors(*result, like=dataset)


def gaussian_noise(
    features: Tensor, labels: Tensor, *, generator: Generator, std: float = 0.1
) -> tuple[Tensor, Tensor]:
    """Add independent normal noise of standard deviation `std` to every feature."""
    with needed("torch", "augmentation"):
        import torch

    noise = torch.randn(features.shape, generator=generator, dtype=features.dtype)
    return features.add_(noise, alpha=std), labels


def feature_dropout(
    features: Tensor, labels: Tensor, *, generator: Generator, p: float = 0.1
) -> tuple[Tensor, Tensor]:
    """Set each feature to zero with probability `p`; the others keep their value."""
    with needed("torch", "augmentation"):
        import torch

    return features.masked_fill_(torch.rand(features.shape, generator=generator) < p, 0.0), labels


_KNOWN: dict[str, SeededAugmentation] = {
    "feature_dropout": cast("SeededAugmentation", feature_dropout),
    "gaussian_noise": cast("SeededAugmentation", gaussian_noise),
}


def register_augmentation(name: str, function: SeededAugmentation) -> None:
    """Make `function` usable from a config's `augmentations:` under `name`.

    Args:
        name: The name.
        function: `function(features, labels, *, generator, **options) -> (features, labels)`; the batch is its own
            to change in place.

    Raises:
        ConfigError: The name is taken by another function.
    """
    if _KNOWN.get(name, function) is not function:
        raise ConfigError(f"augmentation {name!r} exists already", remedy="choose another name")
    _KNOWN[name] = function


class _BatchChain:
    """The augmentations of a config over one batch; randomness is a function of (seed, name, epoch, position)."""

    def __init__(self, steps: Sequence[tuple[str, Callable[..., Any]]], seed: int) -> None:
        self._steps = steps
        self._seed = seed

    def __call__(
        self, features: Tensor, labels: Tensor, *, epoch: int, position: int
    ) -> tuple[Tensor, Tensor]:
        with needed("torch", "augmentation"):
            import torch

        for name, step in self._steps:
            text = f"{self._seed}\0{name}\0{epoch}\0{position}"
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
            features, labels = step(features, labels, generator=torch.Generator().manual_seed(seed))
        return features, labels


def batch_augmentor(config: Config) -> _BatchChain | None:
    """Return what a config's `augmentations:` does to a train batch, None if nothing.

    Raises:
        ConfigError: An augmentation is unknown, or doesn't take the options given.
    """
    steps = [_step(number, item) for number, item in enumerate(config.data.augmentations)]
    return _BatchChain(steps, config.seed) if steps else None


def _step(number: int, item: str | Mapping[str, Any]) -> tuple[str, Callable[..., Any]]:
    place = f"data.augmentations[{number}]"
    if not isinstance(item, str) and len(item) != 1:
        raise ConfigError(f"{place}: {item!r} is not one name", remedy="write {gaussian_noise: {std: 0.1}}")
    name, options = (item, {}) if isinstance(item, str) else next(iter(item.items()))
    function = _KNOWN.get(name)
    if function is None:
        near = nearest(name, sorted(_KNOWN))
        hint = f"did you mean {near}? " if near else ""
        raise ConfigError(
            f"{place}: unknown augmentation {name!r}", remedy=f"{hint}known: {', '.join(sorted(_KNOWN))}"
        )
    try:
        inspect.signature(function).bind(None, None, generator=None, **(options or {}))
    except TypeError as error:
        raise ConfigError(
            f"{place}: {name}: {error}", remedy=f"it is {name}{inspect.signature(function)}"
        ) from error
    return name, partial(function, **(options or {}))
