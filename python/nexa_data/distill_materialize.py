"""Soft targets on disk: one JSON file that every training script can read, written row by row."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexa_data.artifacts import write_atomic
from nexa_data.errors import RecordError
from nexa_data.optional import needed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from torch import Tensor

__all__ = ["DATASET_NAME", "materialize_distilled_dataset"]

DATASET_NAME = "distilled_dataset.json"

_TOLERANCE = 1e-3
_TOLERANCE_16_BIT = 1e-2
_MATRIX = 2
_ABSENT = object()


def materialize_distilled_dataset(
    probabilities: Iterable[Tensor], targets: Iterable[Tensor], output_dir: Path
) -> Path:
    r"""Write teacher probabilities and targets to `distilled_dataset.json`.

    The file is a JSON list of `{"teacher_probs": [...], "target": int}`. Rows are streamed: memory holds one
    element of each iterable. Probabilities are written as float32 in the fewest digits that read back to the
    same float32. The file appears when it is complete and durable; after an error an older one is untouched.

    Args:
        probabilities: Tensors of shape `(C,)`, or `(B, C)` for batches, on any device, of any float dtype;
            numpy arrays and lists work too. Any iterable, read once, lazily. Each row sums to 1 within 1e-3,
            or 1e-2 for 16-bit dtypes.
        targets: For each of them the true class: an integer scalar, or `(B,)` for batches.
        output_dir: Folder to write into; made if it isn't there.

    Returns:
        Path of the file.

    Raises:
        RecordError: The two have unequal lengths or are empty, or a row isn't a distribution with a target
            among its classes; the message names the row, counted from 0 over all batches.
        OSError: The folder can't be written.

    Example:
        >>> import tempfile
        >>> path = materialize_distilled_dataset([[0.25, 0.75]], [1], Path(tempfile.mkdtemp()))
        >>> path.read_text()
        '[\n{"teacher_probs":[0.25,0.75],"target":1}\n]\n'
    """
    path = Path(output_dir) / DATASET_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, _document(_rows(probabilities, targets)))
    return path


def _document(rows: Iterator[tuple[np.ndarray[Any, Any], int]]) -> Iterator[bytes]:
    import orjson

    opening = b"[\n"
    for probs, target in rows:
        yield opening
        yield orjson.dumps({"teacher_probs": probs, "target": target}, option=orjson.OPT_SERIALIZE_NUMPY)
        opening = b",\n"
    if opening == b"[\n":
        raise RecordError(
            "there are no rows to write", remedy="pass at least one row; was a generator read before?"
        )
    yield b"\n]\n"


def _rows(probabilities: Iterable[Any], targets: Iterable[Any]) -> Iterator[tuple[np.ndarray[Any, Any], int]]:
    import numpy as np

    row = 0
    n_classes: int | None = None
    for probs, target in zip_longest(probabilities, targets, fillvalue=_ABSENT):
        if probs is _ABSENT or target is _ABSENT:
            ended, other = ("probabilities", "targets") if probs is _ABSENT else ("targets", "probabilities")
            raise RecordError(
                f"row {row}: {ended} end here, {other} go on",
                remedy="pass as many targets as rows of probabilities",
            )
        matrix, tolerance = _as_matrix(probs, row)
        classes = _as_classes(target, row, len(matrix))
        if n_classes is not None and matrix.shape[1] != n_classes:
            raise RecordError(
                f"row {row}: {matrix.shape[1]} probabilities, but the rows before have {n_classes}",
                remedy="use one label set for all rows",
            )
        n_classes = matrix.shape[1]
        _check(matrix, classes, tolerance, row)
        rows = np.ascontiguousarray(matrix, dtype=np.float32)
        yield from zip(rows, classes.tolist(), strict=True)
        row += len(matrix)


def _as_matrix(value: Any, row: int) -> tuple[np.ndarray[Any, Any], float]:
    """Return probabilities as (B, C) on the CPU, and how far their sums may be from 1."""
    array, is_16_bit = _as_array(value, row, "probabilities")
    if array.dtype.kind not in "fiu" or array.ndim not in {1, _MATRIX} or array.shape[-1] == 0:
        raise RecordError(
            f"row {row}: probabilities have shape {array.shape} and dtype {array.dtype}",
            remedy="pass floats of shape (C,) or (B, C)",
        )
    return array.reshape(-1, array.shape[-1]), _TOLERANCE_16_BIT if is_16_bit else _TOLERANCE


def _as_classes(value: Any, row: int, n_rows: int) -> np.ndarray[Any, Any]:
    array, _ = _as_array(value, row, "targets")
    if array.dtype.kind not in "iu":
        raise RecordError(
            f"row {row}: the target is {array.dtype}, not an integer", remedy="pass class indices (int64)"
        )
    if array.ndim > 1 or array.size != n_rows:
        raise RecordError(
            f"row {row}: {n_rows} rows of probabilities, but targets of shape {array.shape}",
            remedy="pass a scalar target for (C,), or (B,) for (B, C)",
        )
    return array.reshape(-1)


def _as_array(value: Any, row: int, what: str) -> tuple[np.ndarray[Any, Any], bool]:
    import numpy as np

    with needed("torch", "a distilled dataset"):
        import torch

    if isinstance(value, torch.Tensor):
        host = value.detach().cpu()
        is_16_bit = host.is_floating_point() and host.element_size() == 2  # noqa: PLR2004 (bytes)
        # numpy has no bfloat16; float32 holds every 16-bit value exactly.
        return (host.float() if is_16_bit else host).numpy(), is_16_bit
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise RecordError(
            f"row {row}: {what} are ragged", remedy="pass tensors, or lists of equal lengths"
        ) from error
    return array, array.dtype == np.float16


def _check(matrix: np.ndarray[Any, Any], classes: np.ndarray[Any, Any], tolerance: float, row: int) -> None:
    import numpy as np

    sums = matrix.sum(axis=1, dtype=np.float64)
    faults = (
        (
            ~np.isfinite(matrix).all(axis=1),
            "a probability is NaN or infinite",
            "leave the row out or ask again",
        ),
        (
            (matrix < 0).any(axis=1),
            "a probability is negative",
            "pass probabilities, not logits: softmax them",
        ),
        (
            np.abs(sums - 1.0) > tolerance,
            f"the sum isn't 1 within {tolerance:g}",
            "normalise the row; softmax logits",
        ),
        (
            (classes < 0) | (classes >= matrix.shape[1]),
            f"the target isn't one of {matrix.shape[1]} classes",
            f"targets lie in 0 to {matrix.shape[1] - 1}",
        ),
    )
    for bad, what, remedy in faults:
        if bad.any():
            at = int(np.argmax(bad))
            raise RecordError(
                f"row {row + at}: {what} (sum {sums[at]:.6g}, target {classes[at]})", remedy=remedy
            )
