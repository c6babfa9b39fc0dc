"""From log probabilities to a distribution over labels, and from the collector's Parquet to tensors."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nexa_data.errors import RecordError, ShardNotFoundError
from nexa_data.optional import needed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor

__all__ = ["LABELS_METADATA", "OUTPUTS_NAME", "LabelDistribution", "label_distribution", "read_soft_targets"]

OUTPUTS_NAME = "teacher_outputs.parquet"
"""File of an artifact of kind `teacher-outputs` that holds the rows."""

LABELS_METADATA = b"nexa.labels"
"""Key in the Parquet schema's metadata under which the label set stands, as a JSON list."""


@dataclass(frozen=True, slots=True)
class LabelDistribution:
    """A teacher's distribution over a label set.

    Args:
        probabilities: One per label, in the labels' order; they sum to 1, or are all NaN where
            no label was seen.
        residual_mass: Probability that fell on no label, in [0, 1]; 1 where no label was seen.
            The raw probability of a label is `probability * (1 - residual_mass)`.
    """

    probabilities: tuple[float, ...]
    residual_mass: float

    @property
    def seen(self) -> bool:
        """Whether any label was among the alternatives."""
        return not math.isnan(self.probabilities[0])


def label_distribution(top: Iterable[tuple[str, float]], labels: Sequence[str]) -> LabelDistribution:
    """Return the distribution over `labels` from the first answered token's alternatives.

    A label is matched by a token that equals it, leading spaces on either side aside: `"A"` is matched by
    `"A"` and `" A"`, and their probabilities add up. A label of several tokens is never matched, so choose
    labels that the teacher says in one (the prompt can name letters for them). A label outside the
    alternatives has probability 0 before the rest is scaled to sum to 1.

    Args:
        top: (token, log probability) of the alternatives, each token once.
        labels: The label set.

    Returns:
        The distribution and the mass that fell on no label.

    Example:
        >>> import math
        >>> top = [("A", math.log(0.6)), (" B", math.log(0.2)), ("x", math.log(0.1))]
        >>> found = label_distribution(top, ["A", "B"])
        >>> [round(p, 3) for p in found.probabilities], round(found.residual_mass, 3)
        ([0.75, 0.25], 0.2)
    """
    places = {label.lstrip(" "): index for index, label in enumerate(labels)}
    mass = [0.0] * len(labels)
    for token, logprob in top:
        index = places.get(token.lstrip(" "))
        if index is not None:
            mass[index] += math.exp(logprob)
    total = math.fsum(mass)
    if not total > 0.0:
        return LabelDistribution((math.nan,) * len(labels), 1.0)
    return LabelDistribution(tuple(value / total for value in mass), min(1.0, max(0.0, 1.0 - total)))


def read_soft_targets(
    path: Path, *, label_column: str | None = None, missing: Literal["error", "skip"] = "error"
) -> tuple[Iterator[Tensor], Iterator[Tensor]]:
    """Read the collector's Parquet as what `materialize_distilled_dataset` takes.

    Args:
        path: Artifact folder of kind `teacher-outputs`, or its Parquet file.
        label_column: Carried column with the true class: its index, or the label itself. None takes the
            teacher's most probable label.
        missing: What to do with a row that failed or whose alternatives held no label: raise, or leave it
            out of both iterators.

    Returns:
        Lazy, independent iterators in the rows' order: probabilities, float32 `(C,)`, and targets, int64
        scalars. Each holds one batch of the file at a time; tensors are the caller's.

    Raises:
        ShardNotFoundError: There is no such file.
        RecordError: The file has no label probabilities or no such column; while iterating: a row has no
            soft target, or its label isn't one of the label set.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = Path(path)
    file = file / OUTPUTS_NAME if file.is_dir() else file
    if not file.is_file():
        raise ShardNotFoundError(
            f"there are no teacher outputs at {file.absolute()}", remedy="name the artifact folder"
        )
    try:
        schema = pq.read_schema(file)
    except pa.ArrowInvalid as error:
        raise RecordError(
            f"{file} is not a Parquet file: {error}", remedy="name the collector's output"
        ) from error
    labels = json.loads((schema.metadata or {}).get(LABELS_METADATA, b"[]"))
    if not labels or "label_probs" not in schema.names:
        raise RecordError(f"{file} has no label probabilities", remedy="collect with `labels` set")
    if label_column is not None and label_column not in schema.names:
        raise RecordError(
            f"{file} has no column {label_column!r}", remedy=f"it has: {', '.join(schema.names)}"
        )
    reader = _SoftTargets(file, labels, label_column, skip=missing == "skip")
    return reader.probabilities(), reader.targets()


@dataclass(frozen=True, slots=True)
class _SoftTargets:
    file: Path
    labels: list[str]
    label_column: str | None
    skip: bool

    def probabilities(self) -> Iterator[Tensor]:
        with needed("torch", "reading soft targets"):
            import torch

        for _, probs, _ in self._rows():
            yield torch.tensor(probs, dtype=torch.float32)

    def targets(self) -> Iterator[Tensor]:
        with needed("torch", "reading soft targets"):
            import torch

        places = {label.lstrip(" "): index for index, label in enumerate(self.labels)}
        for row, probs, value in self._rows():
            target = (
                probs.index(max(probs)) if self.label_column is None else self._target(row, value, places)
            )
            yield torch.tensor(target, dtype=torch.int64)

    def _rows(self) -> Iterator[tuple[int, list[float], Any]]:
        import pyarrow.parquet as pq

        columns = ["label_probs", *([self.label_column] if self.label_column else [])]
        row = -1
        with pq.ParquetFile(self.file) as file:
            for batch in file.iter_batches(columns=columns):
                values = (
                    batch.column(self.label_column).to_pylist()
                    if self.label_column
                    else [None] * batch.num_rows
                )
                for probs, value in zip(batch.column("label_probs").to_pylist(), values, strict=True):
                    row += 1
                    if probs is not None and not math.isnan(probs[0]):
                        yield row, probs, value
                    elif not self.skip:
                        raise RecordError(
                            f"{self.file}: row {row} {_why_missing(probs)}",
                            remedy="pass missing='skip' to leave such rows out",
                        )

    def _target(self, row: int, value: Any, places: dict[str, int]) -> int:
        found = places.get(value.lstrip(" ")) if isinstance(value, str) else value
        if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < len(self.labels):
            return found
        raise RecordError(
            f"{self.file}: row {row}: {self.label_column} is {value!r}, which is no label",
            remedy=f"it is an index below {len(self.labels)} or one of {self.labels}",
        )


def _why_missing(probs: list[float] | None) -> str:
    return "failed: it has no answer" if probs is None else "has no label among the teacher's alternatives"
