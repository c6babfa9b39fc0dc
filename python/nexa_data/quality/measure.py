"""One pass over the rows of all splits, and what it found: the statistics that everything else is concluded from."""

from __future__ import annotations

import json
import logging
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexa_data import _core
from nexa_data.artifacts import METADATA_NAME, is_complete
from nexa_data.config import SPLITS
from nexa_data.datasets.class_names import class_names
from nexa_data.errors import ConfigError
from nexa_data.quality.associations import label_associations
from nexa_data.quality.model import (
    DuplicateGroup,
    Duplicates,
    LabelAssociation,
    LabelQuality,
    Leakage,
    QualityStatistics,
    RowPlace,
    SplitQuality,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from nexa_data.config_reading import ReadConfig
    from nexa_data.quality.row_checks import RowChecks

_log = logging.getLogger(__name__)

__all__ = ["Described", "Measurement", "measure_batches", "measure_target"]

_BOUND_BYTES = 64 << 20
"""Memory for the hashes of rows, beyond which they go to disk: those of 2 million rows."""


@dataclass(frozen=True, slots=True)
class Described:
    """What is known of the columns before a row is read.

    Args:
        label: Column of the label; None without one.
        kind: Kind of the label, as in `data.label.kind`.
        classes: Name of each class id; empty if there are only ids.
        features: Columns in which rows have to agree to be duplicates; None for all but the label.
        names: Names of the elements of a column of vectors.
    """

    label: str | None = None
    kind: str | None = None
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] | None = None
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def named(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch with the columns that vectors were made of, by their own names."""
        import pyarrow as pa

        columns: dict[str, pa.Array] = {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            elements = self.names.get(name)
            if elements is None:
                columns[name] = column
            elif elements[0].endswith("[0]"):
                columns[elements[0].removesuffix("[0]")] = column
            elif len(elements) == 1 and not _is_vector(column.type):
                columns[elements[0]] = column
            else:
                flat = getattr(column, "storage", column).flatten()
                for at, element in enumerate(elements):
                    columns[element] = flat.take(pa.array(range(at, len(flat), len(elements))))
        return pa.record_batch(columns)

    @classmethod
    def of_metadata(cls, metadata: Mapping[str, Any]) -> Described:
        """Read it from a prepared dataset's `dataset_metadata.json`."""
        label = metadata.get("label") or {}
        features = metadata.get("features") or {}
        columns, shape = features.get("columns") or [], features.get("shape") or []
        names = {}
        if len(shape) == 1 and len(columns) == shape[0] > 1:
            names["features"] = tuple(columns)
        elif len(columns) == 1 and len(shape) <= 1:
            width = shape[0] if shape else 1
            names["features"] = (
                (columns[0],) if width == 1 else tuple(f"{columns[0]}[{k}]" for k in range(width))
            )
        return cls(
            label=label.get("name"),
            kind=label.get("kind"),
            classes=tuple(label.get("classes") or ()),
            features=("features",) if features else None,
            names=names,
        )


def _is_vector(kind: pa.DataType) -> bool:
    return hasattr(kind, "list_size") or hasattr(kind, "storage_type")


_UNKNOWN = Described()
_NO_FEATURES = frozenset({"split"})
"""Columns that say something of a row rather than being a part of it."""


class Measurement:
    """Takes in the rows of splits as they pass; memory stays bounded, whatever their number.

    Args:
        described: What is known of the columns; may be set as long as no row has come.
        folder: Where hashes of rows go that memory has no room for.
        row_checks: Rules that have to see rows; they see them as well.

    Example:
        >>> import pyarrow as pa
        >>> seen = Measurement(Described(label="label", kind="class"))
        >>> seen.add("train", pa.record_batch({"x": [1.0, 2.0, 1.0], "label": [0, 1, 0]}))
        >>> found = seen.statistics()
        >>> found.splits["train"].column("x").distinct, found.duplicates.rows
        (2, {'train': 1})
    """

    def __init__(
        self,
        described: Described = _UNKNOWN,
        *,
        folder: Path | str | None = None,
        row_checks: RowChecks | None = None,
    ) -> None:
        self.described = described
        self._row_checks = row_checks
        self._seen: dict[str, _core.RowStatistics] = {}
        self._numbers: dict[str, int] = {}
        """Number of each split among those that rows are compared across: train comes before what is tested on."""
        self._features: list[str] | None = None
        self._compared = True
        self._duplicates = _core.Duplicates(folder=folder or tempfile.gettempdir(), bound_bytes=_BOUND_BYTES)

    def add(self, split: str, batch: pa.RecordBatch | _core.ArrowBatch, first_row: int | None = None) -> None:
        """Take in rows of a split.

        Args:
            split: Name of the split.
            batch: The rows.
            first_row: Number of the first one in the split; default: they follow those that came last.

        Raises:
            RecordError: Their columns are others than before.
            StagingError: The disk is full.
        """
        seen = self._seen.get(split)
        if seen is None:
            names = {column: list(each) for column, each in self.described.names.items()}
            counted = [] if self.described.label is None else [self.described.label]
            seen = self._seen[split] = _core.RowStatistics(names=names, counted=counted)
            known = SPLITS.index(split) if split in SPLITS else None
            others = sum(name not in SPLITS for name in self._numbers)
            self._numbers[split] = len(SPLITS) + others if known is None else known
        rows, first = _comparable(batch), len(seen) if first_row is None else first_row
        seen.add(rows, first)
        if self._compared:
            self._compare(split, first, rows)
        if self._row_checks:
            self._row_checks.add(split, first, self.described.named(rows), self.described.label)

    def _compare(self, split: str, first: int, rows: pa.RecordBatch) -> None:
        label = self.described.label
        if self._features is None:
            given = self.described.features
            self._features = [
                name
                for name in rows.schema.names
                if (name in given if given else name != label and name not in _NO_FEATURES)
            ]
        self._compared = bool(self._features)
        if self._compared:
            self._duplicates.add(self._numbers[split], first, rows, self._features, label)

    def statistics(self) -> QualityStatistics:
        """Return what was found; nothing can be added after."""
        splits = {split: self._split(split) for split in sorted(self._seen, key=self._numbers.__getitem__)}
        return QualityStatistics(
            splits=splits,
            duplicates=self._equal_rows() if self._compared else None,
            associations=self._associations(splits),
        )

    def _split(self, split: str) -> SplitQuality:
        seen = self._seen[split]
        found, skipped = seen.summary()
        if skipped:
            _log.info("%s: columns of types that can't be looked at: %s", split, ", ".join(skipped))
        return SplitQuality.model_validate_json(found).model_copy(update={"label": self._label(seen)})

    def _label(self, seen: _core.RowStatistics) -> LabelQuality | None:
        described = self.described
        if described.label is None or described.kind is None:
            return None
        if described.kind != "class":
            return LabelQuality(kind=described.kind)
        counts = {str(value): count for value, count in json.loads(seen.counts(described.label) or b"[]")}
        ordered = dict(sorted(counts.items(), key=lambda each: (len(each[0]), each[0])))
        names = {value: name for value in ordered if (name := self._class_name(value)) is not None}
        return LabelQuality(kind="class", counts=ordered, names=names)

    def _class_name(self, value: str) -> str | None:
        classes = self.described.classes
        return classes[int(value)] if value.isdecimal() and int(value) < len(classes) else None

    def _equal_rows(self) -> Duplicates:
        numbers = {number: split for split, number in self._numbers.items()}
        duplicates, conflicts, groups, conflicting, leaks = self._duplicates.finish(
            max(numbers, default=0) + 1
        )
        ordered = sorted(numbers)
        return Duplicates(
            rows={numbers[k]: duplicates[k] for k in ordered},
            conflicts={numbers[k]: conflicts[k] for k in ordered} if self.described.label is not None else {},
            groups=self._groups(groups, numbers),
            conflict_groups=self._groups(conflicting, numbers),
            leakage=tuple(
                Leakage(
                    split=numbers[split],
                    other=numbers[other],
                    rows=rows,
                    share=rows / len(self._seen[numbers[split]]),
                    samples=tuple(
                        (self._place(row, numbers), self._place(twin, numbers)) for row, twin in samples
                    ),
                )
                for split, other, rows, samples in leaks
            ),
        )

    def _groups(
        self, groups: list[tuple[int, list[tuple[int, int, int]]]], numbers: Mapping[int, str]
    ) -> tuple[DuplicateGroup, ...]:
        return tuple(
            DuplicateGroup(count=count, rows=tuple(self._place(row, numbers) for row in rows))
            for count, rows in groups
        )

    def _place(self, at: tuple[int, int, int], numbers: Mapping[int, str]) -> RowPlace:
        split, row, label = at
        # Of other labels only a hash is known.
        shown = None if self.described.kind != "class" else self._class_name(str(label)) or str(label)
        return RowPlace(split=numbers[split], row=row, label=shown)

    def _associations(self, splits: Mapping[str, SplitQuality]) -> tuple[LabelAssociation, ...]:
        described = self.described
        split = "train" if "train" in splits else next(iter(splits), None)
        if split is None or described.label is None or described.kind not in {"class", "float"}:
            return ()
        columns = [each.name for each in splits[split].columns if each.kind in {"number", "boolean"}]
        return label_associations(
            self._seen[split], columns, described.label, by_class=described.kind == "class"
        )


def _comparable(batch: pa.RecordBatch | _core.ArrowBatch) -> pa.RecordBatch:
    """Return the batch with its columns as types that the native core looks at."""
    import pyarrow as pa

    rows = batch if isinstance(batch, pa.RecordBatch) else pa.record_batch(batch)
    wanted = [_looked_at(field.type) for field in rows.schema]
    if all(kind is None for kind in wanted):
        return rows
    columns = [
        column if kind is None else column.cast(kind)
        for column, kind in zip(rows.columns, wanted, strict=True)
    ]
    return pa.record_batch(columns, rows.schema.names)


def _looked_at(kind: pa.DataType) -> pa.DataType | None:
    """Return the type that stands for one that the native core doesn't look at, None if it does, or if nothing can."""
    import pyarrow as pa

    of = pa.types
    if of.is_dictionary(kind):
        return _looked_at(kind.value_type) or kind.value_type
    instead = (
        (of.is_decimal, pa.float64()),
        (lambda each: of.is_date32(each) or of.is_time32(each), pa.int32()),
        (lambda each: of.is_temporal(each) and not of.is_interval(each), pa.int64()),
        (of.is_string_view, pa.large_string()),
        (lambda each: of.is_binary_view(each) or of.is_fixed_size_binary(each), pa.large_binary()),
    )
    return next((other for fits, other in instead if fits(kind)), None)


def measure_batches(
    batches: Iterable[tuple[str, pa.RecordBatch]], described: Described = _UNKNOWN
) -> QualityStatistics:
    """Return the statistics of rows that come as (split, record batch) pairs.

    Args:
        batches: The rows; of each split in order.
        described: What is known of their columns.
    """
    seen = Measurement(described)
    for split, batch in batches:
        seen.add(split, batch)
    return seen.statistics()


def measure_target(
    target: Path | str,
    *,
    label: str | None = None,
    wanted: str | None = None,
    read: ReadConfig | None = None,
    row_checks: RowChecks | None = None,
) -> QualityStatistics:
    """Read all of an artifact, a catalog or a source once, and return its statistics.

    Args:
        target: An artifact's folder, a catalog, or file, folder, glob or name as `source_uri` takes it.
        label: Column of the label of a catalog or a source; default: `label`, if there is one.
        wanted: Format of a source; default: recognised.
        read: How it is read where its format leaves that open.
        row_checks: Rules that have to see rows.

    Raises:
        ShardNotFoundError: There is no such target.
        RecordError: A record can't be read.
        ConfigError: There is no such column.
    """
    from nexa_data.datasets.split_batches import split_batches

    described = _described(Path(target))
    seen: Measurement | None = None
    for split, schema, batches in split_batches(target, wanted, read):
        if seen is None:
            seen = Measurement(described or _guessed(schema, label), row_checks=row_checks)
        for batch in batches:
            seen.add(split, batch)
    return (seen or Measurement()).statistics()


def _described(target: Path) -> Described | None:
    folder = target if target.is_dir() else target.parent
    file = folder / METADATA_NAME
    if not (is_complete(folder) and file.is_file()):
        return None
    return Described.of_metadata(json.loads(file.read_bytes()))


def _guessed(schema: pa.Schema, label: str | None) -> Described:
    import pyarrow as pa

    if label is not None and label not in schema.names:
        raise ConfigError(f"there is no column {label!r}", remedy=f"known: {', '.join(schema.names)}")
    column = label or ("label" if "label" in schema.names else None)
    if column is None:
        return _UNKNOWN
    kind = schema.field(column).type
    by_class = pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind)
    floats = pa.types.is_floating(kind)
    names = class_names([schema]).get(column, [])
    return Described(
        label=column,
        kind="class" if by_class else "float" if floats else None,
        classes=names[0] if len(names) == 1 else (),
    )
