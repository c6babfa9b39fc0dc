"""From the native core's buffers to what a batch holds of each column: tensors, ragged pairs, lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from nexa_data.config_columns import parse_converts, parse_raggeds
from nexa_data.errors import ConfigError, RecordError
from nexa_data.optional import needed

with needed("torch", "ShardDataset"):
    import torch
    from torch.utils.dlpack import from_dlpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor

    from nexa_data import _core
    from nexa_data.config_columns import ConvertConfig, RaggedConfig

__all__ = ["BatchForms", "ColumnForms", "Padded", "Ragged", "tensor"]


class Ragged(NamedTuple):
    """Rows of different lengths, end to end: row i is `values[offsets[i]:offsets[i + 1]]`."""

    values: Tensor
    """All rows' items, (items, …)."""
    offsets: Tensor
    """Where rows begin, and at last the end: (rows + 1,) int64."""


class Padded(NamedTuple):
    """Rows of different lengths, filled up to one width."""

    values: Tensor
    """(rows, width, …)."""
    mask: Tensor
    """True where there is an item: (rows, width) bool."""


@dataclass(frozen=True)
class ColumnForms:
    """What is asked of columns on their way into a batch.

    Args:
        convert: Another type of numbers for some columns, as `data.batch.convert`.
        ragged: The form of some columns of lists, as `data.batch.ragged`.
    """

    convert: Mapping[str, ConvertConfig] = field(default_factory=dict)
    ragged: Mapping[str, RaggedConfig] = field(default_factory=dict)

    @classmethod
    def of(
        cls, convert: Mapping[str, Any] | None, ragged: Mapping[str, Any] | None, columns: Iterable[str]
    ) -> ColumnForms:
        """Return the checked forms.

        Raises:
            ConfigError: One is malformed, or of a column that isn't loaded.
        """
        forms = cls(parse_converts(convert or {}), parse_raggeds(ragged or {}))
        known = list(columns)
        for key, named in (("convert", forms.convert), ("ragged", forms.ragged)):
            for column in named:
                if column not in known:
                    raise ConfigError(
                        f"data.batch.{key} names column {column!r}, data.batch.columns has {', '.join(known)}",
                        remedy="name it in data.batch.columns too",
                    )
        return forms

    def without(self, column: str) -> ColumnForms:
        """Return the forms of the other columns."""
        kept = {name: each for name, each in self.convert.items() if name != column}
        return ColumnForms(kept, self.ragged)

    def native(self) -> dict[str, Any]:
        """Return the arguments of the native assembler."""
        return {
            "convert": {name: (each.dtype, each.scale, each.shift) for name, each in self.convert.items()},
            "pad": {
                name: (each.widths, each.value, each.truncate)
                for name, each in self.ragged.items()
                if each.as_ == "padded"
            },
        }


class BatchForms:
    """Makes of an assembler's buffers what a batch holds.

    Args:
        assembler: The assembler.
        columns: Columns in the order that a batch has.
        forms: What was asked of them.
    """

    def __init__(self, assembler: _core.Assembler, columns: Sequence[str], forms: ColumnForms) -> None:
        for name, dtype in [each[:2] for each in assembler.columns] + [
            each[::2][:2] for each in assembler.ragged
        ]:
            _check_dtype(name, dtype)
        self._fixed = [(dtype, tuple(shape)) for _, dtype, shape in assembler.columns]
        self._ragged = [
            (kind, dtype, tuple(shape), padded) for _, kind, dtype, shape, padded in assembler.ragged
        ]
        native = [each[0] for each in assembler.columns] + [each[0] for each in assembler.ragged]
        # An empty split has no shard that could tell of columns.
        self._order = [native.index(name) for name in columns] if native else []
        self.plain = not self._ragged
        self.ragged = {each[0] for each in assembler.ragged}
        for name in forms.ragged:
            if native and name not in self.ragged:
                raise ConfigError(
                    f"data.batch.ragged names column {name!r}, whose rows are all of one width",
                    remedy="leave it out there",
                )

    def values(self, buffers: Sequence[Any], rows: int) -> list[Any]:
        """Return what a batch of `rows` records holds of each column, in their order."""
        found: list[Any] = [
            tensor(buffer, dtype, (rows, *shape))
            for buffer, (dtype, shape) in zip(buffers, self._fixed, strict=False)
        ]
        if self.plain:
            return found
        for part, (kind, dtype, shape, padded) in zip(buffers[len(found) :], self._ragged, strict=True):
            if kind != "list":
                found.append(part)
                continue
            values, index, items = part
            if padded:
                mask = tensor(index, "bool", (rows, items))
                found.append(Padded(tensor(values, dtype, (rows, items, *shape)), mask))
            else:
                offsets = tensor(index, "int64", (rows + 1,))
                found.append(Ragged(tensor(values, dtype, (items, *shape)), offsets))
        return [found[at] for at in self._order]


def one_record(value: Any) -> Any:
    """Return what the first record holds of a column; a padded row without its padding."""
    if isinstance(value, Ragged):
        return value.values[: int(value.offsets[1])]
    if isinstance(value, Padded):
        return value.values[0, : int(value.mask[0].sum())]
    return value[0]


def named(columns: Iterable[str], values: Iterable[Any]) -> dict[str, Any]:
    """Return a batch by column name; a padded column's mask stands behind it."""
    batch: dict[str, Any] = {}
    for column, value in zip(columns, values, strict=True):
        if isinstance(value, Padded):
            batch[column], batch[f"{column}_mask"] = value
        else:
            batch[column] = value
    return batch


def tensor(buffer: _core.Buffer, dtype: str, shape: tuple[int, ...]) -> Tensor:
    """Return a buffer as a tensor of `dtype` (by torch's name) and `shape`, without a copy."""
    found: Tensor = from_dlpack(buffer.dlpack(dtype, shape))
    return found


def _check_dtype(column: str, element: str) -> None:
    if not isinstance(getattr(torch, element, None), torch.dtype):
        raise RecordError(
            f"column {column!r} is of {element}, which torch {torch.__version__} doesn't have",
            remedy="update torch, or write the shards with another type",
        )
