"""Soft targets as Arrow shards, dense or as the largest probabilities of each row, in an artifact that loaders read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.catalog import CATALOG_NAME
from nexa_data.datasets.sparse_labels import SPARSE_COLUMNS
from nexa_data.distill_columns import ColumnGather
from nexa_data.distill_rows import BLOCK_BYTES
from nexa_data.errors import ConfigError
from nexa_data.shard_artifact import ShardPlan, made_artifact
from nexa_data.shard_output import tensor_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt
    import pyarrow as pa

    from nexa_data.distill_rows import Rows

__all__ = ["ShardForm", "materialize_shards"]

_TOP_K = 20
_BLOCK_ROWS = 65_536
_DTYPES = ("float32", "float16")


@dataclass(frozen=True, slots=True)
class ShardForm:
    """How soft targets are stored; see `materialize_distilled_dataset`.

    Raises:
        ConfigError: An option is impossible.
    """

    sparse: bool
    dtype: str | None = None
    top_k: int | None = None
    split: str | Mapping[str, float] = "train"
    seed: int = 0
    shard_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.dtype not in {None, *_DTYPES}:
            raise ConfigError(f"there is no dtype {self.dtype!r}", remedy=f"known: {', '.join(_DTYPES)}")
        if self.top_k is not None and not self.sparse:
            raise ConfigError("top_k is of the form sparse: arrow stores every class", remedy="leave it out")
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k is {self.top_k}", remedy="pass 1 or more")

    @property
    def stored(self) -> str:
        """Type of what is stored."""
        return self.dtype or "float32"

    @property
    def most(self) -> int:
        """Classes that a row keeps at most."""
        return self.top_k or _TOP_K


def materialize_shards(
    rows: Iterator[Rows], output_dir: Path, form: ShardForm, origin: Path | str | None = None
) -> Path:
    """Write checked rows as an artifact of kind `dataset` and return the path of its catalog.

    Raises:
        RecordError: A row is wrong, columns don't agree, or a split got no row; nothing is published.
        ArtifactError: `output_dir` holds something else.
    """
    plan = ShardPlan(form.split, form.seed, form.shard_bytes)
    made = _Batches(form, BLOCK_BYTES if form.sparse else plan.bytes)
    meta = made_artifact(
        made.of(rows),
        output_dir,
        plan,
        describe=lambda: (made.metadata(), {}),
        inputs={"form": "sparse" if form.sparse else "arrow"},
        origin=origin,
    )
    return meta.path / CATALOG_NAME


class _Batches:
    """Gathers rows to record batches of some MiB in memory of their own: a caller may use his for the next row.

    Args:
        form: How rows are stored.
        block_bytes: Bytes of probabilities in a batch.
    """

    def __init__(self, form: ShardForm, block_bytes: int) -> None:
        self._form = form
        self._block_bytes = block_bytes
        self._columns = ColumnGather()
        self._schema: pa.Schema | None = None
        self._classes = 0

    def of(self, rows: Iterator[Rows]) -> Iterator[pa.RecordBatch]:
        """Yield the rows as batches of what is stored."""
        dtype = np.dtype(np.float32 if self._form.sparse else self._form.stored)
        held: npt.NDArray[Any] = np.empty((0, 0), dtype)
        targets = np.empty(0, np.int64)
        filled = 0
        for part in rows:
            n, self._classes = part.probabilities.shape
            taken = 0
            while taken < n:
                if filled == len(held):
                    block = self._block_bytes // (self._classes * dtype.itemsize + targets.itemsize)
                    block = max(1, min(_BLOCK_ROWS, block))
                    held, targets = np.empty((block, self._classes), dtype), np.empty(block, np.int64)
                    filled = 0
                more = min(len(held) - filled, n - taken)
                _fill(held[filled : filled + more], part.probabilities[taken : taken + more])
                targets[filled : filled + more] = part.classes[taken : taken + more]
                self._columns.add(part.columns, taken, more, part.first)
                filled, taken = filled + more, taken + more
                if filled == len(held):
                    yield self._batch(held, targets)
        if filled < len(held):
            yield self._batch(held[:filled], targets[:filled])

    def _batch(self, held: npt.NDArray[Any], targets: npt.NDArray[np.int64]) -> pa.RecordBatch:
        import pyarrow as pa

        others = self._columns.batch()
        features = others.pop("features", None)
        first = {} if features is None else {"features": features}
        label = sparse_columns(held, self._form.most, self._form.stored) if self._form.sparse else {}
        dense = tensor_batch(({} if self._form.sparse else {"label": held}) | {"target": targets})
        arrays = {**first, **dict(zip(dense.schema.names, dense.columns, strict=True)), **label, **others}
        fields = [pa.field(name, array.type, nullable=False) for name, array in arrays.items()]
        found = pa.record_batch(list(arrays.values()), schema=pa.schema(fields))
        self._schema = found.schema
        return found

    def metadata(self) -> dict[str, Any]:
        """Return what `dataset_metadata.json` says of the columns."""
        schema = self._schema
        names = [] if schema is None else list(schema.names)
        label = {
            "name": "label",
            "column": "label",
            "kind": "distribution",
            "dtype": "float32" if self._form.sparse else self._form.stored,
            "shape": [self._classes],
            "num_classes": self._classes,
            "classes": None,
        }
        if self._form.sparse:
            label["sparse"] = {
                "classes": self._classes,
                "top_k": self._form.most,
                "dtype": self._form.stored,
                "residual": "renormalize",
            }
        known = {"features", "label"}
        others = [
            {"name": name, "type": str(schema.field(name).type)}
            for name in names
            if name not in known and schema
        ]
        return {"features": self._columns.features(), "label": label, "columns": others}


def _fill(block: npt.NDArray[Any], rows: npt.NDArray[Any]) -> None:
    if block.dtype != np.float16:
        block[:] = rows
        return
    import torch

    # By torch: numpy takes a hundred times as long for numbers that float16 rounds to nearly 0.
    torch.from_numpy(block).copy_(torch.from_numpy(np.array(rows, np.float32)))


def sparse_columns(probs: npt.NDArray[Any], most: int, dtype: str) -> dict[str, pa.Array]:
    """Return the largest probabilities of each row as lists, most probable first, and what is left.

    Args:
        probs: (B, C).
        most: Classes that a row keeps at most; of equal ones any.
        dtype: Type of the logarithms. The least that float16 holds, -65,504, is below that of any float.

    Example:
        >>> found = sparse_columns(np.array([[0.25, 0.0, 0.75]]), 2, "float32")
        >>> found["target_ids"].to_pylist(), found["residual_mass"].to_pylist()
        ([[2, 0]], [0.0])
    """
    import pyarrow as pa
    import torch

    values, ids = torch.from_numpy(probs).topk(min(most, probs.shape[1]), dim=1)
    kept = (values > 0).numpy()
    top = values.numpy()
    offsets = pa.array(np.concatenate([[0], kept.sum(axis=1).cumsum()]).astype(np.int32))
    mass = 1.0 - np.where(kept, top, 0).sum(axis=1, dtype=np.float64)
    whole = probs.shape[1] <= most
    logprobs = np.log(top[kept].astype(np.float64)).astype(dtype)
    arrays = (
        pa.ListArray.from_arrays(offsets, pa.array(ids.numpy()[kept].astype(np.int32))),
        pa.ListArray.from_arrays(offsets, pa.array(logprobs)),
        # Where every class is kept nothing is left but what the sum differs from 1 by.
        pa.array((np.zeros(len(mass)) if whole else mass.clip(0.0, 1.0)).astype(np.float32)),
    )
    return dict(zip(SPARSE_COLUMNS, arrays, strict=True))
