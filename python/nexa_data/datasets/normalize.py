"""Shifts and scales features on their way into shards, each by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from nexa_data.config_reading import NormalizeConfig
    from nexa_data.datasets.statistics import SplitStatistics

__all__ = ["Normalization", "fitted_normalization", "fixed_normalization"]


@dataclass(frozen=True, slots=True)
class Normalization:
    """What is done to a record's features: `(x - shift) / scale`.

    Args:
        kind: `standard`, `minmax` or `fixed`.
        shift: Shape (F,), float64, F the features of a record.
        scale: Shape (F,), float64; nowhere 0.
    """

    kind: str
    shift: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]

    def apply(self, features: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return features of shape (n, …), changed, in their own type."""
        flat = features.reshape(len(features), -1)
        # In float64: a large mean would take float32's digits away.
        changed = (flat.astype(np.float64) - self.shift) / self.scale
        return changed.astype(features.dtype).reshape(features.shape)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, so that whoever serves a model does the same."""
        return {"kind": self.kind, "shift": self.shift.tolist(), "scale": self.scale.tolist()}


def fixed_normalization(config: NormalizeConfig, width: int) -> Normalization:
    """Return what the config says, for `width` features.

    Raises:
        ConfigError: It names another number of features.
    """
    return Normalization("fixed", _wide(config.mean, width, "mean"), _wide(config.std, width, "std"))


def _wide(value: float | Sequence[float], width: int, name: str) -> npt.NDArray[np.float64]:
    values = np.asarray(value, np.float64)
    if values.ndim and len(values) != width:
        raise ConfigError(
            f"data.preprocessing.normalize.{name} has {len(values)} numbers for {width} features",
            remedy="give one number, or one for each feature",
        )
    return np.broadcast_to(values, (width,))


def fitted_normalization(kind: str, train: SplitStatistics) -> Normalization:
    """Return what gives the training split mean 0 and deviation 1 (`standard`), or the range 0 to 1 (`minmax`).

    A feature that doesn't vary is only shifted.
    """
    low, high, mean, std = train.moments()
    shift, scale = (mean, std) if kind == "standard" else (low, high - low)
    usable = np.isfinite(shift) & np.isfinite(scale) & (scale > 0)
    return Normalization(kind, np.where(np.isfinite(shift), shift, 0.0), np.where(usable, scale, 1.0))
