"""From a source's columns to features and a label, as the config says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.config_source import nearest
from nexa_data.errors import ConfigError, RecordError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from nexa_data.config import DataConfig
    from nexa_data.datasets.rows import RowBatch, RowSource

__all__ = ["Layout", "map_rows", "plan_layout"]

_MOST_CLASSES = 1_000_000


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
    """

    columns: tuple[str, ...]
    shape: tuple[int, ...]
    label: str
    kind: str
    label_shape: tuple[int, ...] = ()
    classes: tuple[str, ...] | None = None
    num_classes: int | None = None
    shapes: tuple[tuple[int, ...], ...] = ()

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
    return Layout(tuple(columns), shape, label.column, label.kind, label_shape, classes, count, tuple(shapes))


def _require(source: RowSource, column: str, key: str) -> None:
    if column not in source.schema.names:
        near = nearest(column, source.schema.names)
        hint = f"did you mean {near!r}? " if near else ""
        raise RecordError(
            f"{source.where}: there is no column {column!r}",
            remedy=f"{hint}set {key} to one of: {', '.join(source.schema.names)}",
        )


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
    others = {data.label_config.column, kept.key}
    found = [
        field.name for field in source.schema if field.name not in others and _is_numeric(_inner(field.type))
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


def _is_numeric(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _shape(source: RowSource, column: str) -> tuple[int, ...]:
    import pyarrow as pa

    kind = source.schema.field(column).type
    if not _is_numeric(_inner(kind)):
        raise RecordError(
            f"{source.where}: column {column!r} is a {kind}, not numbers",
            remedy="leave it out of data.preprocessing.features, or encode it as numbers first",
        )
    if isinstance(kind, pa.FixedShapeTensorType):
        return tuple(kind.shape)
    if _is_numeric(kind):
        return ()
    shape: list[int] = []
    # The type of a list doesn't say how long it is: the first record does, and all others must agree.
    sample: Any = None
    while not _is_numeric(kind):
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
    if _is_numeric(kind) or not read:
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


def map_rows(
    rows: RowBatch, layout: Layout, data: DataConfig
) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
    """Return features, shape (n, *layout.shape) float32, and labels, shape (n, *layout.label_shape), of `rows`.

    A null among the features becomes NaN.

    Raises:
        RecordError: A list is of another length, or a label is null, out of range or unknown; it names file and row.
    """
    n = rows.batch.num_rows
    if len(layout.columns) == 1:
        features = _numbers(rows, layout.columns[0], layout.shape)
    else:
        features = np.empty((n, *layout.shape), np.float32)
        filled = 0
        for column, shape in zip(layout.columns, layout.shapes, strict=True):
            width = math.prod(shape)
            features[:, filled : filled + width] = _numbers(rows, column, shape).reshape(n, width)
            filled += width
    return features, _labels(rows, layout, data)


def _numbers(rows: RowBatch, column: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return a column as float32 of shape (n, *shape)."""
    import pyarrow as pa

    array = rows.batch.column(column)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    n = len(array)
    if not _is_numeric(array.type) and array.null_count:
        raise RecordError(
            f"{_place(rows, _first(array.is_null()))}: column {column!r} is null there",
            remedy="fill or drop such rows",
        )
    per_row = 1
    for length in shape:
        if _is_numeric(array.type):
            break
        array, per_row = _same_lengths(array, rows, column, length, per_row)
    while not _is_numeric(array.type):  # a tensor's storage is one flat list, whatever its shape
        array = array.flatten()
    return _flat(array).reshape(n, *shape)


def _same_lengths(
    array: pa.Array, rows: RowBatch, column: str, wanted: int, per_row: int
) -> tuple[pa.Array, int]:
    """Return the items of lists that all hold `wanted`, and how many of them a row has."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if array.null_count:
        raise RecordError(
            f"{_place(rows, _first(array.is_null()) // per_row)}: column {column!r} has a null list there",
            remedy="fill or drop such rows",
        )
    if pa.types.is_fixed_size_list(array.type):
        return array.flatten(), per_row * array.type.list_size
    lengths = pc.list_value_length(array)
    other = pc.not_equal(lengths, wanted)
    if pc.any(other).as_py():
        at = _first(other)
        raise RecordError(
            f"{_place(rows, at // per_row)}: column {column!r} has {lengths[at].as_py()} numbers there, {wanted} before",
            remedy="features are vectors of one length: pad or drop such rows",
        )
    return array.flatten(), per_row * wanted


def _flat(array: pa.Array) -> npt.NDArray[np.float32]:
    import pyarrow as pa

    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    flat: npt.NDArray[np.float32] = array.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return flat


def _labels(rows: RowBatch, layout: Layout, data: DataConfig) -> npt.NDArray[Any]:
    array = rows.batch.column(layout.label)
    if array.null_count:
        raise RecordError(
            f"{_place(rows, _first(array.is_null()))}: label {layout.label!r} is null",
            remedy="fill or drop such rows",
        )
    if layout.kind != "class":
        return _float_labels(rows, layout)
    if layout.classes is not None:
        return _named_classes(rows, layout, data)
    if not _is_numeric(array.type):
        raise RecordError(
            f"{rows.origin}: label {layout.label!r} is a {array.type}", remedy="its classes weren't read"
        )
    values = array.to_numpy(zero_copy_only=False)
    # NaN and what is beyond int64 come out different, and are refused below.
    with np.errstate(invalid="ignore"):
        labels: npt.NDArray[np.int64] = values.astype(np.int64)
    if np.issubdtype(values.dtype, np.floating) and not np.array_equal(labels, values):
        row = int(np.flatnonzero(labels != values)[0])
        raise RecordError(
            f"{_place(rows, row)}: label {layout.label!r} is {values[row]}, not a class id",
            remedy="set `label: {column: …, kind: float}` for a number to be predicted, or a label_map",
        )
    bound = layout.num_classes
    wrong = (labels < 0) if bound is None else (labels < 0) | (labels >= bound)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        allowed = "0 or more" if bound is None else f"0 to {bound - 1}"
        raise RecordError(
            f"{_place(rows, row)}: label {labels[row]} is out of range (class ids are {allowed})",
            remedy="correct it, raise preprocessing.num_classes, or map it by preprocessing.label_map",
        )
    return labels


def _float_labels(rows: RowBatch, layout: Layout) -> npt.NDArray[np.float32]:
    labels = _numbers(rows, layout.label, layout.label_shape)
    wrong = ~np.isfinite(labels).reshape(len(labels), -1).all(axis=1)
    if layout.kind == "distribution":
        wrong |= (labels < 0).any(axis=1) | (np.abs(labels.sum(axis=1, dtype=np.float64) - 1.0) > 1e-3)  # noqa: PLR2004
    if layout.kind == "multi_hot":
        wrong |= ~np.isin(labels, (0.0, 1.0)).all(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise RecordError(
            f"{_place(rows, row)}: label {layout.label!r} is {labels[row].tolist()}, which is no {layout.kind}",
            remedy="a float is finite, a multi_hot of 0 and 1, a distribution ≥ 0 with sum 1",
        )
    return labels


def _named_classes(rows: RowBatch, layout: Layout, data: DataConfig) -> npt.NDArray[np.int64]:
    import pyarrow as pa

    mapping = data.preprocessing.label_map or {name: at for at, name in enumerate(layout.classes or ())}
    encoded = rows.batch.column(layout.label).cast(pa.string()).dictionary_encode()
    names = encoded.dictionary.to_pylist()
    ids = np.array([mapping.get(name, -1) for name in names], dtype=np.int64)
    labels: npt.NDArray[np.int64] = ids[encoded.indices.to_numpy()]
    if (labels < 0).any():
        row = int(np.flatnonzero(labels < 0)[0])
        raise RecordError(
            f"{_place(rows, row)}: label {rows.batch.column(layout.label)[row].as_py()!r} is not a known class",
            remedy=f"known: {', '.join(list(mapping)[:20])}; add it to preprocessing.label_map",
        )
    return labels


def _first(mask: pa.Array) -> int:
    return int(np.flatnonzero(mask.to_numpy(zero_copy_only=False))[0])


def _place(rows: RowBatch, row: int) -> str:
    return f"{rows.origin}, row {rows.first_row + row}"
