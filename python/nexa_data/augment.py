"""Augmentations: named functions over a dataset or a batch, applied in order."""

from __future__ import annotations

import hashlib
import inspect
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.augment_rows import (
    AUGMENT_VERSION,
    feature_dropout,
    gaussian_noise,
    label_noise,
    label_smoothing,
    mixup,
    scale,
)
from nexa_data.config_source import nearest
from nexa_data.datasets.synthetic import SyntheticClassificationDataset
from nexa_data.errors import ConfigError, RecordError
from nexa_data.optional import needed

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    from nexa_data.config import Config

__all__ = [
    "AUGMENT_VERSION",
    "Augmentor",
    "BatchAugmentor",
    "apply_augmentations",
    "batch_augmentor",
    "feature_dropout",
    "gaussian_noise",
    "label_noise",
    "label_smoothing",
    "mixup",
    "register_augmentation",
    "scale",
]

_log = logging.getLogger(__name__)

Augmentor = Callable[[SyntheticClassificationDataset], SyntheticClassificationDataset]
"""A function of a whole dataset."""

BatchAugmentor = Callable[["Tensor", "Tensor"], "tuple[Tensor, Tensor]"]
"""A function of a batch, features (B, F) and labels (B,)."""


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


_KNOWN: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (feature_dropout, gaussian_noise, label_noise, label_smoothing, mixup, scale)
}
_MAKES_SOFT = {"label_smoothing", "mixup"}


def register_augmentation(name: str, function: Callable[..., tuple[Tensor, Tensor]]) -> None:
    """Make `function` usable from a config's `augmentations:` under `name`.

    Args:
        name: The name.
        function: `function(features, labels, *, generator, **options) -> (features, labels)`; the batch is its own
            to change in place. One that takes `rows`, the records' numbers (uint64), `epoch` and `seed` instead can draw what
            depends on the record alone; one that takes `num_classes` is given the config's.

    Raises:
        ConfigError: The name is taken by another function.
    """
    if _KNOWN.get(name, function) is not function:
        raise ConfigError(f"augmentation {name!r} exists already", remedy="choose another name")
    _KNOWN[name] = function


class _BatchChain:
    """The augmentations of a config over one batch.

    What a row draws is a function of (seed, name, how often the name came before, epoch, row); what a function with a
    `generator` draws, of (seed, name, epoch, position).
    """

    def __init__(self, steps: Sequence[tuple[str, Callable[..., Any]]], seed: int) -> None:
        names = [name for name, _ in steps]
        self._steps = [
            (
                name,
                step,
                _hashed(seed, name, names[:at].count(name)),
                frozenset(inspect.signature(step).parameters),
            )
            for at, (name, step) in enumerate(steps)
        ]
        self._seed = seed

    def __call__(
        self,
        features: Tensor,
        labels: Tensor,
        *,
        epoch: int,
        position: int,
        rows: npt.NDArray[np.uint64] | None = None,
    ) -> tuple[Tensor, Tensor]:
        with needed("torch", "augmentation"):
            import torch

        if rows is None:
            rows = np.arange(position, position + len(features), dtype=np.uint64)
        for name, step, seed, wanted in self._steps:
            known: dict[str, Any] = {"rows": rows, "epoch": epoch, "seed": seed}
            if "rows" in wanted:
                drawn = {key: value for key, value in known.items() if key in wanted}
            elif "generator" in wanted:
                drawn_from = torch.Generator().manual_seed(_hashed(self._seed, name, epoch, position))
                drawn = {"generator": drawn_from}
            else:
                drawn = {}
            features, labels = step(features, labels, **drawn)
        return features, labels


def _hashed(*parts: object) -> int:
    text = "\0".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def batch_augmentor(config: Config) -> _BatchChain | None:
    """Return what a config's `augmentations:` does to a train batch, None if nothing.

    Raises:
        ConfigError: An augmentation is unknown, doesn't take the options given, lacks the number of classes, or wants
            class ids where others have made distributions of them.
    """
    classes = config.data.preprocessing.num_classes
    steps = [_step(number, item, classes) for number, item in enumerate(config.data.augmentations)]
    soft: str | None = None
    for number, (name, _) in enumerate(steps):
        if name == "label_noise" and soft:
            raise ConfigError(
                f"data.augmentations[{number}]: label_noise changes class ids, of which {soft} before it makes distributions",
                remedy=f"put label_noise before {soft}",
            )
        soft = name if name in _MAKES_SOFT else soft
    return _BatchChain(steps, config.seed) if steps else None


def _step(number: int, item: str | Mapping[str, Any], classes: int | None) -> tuple[str, Callable[..., Any]]:
    place = f"data.augmentations[{number}]"
    if not isinstance(item, str) and len(item) != 1:
        raise ConfigError(f"{place}: {item!r} is not one name", remedy="write {gaussian_noise: {std: 0.1}}")
    name, given = (item, None) if isinstance(item, str) else next(iter(item.items()))
    function = _KNOWN.get(name)
    if function is None:
        near = nearest(name, sorted(_KNOWN))
        hint = f"did you mean {near}? " if near else ""
        raise ConfigError(
            f"{place}: unknown augmentation {name!r}", remedy=f"{hint}known: {', '.join(sorted(_KNOWN))}"
        )
    wanted = inspect.signature(function).parameters
    options = dict(given or {})
    if "num_classes" in wanted and "num_classes" not in options:
        if classes is None:
            raise ConfigError(
                f"{place}: {name} wants the number of classes", remedy="set data.preprocessing.num_classes"
            )
        options["num_classes"] = classes
    _try(place, name, function, options)
    return name, partial(function, **options)


_DRAWN = {"rows": None, "epoch": 0, "seed": 0, "generator": None}


def _try(place: str, name: str, function: Callable[..., Any], options: dict[str, Any]) -> None:
    """Check the options of a function, those of our own by a batch without records."""
    own = function.__module__ == gaussian_noise.__module__
    taken = inspect.signature(function).parameters
    reserved = _DRAWN.keys() & options.keys()
    if reserved:
        raise ConfigError(
            f"{place}: {name}: {', '.join(sorted(reserved))} is not an option", remedy="leave it out"
        )
    try:
        inspect.signature(function).bind(
            None, None, **{key: value for key, value in _DRAWN.items() if key in taken}, **options
        )
        if own:
            with needed("torch", "augmentation"):
                import torch

            function(torch.zeros(0, 1), torch.zeros(0, dtype=torch.int64), **options)
    except ConfigError as error:
        raise ConfigError(
            f"{place}: {name}: {error}", remedy=f"it is {name}{inspect.signature(function)}"
        ) from error
    except TypeError as error:
        raise ConfigError(
            f"{place}: {name}: {error}", remedy=f"it is {name}{inspect.signature(function)}"
        ) from error
