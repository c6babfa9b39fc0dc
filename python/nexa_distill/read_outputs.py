"""From the collector's Parquet to probabilities over its labels: what fell on no label is dealt with as the caller says."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from nexa_data.errors import ConfigError, RecordError
from nexa_data.optional import needed

from nexa_distill.output_file import LABELS_METADATA, open_outputs, require_columns, rows_of
from nexa_distill.output_rows import label_matrix, target_classes, why_missing
from nexa_distill.student_columns import student_batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt
    import pyarrow as pa
    from torch import Tensor

__all__ = ["LabelBatch", "Missing", "Residual", "SoftTargets", "read_soft_targets"]

Residual = Literal["renormalize", "class", "error"]
Missing = Literal["error", "skip"]

_BATCH_ROWS = 1024
_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class LabelBatch:
    """Some rows that have a soft target."""

    probabilities: npt.NDArray[np.float32]
    """(B, C), or (B, C + 1) with residual `class`; each row sums to 1."""
    targets: npt.NDArray[np.int64]
    """(B,), each below C."""
    columns: pa.RecordBatch | None
    """The student's columns; None if none were asked for."""


def read_soft_targets(
    path: Path,
    *,
    label_column: str | None = None,
    missing: Missing = "error",
    residual: Residual = "renormalize",
    residual_tolerance: float = _TOLERANCE,
) -> tuple[Iterator[Tensor], Iterator[Tensor]]:
    """Read the collector's Parquet as what `materialize_distilled_dataset` takes.

    Args:
        path: Artifact folder of kind `teacher-outputs`, or its Parquet file.
        label_column: Carried column with the true class: its index, or the label itself. None takes the
            teacher's most probable label.
        missing: What to do with a row whose status isn't `ok` or whose alternatives held no label: raise, or leave
            it out of both iterators.
        residual: What becomes of the probability that fell on no label: `renormalize` scales the labels' to sum to 1;
            `class` appends it as one more class, C, which is never a target; `error` raises where it is more than
            `residual_tolerance`.
        residual_tolerance: Residual mass up to which `error` takes a row, and scales it.

    Returns:
        Lazy, independent iterators in the rows' order: probabilities, float32 `(C,)`, and targets, int64
        scalars. Each holds one batch of the file at a time; tensors are the caller's.

    Raises:
        ShardNotFoundError: There is no such file.
        RecordError: The file has no label probabilities or no such column; while iterating: a row has no
            soft target, or its label isn't one of the label set.
    """
    found = SoftTargets.open(
        path,
        label_column=label_column,
        missing=missing,
        residual=residual,
        residual_tolerance=residual_tolerance,
    )
    with needed("torch", "reading soft targets"):
        import torch

    probabilities = (torch.from_numpy(row.copy()) for batch in found.batches() for row in batch.probabilities)
    targets = (torch.tensor(target) for batch in found.batches() for target in batch.targets)
    return probabilities, targets


@dataclass(frozen=True, slots=True)
class SoftTargets:
    """The rows of a collector's Parquet that have a soft target, batch by batch.

    Args:
        file: The Parquet file.
        labels: The label set.
        label_column: Carried column with the true class; None: the teacher's most probable label.
        missing: What is done with rows without a soft target.
        residual: What becomes of the probability that fell on no label.
        residual_tolerance: Residual mass up to which `error` takes a row.
        features: Columns that become the student's `features`, float32 (F,), in their order.
        carry: Further columns that travel along as they are.
        skipped: Rows that were left out so far, by why.
    """

    file: Path
    labels: tuple[str, ...]
    label_column: str | None = None
    missing: Missing = "error"
    residual: Residual = "renormalize"
    residual_tolerance: float = _TOLERANCE
    features: tuple[str, ...] = ()
    carry: tuple[str, ...] = ()
    skipped: Counter[str] = field(default_factory=Counter)

    @classmethod
    def open(cls, path: Path, **options: Any) -> SoftTargets:
        """Return the soft targets of an artifact folder or a Parquet file; see the class for the options.

        Raises:
            ShardNotFoundError: There is no such file.
            RecordError: It has no label probabilities, or no such column.
            ConfigError: An option is none of those that there are.
        """
        file, schema = open_outputs(path)
        labels = tuple(json.loads((schema.metadata or {}).get(LABELS_METADATA, b"[]")))
        if not labels or "label_probs" not in schema.names:
            raise RecordError(f"{file} has no label probabilities", remedy="collect with `labels` set")
        found = cls(file, labels, **options)
        for kind, chosen in ((Residual, found.residual), (Missing, found.missing)):
            if chosen not in get_args(kind):
                raise ConfigError(f"there is no {chosen!r}", remedy=f"known: {', '.join(get_args(kind))}")
        require_columns(file, schema, found.asked)
        return found

    @property
    def asked(self) -> list[str]:
        """Columns that the caller named."""
        return [*([self.label_column] if self.label_column else []), *self.features, *self.carry]

    @property
    def rows(self) -> int:
        """Rows of the file, those without a soft target too."""
        return rows_of(self.file)

    @property
    def n_classes(self) -> int:
        """Probabilities of a row."""
        return len(self.labels) + (self.residual == "class")

    def batches(self) -> Iterator[LabelBatch]:
        """Yield the rows in order; each call reads the file again.

        Raises:
            RecordError: A row has no soft target and `missing` is `error`, its residual mass is too large, or its
                label is none; it names file and row.
        """
        import pyarrow.parquet as pq

        self.skipped.clear()
        # Buffered ahead, what was read would be kept to the file's end.
        with pq.ParquetFile(self.file, pre_buffer=False) as file:
            about = [name for name in ("status", "error") if name in file.schema_arrow.names]
            columns = list(dict.fromkeys(["label_probs", *about, *self.asked]))
            first = 0
            for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
                yield from self._batch(batch, first)
                first += batch.num_rows

    def _batch(self, batch: pa.RecordBatch, first: int) -> Iterator[LabelBatch]:
        raw = label_matrix(batch.column("label_probs"), len(self.labels), f"{self.file}: row {{}}", first)
        mass = raw.sum(axis=1)
        found = ~(mass > 0)  # NaN stands for a row without an answer, as a null does
        if "status" in batch.schema.names:
            found |= np.array([status != "ok" for status in batch.column("status").to_pylist()], bool)
        for row in np.flatnonzero(found).tolist():
            self._leave_out(batch, row, first)
        rows = np.flatnonzero(~found)
        if not len(rows):
            return
        raw, mass = raw[rows], mass[rows]
        self._require_mass(mass, rows + first)
        kept = batch.take(rows)
        values = kept.column(self.label_column).to_pylist() if self.label_column else None
        targets = target_classes(
            raw, values, self.labels, f"{self.file}: row {{}}: {self.label_column}", rows + first
        )
        columns = student_batch(kept, self.features, self.carry, f"{self.file}: row {{}}", rows + first)
        yield LabelBatch(self._distributions(raw, mass), targets, columns)

    def _leave_out(self, batch: pa.RecordBatch, row: int, first: int) -> None:
        kind, why = why_missing(batch, row)
        if self.missing == "error":
            raise RecordError(
                f"{self.file}: row {first + row} {why}",
                remedy="pass missing='skip' (--skip-missing) to leave such rows out",
            )
        self.skipped[kind] += 1

    def _require_mass(self, mass: npt.NDArray[np.float64], numbers: npt.NDArray[np.intp]) -> None:
        if self.residual != "error":
            return
        short = np.flatnonzero(1.0 - mass > self.residual_tolerance)
        if len(short):
            at = int(short[0])
            raise RecordError(
                f"{self.file}: row {numbers[at]}: a probability of {1.0 - mass[at]:.4g} fell on no label, "
                f"more than {self.residual_tolerance:g}",
                remedy="pass residual='renormalize' or 'class' (--residual), or a larger residual_tolerance",
            )

    def _distributions(
        self, raw: npt.NDArray[np.float64], mass: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float32]:
        if self.residual == "class":
            raw = np.column_stack([raw, np.clip(1.0 - mass, 0.0, 1.0)])
            mass = raw.sum(axis=1)
        scaled: npt.NDArray[np.float32] = (raw / mass[:, None]).astype(np.float32)
        return scaled
