"""From a source's columns to features and a label, as the config says."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nexa_data.config_source import nearest
from nexa_data.errors import ConfigError, RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nexa_data.config import DataConfig, LabelConfig
    from nexa_data.datasets.rows import RowSource

__all__ = ["Layout", "is_numeric", "plan_layout"]

_MOST_CLASSES = 1_000_000
_SHOWN = 20
_TAKEN = frozenset({"features", "label", "mask"})
"""Names of columns that a prepared dataset or a batch has for itself."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a record becomes.

    Args:
        columns: Source columns of the features, in their order.
        shape: Shape of a record's features.
        label: Source column of the label, None without one.
        kind: `class`, `float`, `multi_hot` or `distribution`; None without a label.
        label_shape: Shape of a record's label, `()` for a scalar.
        classes: Name of each class id, None if there are only ids.
        num_classes: Bound that class ids are checked against; None if they decide it.
        shapes: Shape of each column of `columns`.
        others: Columns that are kept as they are.
        dtype: Element type of the features, by numpy's name.
    """

    columns: tuple[str, ...]
    shape: tuple[int, ...]
    label: str | None
    kind: str | None
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
    if label is not None:
        _require(source, label.column, "data.label", "; or to null, if the data has no label")
    columns = _feature_columns(source, data)
    shapes = [_shape(source, column) for column in columns]
    shape = shapes[0] if len(shapes) == 1 and shapes[0] else (sum(math.prod(each) for each in shapes),)
    layout = Layout(
        tuple(columns),
        shape,
        None,
        None,
        shapes=tuple(shapes),
        others=tuple(_other_columns(source, data)),
        dtype=data.preprocessing.dtype,
    )
    return layout if label is None else _with_label(layout, source, data, label, read=read)


def _with_label(
    layout: Layout, source: RowSource, data: DataConfig, label: LabelConfig, *, read: bool
) -> Layout:
    vector = label.kind in {"multi_hot", "distribution"}
    shape = _shape(source, label.column) if vector else ()
    if vector and len(shape) != 1:
        raise RecordError(
            f"{source.where}: label column {label.column!r} is a {source.schema.field(label.column).type}",
            remedy=f"a label of kind {label.kind} is a list of numbers of one length",
        )
    classes = _classes(source, data, label.column, read=read) if label.kind == "class" else None
    count = len(classes) if classes else shape[0] if vector else data.preprocessing.num_classes
    return replace(
        layout,
        label=label.column,
        kind=label.kind,
        label_shape=shape,
        classes=classes,
        num_classes=count,
    )


def _require(source: RowSource, column: str, key: str, otherwise: str = "") -> None:
    if column not in source.schema.names:
        near = nearest(column, source.schema.names)
        hint = f"did you mean {near!r}? " if near else ""
        raise RecordError(
            f"{source.where}: there is no column {column!r}",
            remedy=f"{hint}set {key} to one of: {', '.join(source.schema.names)}{otherwise}",
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
    kept, label = data.preprocessing, data.label_config and data.label_config.column
    if kept.features is not None:
        for column in kept.features:
            _require(source, column, "data.preprocessing.features")
            if column == label:
                raise ConfigError(
                    f"column {column!r} is both a feature and the label",
                    remedy="take it out of preprocessing.features",
                )
        return kept.features
    others = {label, kept.key, data.split.column, data.split.group, *kept.columns}
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
    batches = source.select([column]).batches()
    return next((rows.batch.column(column)[0].as_py() for rows in batches if rows.batch.num_rows), None)


def _classes(source: RowSource, data: DataConfig, column: str, *, read: bool) -> tuple[str, ...] | None:
    import pyarrow as pa

    mapping = data.preprocessing.label_map
    if mapping is not None:
        ids = sorted(set(mapping.values()))
        if not ids or ids != list(range(len(ids))):
            raise ConfigError(
                f"data.preprocessing.label_map gives the ids {ids}", remedy="use each of 0, 1, 2, …"
            )
        return tuple(next(name for name, number in mapping.items() if number == wanted) for wanted in ids)
    kind = source.schema.field(column).type
    if is_numeric(kind):
        return _source_names(source, data, column)
    if not read:
        return None
    names: set[str] = set()
    for rows in source.select([column]).batches():
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


def _source_names(source: RowSource, data: DataConfig, column: str) -> tuple[str, ...] | None:
    """Return what the source calls the ids of the label column, None where it doesn't say."""
    wanted = data.preprocessing.num_classes
    found = source.class_names.get(column, ())
    if not found:
        return None
    if len(found) > 1:
        raise RecordError(
            f"{source.where}: its files name the classes of {column!r} differently: {_shown(found[0])} and "
            f"{_shown(found[1])}",
            remedy="write them with one ClassLabel, or say the ids in preprocessing.label_map",
        )
    if wanted is not None and wanted != len(found[0]):
        raise ConfigError(
            f"data.preprocessing.num_classes is {wanted}, and the source names {len(found[0])} classes of "
            f"{column!r}: {_shown(found[0])}",
            remedy="leave num_classes out",
        )
    return found[0]


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
