"""What travels with soft targets: the student's inputs and other columns, gathered from mappings and record batches."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.datasets.sparse_labels import SPARSE_COLUMNS
from nexa_data.errors import RecordError
from nexa_data.shard_output import tensor_batch

if TYPE_CHECKING:
    import pyarrow as pa

    from nexa_data.distill_rows import Beside

__all__ = ["ColumnGather"]

_FEATURES = "features"
_TAKEN = frozenset({"label", "target", "mask", *SPARSE_COLUMNS})
"""Names that the dataset or a batch has for itself."""


class ColumnGather:
    """Gathers what is given beside rows until a batch of them is full."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Any]] = {}
        self._types: dict[str, pa.DataType] = {}

    def add(self, given: Beside | None, taken: int, rows: int, first: int) -> None:
        """Take what belongs to `rows` rows of a block, from its row `taken` on.

        Args:
            given: What was given beside the block.
            taken: First row, counted in the block.
            rows: Number of rows.
            first: Number of the block's first row, for messages.

        Raises:
            RecordError: It isn't of as many rows, or has other names than before or such as can't be stored.
        """
        if given is None:
            return
        columns = _columns(given, first)
        if self._parts and columns.keys() != self._parts.keys():
            raise RecordError(
                f"row {first}: columns are {', '.join(columns)}, in rows before {', '.join(self._parts)}",
                remedy="pass the same columns with each element",
            )
        for name, values in columns.items():
            self._parts.setdefault(name, []).append(values[taken : taken + rows])

    def batch(self) -> dict[str, pa.Array]:
        """Return the columns of the rows since the last call.

        Raises:
            RecordError: Rows have other types or shapes than those before.
        """
        found = {name: self._joined(name, parts) for name, parts in self._parts.items()}
        self._types = {name: array.type for name, array in found.items()}
        for parts in self._parts.values():
            parts.clear()
        return found

    def features(self) -> dict[str, Any] | None:
        """Return what `dataset_metadata.json` says of the features; None if there are none."""
        import pyarrow as pa

        kind = self._types.get(_FEATURES)
        if kind is None:
            return None
        tensor = isinstance(kind, pa.FixedShapeTensorType)
        dtype, shape = (kind.value_type, list(kind.shape)) if tensor else (kind, [])
        name = str(np.dtype(dtype.to_pandas_dtype()))
        return {"name": _FEATURES, "dtype": name, "shape": shape, "columns": [_FEATURES]}

    def _joined(self, name: str, parts: list[Any]) -> pa.Array:
        import pyarrow as pa

        wanted = self._types.get(name)
        try:
            if all(isinstance(part, np.ndarray) for part in parts):
                array = tensor_batch({name: np.concatenate(parts)}).column(0)
            elif all(isinstance(part, list) for part in parts):
                array = pa.array(list(chain.from_iterable(parts)), type=wanted)
            else:
                array = pa.concat_arrays(parts)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise RecordError(
                f"column {name!r} can't be stored: {error}",
                remedy="pass numbers, text, bytes or lists of numbers, of one type and shape in all rows",
            ) from error
        if array.null_count:
            raise RecordError(f"column {name!r} has null values", remedy="fill or drop such rows")
        if wanted is not None and array.type != wanted:
            raise RecordError(
                f"column {name!r} is {array.type}, in rows before {wanted}", remedy="pass one type and shape"
            )
        return array


def _columns(given: Beside, first: int) -> dict[str, Any]:
    """Return the columns of a block: arrays (n, …), lists of n values, or Arrow arrays."""
    import pyarrow as pa

    n, value = given.stop - given.start, given.value
    if isinstance(value, pa.RecordBatch):
        part = value.slice(given.start, n)
        found: dict[str, Any] = dict(zip(part.schema.names, part.columns, strict=True))
    elif isinstance(value, Mapping):
        found = {str(name): _values(str(name), item, given) for name, item in value.items()}
    else:
        raise RecordError(
            f"row {first}: columns are a {type(value).__name__}",
            remedy="pass a mapping of name to value, or a RecordBatch",
        )
    for name, values in found.items():
        if name in _TAKEN:
            raise RecordError(
                f"columns: {name!r} is what the dataset calls a column of its own", remedy="rename it"
            )
        if len(values) != n:
            raise RecordError(
                f"row {first}: {n} rows of probabilities, but {len(values)} of column {name!r}",
                remedy="pass as many values as the element has rows",
            )
    return found


def _values(name: str, value: Any, given: Beside) -> Any:
    """Return a mapping's value as those of the block's rows: an array where it is one, else a list."""
    # Cut first: a value may belong to many blocks.
    part = value if given.single else value[given.start : given.stop]
    if hasattr(part, "detach"):  # a tensor; numpy has no bfloat16
        host = part.detach().cpu()
        part = (host.float() if str(host.dtype) == "torch.bfloat16" else host).numpy()
    if hasattr(part, "__array__") or name == _FEATURES:
        array = np.array(part)  # a copy: the caller may use his memory for the next row
        array = array[None] if given.single else array
        return array.astype(np.float32) if array.dtype == np.float64 else array
    return [part] if given.single else list(part)
