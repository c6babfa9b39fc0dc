"""Augmentations: named functions over a dataset or a batch, applied in order."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.augment_chain import DRAWN_FROM, Chain, described, parameters, required, takes_features_alone
from nexa_data.augment_rows import (
    AUGMENT_VERSION,
    feature_dropout,
    gaussian_noise,
    jitter,
    label_noise,
    label_smoothing,
    mixup,
    scale,
)
from nexa_data.augment_view import AugmentedDataset
from nexa_data.config_source import nearest
from nexa_data.datasets.synthetic import DEFAULT_CLASSES, SyntheticClassificationDataset
from nexa_data.errors import ConfigError, RecordError
from nexa_data.optional import needed

if TYPE_CHECKING:
    from torch import Tensor

    from nexa_data.config import Config

__all__ = [
    "AUGMENT_VERSION",
    "AugmentedDataset",
    "Augmentor",
    "BatchAugmentor",
    "apply_augmentations",
    "batch_augmentor",
    "check_augmentations",
    "feature_dropout",
    "gaussian_noise",
    "jitter",
    "label_noise",
    "label_smoothing",
    "mixup",
    "register_augmentation",
    "scale",
]

_log = logging.getLogger(__name__)

Augmentor = Callable[[SyntheticClassificationDataset], SyntheticClassificationDataset]
"""A function of a whole dataset."""

BatchAugmentor = Callable[..., "tuple[Tensor, Tensor]"]
"""A function of a batch, features (B, F) and labels (B,), and by keyword of what it asks for."""

_TRIED = 32


def apply_augmentations(
    dataset: SyntheticClassificationDataset, augmentations: dict[str, Augmentor]
) -> SyntheticClassificationDataset:
    """Apply the named functions in their order, and log each with its parameters and time.

    A function of a batch is tried on the first records at once, so that a mistake shows here; the others it gets when somebody asks
    for them. One that adds or drops records, and a function of a dataset, is applied to all of them at once.

    Args:
        dataset: What to augment; it is left as it is.
        augmentations: Name → what is done: one of this module's, such as `gaussian_noise(std=0.1)`, or `gaussian_noise` as it is by default; a function of a batch
            `(features (B, F), labels (B,))` that returns such a pair; a torch module, such as a transform of torchvision, of features alone
            or of both; or a function of a dataset, which is one of a single required argument. A function that takes
            `rows` (the records' numbers, uint64), `epoch` and `seed` by keyword can draw what depends on the record alone; one that takes a
            `generator`, or draws from torch's own, draws the same for the same batch; one that takes `num_classes` is given it.

    Returns:
        The augmented dataset: a view, if records are augmented as they are asked for. Its `materialize()` holds them;
        its `set_epoch(epoch)` draws anew.

    Raises:
        RecordError: A function returned something else, the message has its name; or `dataset` is of another kind.

    Example:
        >>> data = SyntheticClassificationDataset(8, 2, 2, seed=0)
        >>> view = apply_augmentations(data, {"double": lambda features, labels: (features * 2, labels)})
        >>> bool((view.materialize().features == data.features * 2).all())
        True
    """
    if not isinstance(dataset, SyntheticClassificationDataset):
        raise RecordError(
            f"a {type(dataset).__name__} isn't augmented here",
            remedy="make a dataset of its tensors with SyntheticClassificationDataset.from_tensors(features, labels)",
        )
    for name, given in augmentations.items():
        started = time.perf_counter()
        function: Any = given
        if function in _BUILT_IN:
            function = function()
        if not callable(function):
            raise RecordError(
                f"augmentation {name!r} is {type(function).__name__}, no function",
                remedy="give a function of (features, labels), or of a dataset",
            )
        if required(function) == 1 and not takes_features_alone(function):
            result, tried = _of_dataset(name, function, dataset), len(dataset)
        else:
            result, tried = _of_batches(name, function, dataset)
        how = "" if tried == len(result) else f"{tried} tried in "
        _log.info(
            "augmentation %s: %d records in, %d out, %s%.3f s: %s",
            name,
            len(dataset),
            len(result),
            how,
            time.perf_counter() - started,
            described(function),
        )
        dataset = result
    return dataset


def _of_dataset(
    name: str, function: Augmentor, dataset: SyntheticClassificationDataset
) -> SyntheticClassificationDataset:
    try:
        result = function(dataset)
    except Exception as error:
        error.add_note(f"in augmentation {name!r}")
        raise
    if not isinstance(result, SyntheticClassificationDataset):
        raise RecordError(
            f"augmentation {name!r} returned {type(result).__name__}",
            remedy="return a SyntheticClassificationDataset, or take and return (features, labels)",
        )
    return result


def _of_batches(
    name: str, function: Any, dataset: SyntheticClassificationDataset
) -> tuple[SyntheticClassificationDataset, int]:
    """Return the dataset through a function of batches, and how many records it was tried on."""
    base, before = (
        (dataset.base, dataset.chain.functions) if isinstance(dataset, AugmentedDataset) else (dataset, [])
    )
    chain = Chain([*before, (name, function)], seed=base.seed, num_classes=base.num_classes)
    count = min(_TRIED, len(dataset))
    try:
        features, labels = _last(chain, dataset, count)
    except TypeError:
        if required(function) is not None:
            raise
        # It doesn't tell what it takes, and that isn't a batch.
        return _of_dataset(name, function, dataset), len(dataset)
    if len(features) != count or len(labels) != count:
        features, labels = _last(chain, dataset, len(dataset))
        return _held(name, features, labels, dataset), len(dataset)
    _held(name, features, labels, dataset)
    return AugmentedDataset(base, chain, features.shape[1]), count


def _last(chain: Chain, dataset: SyntheticClassificationDataset, count: int) -> tuple[Tensor, Tensor]:
    """Return what the last step of a chain makes of the first records of what the others have made."""
    with needed("torch", "augmentation"):
        import torch

    numbers = np.arange(count, dtype=np.uint64)
    features, labels = (torch.from_numpy(np.array(part)) for part in dataset.rows(numbers))
    return chain.steps[-1].run(
        features, labels, rows=numbers, epoch=0, position=0, num_classes=chain.num_classes
    )


def _held(
    name: str, features: Tensor, labels: Tensor, like: SyntheticClassificationDataset
) -> SyntheticClassificationDataset:
    try:
        return SyntheticClassificationDataset.from_tensors(features, labels, like=like)
    except RecordError as error:
        raise RecordError(f"augmentation {name!r}: {error.message}", remedy=error.remedy) from None


_BUILT_IN: tuple[Any, ...] = (feature_dropout, gaussian_noise, label_noise, label_smoothing, mixup, scale)
_KNOWN: dict[str, Callable[..., Any]] = {"jitter": jitter, **{each.__name__: each for each in _BUILT_IN}}
_MAKES_SOFT = {"label_smoothing", "mixup"}


def register_augmentation(name: str, function: Callable[..., Any]) -> None:
    """Make `function` usable from a config's `augmentations:` under `name`.

    Args:
        name: The name.
        function: A function of a batch, or a torch module, as `apply_augmentations` takes them; its other keywords are options of the config.

    Raises:
        ConfigError: The name is taken by another function.
    """
    if _KNOWN.get(name, function) is not function:
        raise ConfigError(f"augmentation {name!r} exists already", remedy="choose another name")
    _KNOWN[name] = function


def check_augmentations(config: Config) -> list[tuple[str, Callable[..., Any]]]:
    """Return name and function of each of a config's `augmentations:`.

    Raises:
        ConfigError: An augmentation is unknown, doesn't take the options given, or wants class ids where others have made
            distributions of them.
    """
    steps = [
        _step(f"data.augmentations[{number}]", item) for number, item in enumerate(config.data.augmentations)
    ]
    soft: str | None = None
    for number, (name, _) in enumerate(steps):
        if name == "label_noise" and soft:
            raise ConfigError(
                f"data.augmentations[{number}]: label_noise changes class ids, of which {soft} before it makes distributions",
                remedy=f"put label_noise before {soft}",
            )
        soft = name if name in _MAKES_SOFT else soft
    return steps


def batch_augmentor(config: Config, num_classes: int | None = None) -> Chain | None:
    """Return what a config's `augmentations:` does to a train batch, None if nothing.

    Args:
        config: The config.
        num_classes: Number of classes that the data says of itself; the config's own comes first.

    Raises:
        ConfigError: As `check_augmentations`; or an augmentation lacks the number of classes.
    """
    steps = check_augmentations(config)
    if not steps:
        return None
    classes = config.data.preprocessing.num_classes or num_classes
    if classes is None and config.data.dataset_name == "synthetic" and not config.data.sources:
        classes = DEFAULT_CLASSES
    for number, (name, function) in enumerate(steps):
        asked = (parameters(function) or {}).get("num_classes")
        lacks = asked is not None and asked.default in {None, asked.empty}
        if lacks and classes is None and getattr(function, "num_classes", None) is None:
            raise ConfigError(
                f"data.augmentations[{number}]: {name} wants the number of classes",
                remedy="set data.preprocessing.num_classes",
            )
    return Chain(steps, seed=config.seed, num_classes=classes)


def _step(place: str, item: str | Mapping[str, Any]) -> tuple[str, Callable[..., Any]]:
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
    if not isinstance(given, Mapping | None):
        raise ConfigError(
            f"{place}: {name}: {given!r} names no option", remedy=f"write {{{name}: {{OPTION: …}}}}"
        )
    options = dict(given or {})
    if function in _BUILT_IN:
        _check_options(place, name, options, list(parameters(function) or ()))
        try:
            return name, function(**options)
        except ConfigError as error:
            raise ConfigError(f"{place}: {name}: {error.message}", remedy=error.remedy) from None
    taken = parameters(function)
    if taken is not None:
        own = [each for each in list(taken.values())[2:] if each.name not in DRAWN_FROM]
        if not any(each.kind is each.VAR_KEYWORD for each in own):
            _check_options(place, name, options, [each.name for each in own])
        missing = [
            each.name
            for each in own
            if each.kind is each.KEYWORD_ONLY
            and each.default is each.empty
            and each.name not in {*options, "num_classes"}
        ]
        if missing:
            raise ConfigError(
                f"{place}: {name} wants {', '.join(missing)}", remedy=f"write {{{name}: {{{missing[0]}: …}}}}"
            )
    return name, functools.partial(function, **options) if options else function


def _check_options(place: str, name: str, options: Mapping[str, Any], known: list[str]) -> None:
    for option in options:
        if option in DRAWN_FROM:
            raise ConfigError(f"{place}: {name}: {option} is not an option", remedy="leave it out")
        if option not in known:
            near = nearest(str(option), known)
            hint = f"did you mean {near}? " if near else ""
            said = f"{hint}it takes {', '.join(known)}" if known else "it takes none"
            raise ConfigError(f"{place}: {name} has no option {option!r}", remedy=said)
