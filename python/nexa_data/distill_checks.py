"""Whether rows are distributions with targets among their classes; what is wrong is said with its row and a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.errors import RecordError
from nexa_data.optional import needed

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["as_classes", "as_matrix", "check"]

_TOLERANCE = 1e-3
_TOLERANCE_16_BIT = 1e-2
_NARROW_BYTES = 2
_MATRIX = 2
_PERCENT = 100.0


def as_matrix(value: Any, row: int) -> tuple[npt.NDArray[Any], float]:
    """Return probabilities as (B, C) on the CPU, and how far their sums may be from 1.

    Args:
        value: Tensor, array or lists of shape (C,) or (B, C).
        row: Number of its first row, for messages.

    Raises:
        RecordError: It has another shape, or isn't of real numbers.
    """
    array, is_narrow = _as_array(value, row, "probabilities")
    if array.dtype.kind not in "fiu" or array.ndim not in {1, _MATRIX} or array.shape[-1] == 0:
        raise RecordError(
            f"row {row}: probabilities have shape {array.shape} and dtype {array.dtype}",
            remedy="pass floats of shape (C,) or (B, C)",
        )
    return array.reshape(-1, array.shape[-1]), _TOLERANCE_16_BIT if is_narrow else _TOLERANCE


def as_classes(value: Any, row: int, n_rows: int) -> npt.NDArray[Any]:
    """Return targets as (n_rows,) on the CPU.

    Args:
        value: Integer, or integers of shape (B,) or (B, 1); floats are refused, since an index that went through
            them may have been rounded.
        row: Number of its first row, for messages.
        n_rows: Rows of probabilities that it belongs to.

    Raises:
        RecordError: It has another shape or isn't of integers.
    """
    array, _ = _as_array(value, row, "targets")
    if array.ndim == _MATRIX and array.shape[1] > 1 and len(array) == n_rows:
        raise RecordError(
            f"row {row}: targets have shape {array.shape}, like one-hot rows or a second set of probabilities",
            remedy="pass class indices: targets.argmax(-1)",
        )
    if array.dtype.kind not in "iu":
        raise RecordError(
            f"row {row}: the target is {array.dtype}, not an integer",
            remedy="pass class indices (int64): targets.long(), if they are whole numbers",
        )
    if array.ndim > _MATRIX or array.size != n_rows:
        raise RecordError(
            f"row {row}: {n_rows} rows of probabilities, but targets of shape {array.shape}",
            remedy="pass a scalar target for (C,), or (B,) for (B, C)",
        )
    return array.reshape(-1)


def _as_array(value: Any, row: int, what: str) -> tuple[npt.NDArray[Any], bool]:
    """Return the value as an array, and whether it was of floats of 16 bits or fewer."""
    with needed("torch", "a distilled dataset"):
        import torch

    if isinstance(value, torch.Tensor):
        host = value.detach().cpu()
        host = host if host.layout == torch.strided else host.to_dense()
        is_narrow = host.is_floating_point() and host.element_size() <= _NARROW_BYTES
        # numpy has no bfloat16; float32 holds every such value exactly.
        return (host.float() if is_narrow else host).numpy(), is_narrow
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise RecordError(
            f"row {row}: {what} are ragged", remedy="pass tensors, or lists of equal lengths"
        ) from error
    if array.dtype.name == "bfloat16":  # as ml_dtypes registers it
        return array.astype(np.float32), True
    return array, array.dtype == np.float16


def check(matrix: npt.NDArray[Any], classes: npt.NDArray[Any], tolerance: float, row: int) -> None:
    """Refuse rows that aren't distributions, and targets that aren't among their classes.

    Sums are made in float64 of the numbers as they were given.

    Args:
        matrix: (B, C).
        classes: (B,).
        tolerance: How far a sum may be from 1.
        row: Number of the first row, for messages.

    Raises:
        RecordError: A row is wrong; the message has its number.
    """
    sums = matrix.sum(axis=1, dtype=np.float64)
    # The least value is NaN where one is; the sum of finite numbers below the largest float is finite.
    least = matrix.min(axis=1)
    wrong = ~((least >= 0) & (np.abs(sums - 1.0) <= tolerance) & (classes >= 0) & (classes < matrix.shape[1]))
    if wrong.any():
        at = int(np.argmax(wrong))
        what, remedy = _fault(matrix[at], float(sums[at]), tolerance)
        raise RecordError(f"row {row + at}: {what} (sum {sums[at]:.6g}, target {classes[at]})", remedy=remedy)


def _fault(probs: npt.NDArray[Any], total: float, tolerance: float) -> tuple[str, str]:
    """Return what is wrong with a row, and what to do about it."""
    finite = bool(np.isfinite(probs).all())
    if not finite or (probs < 0).any():
        what = "a probability is negative" if finite else "a probability is NaN or infinite"
        # Minus infinity is the logarithm of 0.
        if (probs <= 0).all() and abs(float(np.exp(probs.astype(np.float64)).sum()) - 1.0) <= tolerance:
            return what, "these are log probabilities: pass them through exp()"
        if finite:
            return what, "pass probabilities, not logits: softmax them"
        return what, "leave the row out or ask again"
    if abs(total - 1.0) <= tolerance:
        return f"the target isn't one of {len(probs)} classes", f"targets lie in 0 to {len(probs) - 1}"
    percent = abs(total / _PERCENT - 1.0) <= tolerance
    remedy = "these are percentages: divide them by 100" if percent else "normalise the row; softmax logits"
    return f"the sum isn't 1 within {tolerance:g}", remedy
