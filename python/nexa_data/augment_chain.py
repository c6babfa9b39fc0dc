"""Runs augmentations over a batch, one after the other, and gives each what it draws from."""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt
    from torch import Tensor

__all__ = ["DRAWN_FROM", "Chain", "Step", "described", "is_module", "parameters", "takes_features_alone"]

DRAWN_FROM = ("rows", "epoch", "seed", "generator")
"""What a function of a batch may ask for by keyword, so that its randomness is ours to repeat."""

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_SHOWN = 200


def is_module(function: object) -> bool:
    """Whether it is a torch module, such as a transform of torchvision."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(function, torch.nn.Module)


def parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    """Return what a function takes, a module by its `forward`; None if it doesn't tell, as some built in C don't."""
    if is_module(function):
        function = function.forward  # type: ignore[attr-defined]
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None


def takes_features_alone(function: Callable[..., Any]) -> bool:
    """Whether it is a module of one argument, which says nothing of labels."""
    return is_module(function) and required(function) == 1


def required(function: Callable[..., Any]) -> int | None:
    """Return how many positional arguments a function must be given; two if it takes any, None if it doesn't tell."""
    taken = parameters(function)
    if taken is None:
        return None
    found = [each for each in taken.values() if each.default is each.empty and each.kind in _POSITIONAL]
    many = any(each.kind is each.VAR_POSITIONAL for each in taken.values())
    return 2 if many and len(found) <= 2 else len(found)  # noqa: PLR2004 (features and labels)


def described(function: Callable[..., Any]) -> str:
    """Return a function's name and parameters, in one line."""
    if isinstance(function, functools.partial):
        said = [
            *map(repr, function.args),
            *(f"{name}={value!r}" for name, value in function.keywords.items()),
        ]
        text = f"{getattr(function.func, '__name__', repr(function.func))}({', '.join(said)})"
    elif not inspect.isroutine(function) and "__repr__" in _names(type(function)):
        text = repr(function)
    else:
        name = getattr(function, "__name__", type(function).__name__)
        options = (parameters(function) or {}).values()
        text = f"{name}({', '.join(f'{each.name}={each.default!r}' for each in options if each.default is not each.empty)})"
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _names(of: type) -> set[str]:
    """Return what a class and its bases define, but for what all objects have."""
    return set().union(*(vars(each) for each in of.__mro__ if each is not object))


@dataclass(slots=True)
class Step:
    """An augmentation of a chain.

    Args:
        name: Its name.
        function: What is called with features and labels.
        seed: What its draws begin with.
        seconds: Time spent in it so far.
    """

    name: str
    function: Callable[..., Any]
    seed: int
    seconds: float = 0.0
    _takes: frozenset[str] = field(init=False)
    _alone: bool = field(init=False)
    _by_row: bool = field(init=False)

    def __post_init__(self) -> None:
        """Ask the function once what it takes."""
        self._takes = frozenset(parameters(self.function) or ())
        self._alone = takes_features_alone(self.function)
        self._by_row = "rows" in self._takes

    def run(
        self,
        features: Tensor,
        labels: Tensor,
        *,
        rows: npt.NDArray[np.uint64],
        epoch: int,
        position: int,
        num_classes: int | None,
    ) -> tuple[Tensor, Tensor]:
        """Return what the function makes of a batch.

        Raises:
            RecordError: It is no pair of tensors.
        """
        started = time.perf_counter()
        given: dict[str, Any] = {"num_classes": num_classes} if "num_classes" in self._takes else {}
        try:
            if self._by_row:
                known = {"rows": rows, "epoch": epoch, "seed": self.seed}
                given |= {name: value for name, value in known.items() if name in self._takes}
                result = self._call(features, labels, given)
            else:
                result = self._drawing(features, labels, given, _hashed(self.seed, epoch, position))
        except Exception as error:
            error.add_note(f"in augmentation {self.name!r}")
            raise
        self.seconds += time.perf_counter() - started
        if not _is_pair(result):
            raise RecordError(
                f"augmentation {self.name!r} returned {_kind(result)}, no pair of batches",
                remedy="return (features, labels), tensors both",
            )
        return result  # type: ignore[no-any-return]

    def _call(self, features: Tensor, labels: Tensor, given: dict[str, Any]) -> Any:
        if self._alone:
            return self.function(features, **given), labels
        return self.function(features, labels, **given)

    def _drawing(self, features: Tensor, labels: Tensor, given: dict[str, Any], seed: int) -> Any:
        """Call what doesn't say that it draws by the row: it draws the same again all the same."""
        import torch

        if "generator" in self._takes:
            given["generator"] = torch.Generator().manual_seed(seed)
            return self._call(features, labels, given)
        # The caller's state stays as it is.
        before = torch.get_rng_state()
        try:
            torch.default_generator.manual_seed(seed)
            return self._call(features, labels, given)
        finally:
            torch.set_rng_state(before)


def _is_pair(result: object) -> bool:
    import torch

    return (
        isinstance(result, tuple)
        and len(result) == 2  # noqa: PLR2004 (features and labels)
        and all(isinstance(part, torch.Tensor) and part.ndim for part in result)
    )


def _kind(result: object) -> str:
    if isinstance(result, tuple):
        parts = (
            f"{type(part).__name__} of shape {tuple(part.shape)}"
            if hasattr(part, "shape")
            else type(part).__name__
            for part in result
        )
        return f"({', '.join(parts)})"
    return type(result).__name__


class Chain:
    """Augmentations over a batch, in their order.

    What a row draws is a function of (seed, name, how often the name came before, epoch, row); what a function draws that
    takes no `rows`, of (seed, name, epoch, position of the batch).

    Args:
        functions: Name and function of each.
        seed: The seed.
        num_classes: Number of classes, if it is known.
    """

    def __init__(
        self,
        functions: Sequence[tuple[str, Callable[..., Any]]],
        *,
        seed: int,
        num_classes: int | None,
    ) -> None:
        names = [name for name, _ in functions]
        self.steps = [
            Step(name, function, _hashed(seed, name, names[:at].count(name)))
            for at, (name, function) in enumerate(functions)
        ]
        self.num_classes = num_classes

    @property
    def functions(self) -> list[tuple[str, Callable[..., Any]]]:
        """Name and function of each step."""
        return [(step.name, step.function) for step in self.steps]

    def __call__(
        self,
        features: Tensor,
        labels: Tensor,
        *,
        epoch: int,
        position: int,
        rows: npt.NDArray[np.uint64] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return what the augmentations make of a batch, which is theirs to change in place.

        Args:
            features: Shape (B, …).
            labels: Shape (B,) or (B, …).
            epoch: The epoch.
            position: Where the batch begins in its epoch.
            rows: The records' numbers, shape (B,); default: from `position` on.

        Raises:
            RecordError: An augmentation returned no pair of tensors, or other records than it was given.
        """
        if rows is None:
            rows = np.arange(position, position + len(features), dtype=np.uint64)
        for step in self.steps:
            features, labels = step.run(
                features, labels, rows=rows, epoch=epoch, position=position, num_classes=self.num_classes
            )
            if not features.shape[0] == labels.shape[0] == rows.shape[0]:
                raise RecordError(
                    f"augmentation {step.name!r} returned {len(features)} features and {len(labels)} labels for {len(rows)} records",
                    remedy="return a row for each; to add or drop records, write a function of the dataset",
                )
        return features, labels


def _hashed(*parts: object) -> int:
    text = "\0".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
