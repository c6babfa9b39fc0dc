"""From a source's columns to features and a label, as the config says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nexa_data.config_source import nearest
from nexa_data.errors import ConfigError, RecordError

if TYPE_CHECKING:
    from nexa_data.config import DataConfig
    from nexa_data.datasets.rows import RowSource

__all__ = ["Layout", "is_numeric", "plan_layout"]

_MOST_CLASSES = 1_000_000
_TAKEN = frozenset({"features", "label", "mask"})
"""Names of columns that a prepared dataset or a batch has for itself."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a record becomes.

    Args:
        columns: Source columns of the features, in their order.
        shape: Shape of a record's features.
        label: Source column of the label.
        kind: `class`, `float`, `multi_hot` or `distribution`.
        label_shape: Shape of a record's label, `()` for a scalar.
        classes: Name of each class id; None if the ids are the source's own integers.
        num_classes: Bound that class ids are checked against; None if they decide it.
        shapes: Shape of each column of `columns`.
        others: Columns that are kept as they are.
        dtype: Element type of the features, by numpy's name.
    """

    columns: tuple[str, ...]
    shape: tuple[int, ...]
    label: str
    kind: str
    label_shape: tuple[int, ...] = ()
    classes: tuple[str, ...] | None = None
    num_classes: int | None = None
    shapes: tuple[tuple[int, ...], ...] = ()
    others: tuple[str, ...] = ()
    dtype: str = "float32"

    @property
    def label_dtype(self) -> str:
        """Element type of the label, by numpy's name."""
        return "int64" if self.kind == "class" else "float32"


def plan_layout(source: RowSource, data: DataConfig, *, read: bool = True) -> Layout:
    """Decide the layout from schema and config; labels that are text are read once, for their vocabulary.

    Args:
        source: The rows.
        data: The config's section `data:`.
        read: Whether rows may be read; without, the vocabulary of text labels stays open (None).

    Raises:
        RecordError: A column is missing, or of a type that can't become numbers.
        ConfigError: The config contradicts the schema.
    """
    label = data.label_config
    kept = data.preprocessing
    _require(source, label.column, "data.label")
    columns = _feature_columns(source, data)
    shapes = [_shape(source, column) for column in columns]
    shape = shapes[0] if len(shapes) == 1 and shapes[0] else (sum(math.prod(each) for each in shapes),)
    vector = label.kind in {"multi_hot", "distribution"}
    label_shape = _shape(source, label.column) if vector else ()
    if vector and len(label_shape) != 1:
        raise RecordError(
            f"{source.where}: label column {label.column!r} is a {source.schema.field(label.column).type}",
            remedy=f"a label of kind {label.kind} is a list of numbers of one length",
        )
    classes = _classes(source, data, read=read) if label.kind == "class" else None
    count = len(classes) if classes else label_shape[0] if vector else kept.num_classes
    return Layout(
        tuple(columns),
        shape,
        label.column,
        label.kind,
        label_shape,
        classes,
        count,
        tuple(shapes),
        tuple(_other_columns(source, data)),
        kept.dtype,
    )


def _require(source: RowSource, column: str, key: str) -> None:
    if column not in source.schema.names:
        near = nearest(column, source.schema.names)
        hint = f"did you mean {near!r}? " if near else ""
        raise RecordError(
            f"{source.where}: there is no column {column!r}",
            remedy=f"{hint}set {key} to one of: {', '.join(source.schema.names)}",
        )


def _other_columns(source: RowSource, data: DataConfig) -> list[str]:
    for column in data.preprocessing.columns:
        _require(source, column, "data.preprocessing.columns")
        kind = source.schema.field(column).type
        if column in _TAKEN:
            raise ConfigError(
                f"data.preprocessing.columns: {column!r} is what the prepared dataset calls its own column",
                remedy="rename the source's column, or read it as features or label",
            )
        if not _is_kept(kind):
            raise RecordError(
                f"{source.where}: column {column!r} is a {kind}, which no batch can hold",
                remedy="keep numbers, lists of numbers, text and bytes; write others as one of these",
            )
    return data.preprocessing.columns


def _is_kept(kind: Any) -> bool:
    import pyarrow as pa

    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(is_text(kind) for is_text in texts) or is_numeric(_inner(kind))


def _feature_columns(source: RowSource, data: DataConfig) -> list[str]:
    kept = data.preprocessing
    if kept.features is not None:
        for column in kept.features:
            _require(source, column, "data.preprocessing.features")
            if column == data.label_config.column:
                raise ConfigError(
                    f"column {column!r} is both a feature and the label",
                    remedy="take it out of preprocessing.features",
                )
        return kept.features
    others = {data.label_config.column, kept.key, data.split.column, data.split.group, *kept.columns}
    found = [
        field.name for field in source.schema if field.name not in others and is_numeric(_inner(field.type))
    ]
    if not found:
        raise RecordError(
            f"{source.where}: no column but the label holds numbers: {source.schema.to_string(show_field_metadata=False)}",
            remedy="name the columns in data.preprocessing.features",
        )
    return found


def _inner(kind: Any) -> Any:
    """Return the type of a column's numbers: its own, or that of its lists' items."""
    import pyarrow as pa

    if isinstance(kind, pa.FixedShapeTensorType):
        return kind.value_type
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    return kind


def is_numeric(kind: Any) -> bool:
    """Say whether a column of this type holds a number a row."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _shape(source: RowSource, column: str) -> tuple[int, ...]:
    import pyarrow as pa

    kind = source.schema.field(column).type
    if not is_numeric(_inner(kind)):
        raise RecordError(
            f"{source.where}: column {column!r} is a {kind}, not numbers",
            remedy="leave it out of data.preprocessing.features, or encode it as numbers first",
        )
    if isinstance(kind, pa.FixedShapeTensorType):
        return tuple(kind.shape)
    if is_numeric(kind):
        return ()
    shape: list[int] = []
    # The type of a list doesn't say how long it is: the first record does, and all others must agree.
    sample: Any = None
    while not is_numeric(kind):
        if pa.types.is_fixed_size_list(kind):
            shape.append(kind.list_size)
        else:
            sample = _first_value(source, column) if sample is None else sample
            inner = sample
            for _ in shape:
                inner = inner[0] if inner else None
            if not inner:
                raise RecordError(
                    f"{source.where}: column {column!r} begins with an empty list", remedy="fill it"
                )
            shape.append(len(inner))
        kind = kind.value_type
    return tuple(shape)


def _first_value(source: RowSource, column: str) -> Any:
    return next(
        (rows.batch.column(column)[0].as_py() for rows in source.batches() if rows.batch.num_rows), None
    )


def _classes(source: RowSource, data: DataConfig, *, read: bool) -> tuple[str, ...] | None:
    import pyarrow as pa

    column, mapping = data.label_config.column, data.preprocessing.label_map
    if mapping is not None:
        ids = sorted(set(mapping.values()))
        if not ids or ids != list(range(len(ids))):
            raise ConfigError(
                f"data.preprocessing.label_map gives the ids {ids}", remedy="use each of 0, 1, 2, …"
            )
        return tuple(next(name for name, number in mapping.items() if number == wanted) for wanted in ids)
    kind = source.schema.field(column).type
    if is_numeric(kind) or not read:
        return None
    names: set[str] = set()
    for rows in source.batches():
        names.update(
            name
            for name in rows.batch.column(column).cast(pa.string()).unique().to_pylist()
            if name is not None
        )
        if len(names) > _MOST_CLASSES:
            raise RecordError(
                f"{source.where}: label column {column!r} has over {_MOST_CLASSES:,} values",
                remedy="is it an id?",
            )
    return tuple(sorted(names))
