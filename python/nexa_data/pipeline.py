"""Composes source → features and label → filter → split → (augment → batches)."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.config import SPLITS, load_config
from nexa_data.datasets.bad_records import BadRecords
from nexa_data.datasets.columns import plan_layout
from nexa_data.datasets.mapping import map_rows
from nexa_data.datasets.normalize import fitted_normalization, fixed_normalization
from nexa_data.datasets.rows import RowSource, as_row_source
from nexa_data.datasets.splits import Cut
from nexa_data.datasets.statistics import SplitStatistics
from nexa_data.errors import ConfigError, RecordError
from nexa_data.filters.columns import LabelRule, parse_filters, select_rows
from nexa_data.optional import needed
from nexa_data.quality.checks import parse_checks
from nexa_data.registry import DatasetRegistry, default_registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt
    import pyarrow as pa
    from torch import Tensor

    from nexa_data.config import Config
    from nexa_data.datasets.columns import Layout
    from nexa_data.datasets.mapping import Mapped
    from nexa_data.datasets.normalize import Normalization
    from nexa_data.datasets.rows import RowBatch
    from nexa_data.filters.rules import ColumnRule

__all__ = ["LEFT_OUT", "CutRows", "DataPipeline", "SplitRows"]

LEFT_OUT = 255
"""In place of a row's split: it belongs to none."""


@dataclass(frozen=True, slots=True)
class SplitRows:
    """Some records of one split.

    Args:
        split: Name of the split.
        features: Shape (n, …), of `preprocessing.dtype`.
        labels: Shape (n,) int64 for classes, else float32; None without a label.
        origin: Source file or builder that they came from.
        rows: Their numbers in the origin, shape (n,), int64.
        others: Columns that are kept as they are, n rows; None without any.
    """

    split: str
    features: npt.NDArray[Any]
    labels: npt.NDArray[Any] | None
    origin: str
    rows: npt.NDArray[np.int64]
    others: pa.RecordBatch | None = None


@dataclass(frozen=True, slots=True)
class CutRows:
    """Some records, and the split of each.

    Args:
        rows: What they are in the source.
        splits: Index in `SPLITS` of each record's split, or `LEFT_OUT`; shape (n,), uint8.
        features: Shape (n, …), of `preprocessing.dtype`.
        labels: Shape (n,) int64 for classes, else float32; None without a label.
        others: Columns that are kept as they are, n rows; None without any.
    """

    rows: RowBatch
    splits: npt.NDArray[np.uint8]
    features: npt.NDArray[Any]
    labels: npt.NDArray[Any] | None
    others: pa.RecordBatch | None = None

    def numbers(self, index: int) -> npt.NDArray[np.int64]:
        """Return the numbers in the source of the records of split `SPLITS[index]`."""
        numbers: npt.NDArray[np.int64] = self.rows.row_numbers[self.splits == index]
        return numbers

    def parts(self) -> Iterator[SplitRows]:
        """Yield the records of each split that has some."""
        for index, split in enumerate(SPLITS):
            chosen = np.flatnonzero(self.splits == index)
            if len(chosen):
                labels = None if self.labels is None else self.labels[chosen]
                others = None if self.others is None else self.others.take(chosen)
                numbers = self.numbers(index)
                yield SplitRows(split, self.features[chosen], labels, self.rows.origin, numbers, others)


class DataPipeline:
    """The road of records from a config's source to its splits; it streams, and may be walked more than once.

    Args:
        config: Path, mapping or config.
        registry: Where `dataset_name` is looked up.

    Raises:
        ConfigError: The config is wrong, or names an unknown dataset, filter or rule.

    Example:
        >>> pipeline = DataPipeline({"data": {"dataset_name": "synthetic", "preprocessing": {"num_samples": 100}}})
        >>> sum(len(part.features) for part in pipeline)
        100
    """

    def __init__(
        self, config: Path | str | Mapping[str, Any] | Config, *, registry: DatasetRegistry = default_registry
    ) -> None:
        self.config = load_config(config)
        self.registry = registry
        if self.config.data.mixture is not None:
            raise ConfigError(
                f"{self.config.origin}: a mixture has nothing to prepare",
                remedy="prepare its sources, each by a config of its own; build_loader reads the mixture",
            )
        self.filters = parse_filters(self.config.data.filters)
        self.checks = parse_checks(self.config.data.checks)
        label = self.config.data.label_config
        by_label = any(isinstance(rule, LabelRule) for rule in self.filters)
        if by_label and (label is None or label.kind != "class"):
            raise ConfigError(
                "data.filters: label filters want class labels", remedy="set label.kind to class"
            )
        if label is None and any(check.name == "min_class_count" for check in self.checks):
            raise ConfigError("data.checks: min_class_count wants a label, and data.label is null")
        if not self.from_files and self.config.data.dataset_name not in registry:
            registry.builder(self.config.data.dataset_name)  # raises, and lists the known

    @property
    def from_files(self) -> bool:
        """Whether the rows come from `source_uri` rather than from a registered builder."""
        data = self.config.data
        return bool(data.sources) and data.dataset_name not in self.registry

    @cached_property
    def source(self) -> RowSource:
        """The rows as the source has them."""
        data = self.config.data
        if self.from_files:
            from nexa_data.datasets.decoding import row_source

            uris = data.split_sources or data.sources
            return row_source(uris, data.format, read=data.read, threads=data.n_threads)
        return as_row_source(self.registry.builder(data.dataset_name)(data), data.dataset_name)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that records may fall into."""
        by_column = self.config.data.split.column is not None and self.source.splits is None
        return SPLITS if by_column else self.required_splits

    @property
    def required_splits(self) -> tuple[str, ...]:
        """The splits that may not stay empty."""
        data = self.config.data
        if self.source.splits is not None:
            return tuple(split for split in SPLITS if split in self.source.splits)
        if data.split.column is not None:
            return ("train",)
        return tuple(split for split, share in data.split.shares().items() if share > 0)

    @cached_property
    def layout(self) -> Layout:
        """Which columns become features and label, and the vocabulary of text labels (read once)."""
        return plan_layout(self.source, self.config.data)

    def __iter__(self) -> Iterator[SplitRows]:
        """Yield all records, filtered and cut into splits, in the order of the source.

        Raises:
            RecordError: A record can't be read or has an impossible label; it names file and row.
        """
        with BadRecords(self.config.data.on_error) as bad:
            for cut in self.walk(bad):
                yield from cut.parts()

    def walk(self, bad: BadRecords) -> Iterator[CutRows]:
        """Yield what iteration yields before it is parted, and hand over the records that can't be used.

        Args:
            bad: Takes them; it decides whether one ends the walk.
        """
        normalization = self.normalization
        for cut in self._walk(bad):
            if normalization is None:
                yield cut
            else:
                yield replace(cut, features=normalization.apply(cut.features))

    @cached_property
    def normalization(self) -> Normalization | None:
        """What is done to the features, None if nothing; `standard` and `minmax` read all rows once."""
        wanted = self.config.data.preprocessing.normalize
        if wanted is None:
            return None
        if not isinstance(wanted, str):
            return fixed_normalization(wanted, math.prod(self.layout.shape))
        train = SplitStatistics()
        for cut in self._walk(BadRecords(self.config.data.on_error)):
            for part in cut.parts():
                if part.split == "train":
                    train.add(part.features, part.labels)
        return fitted_normalization(wanted, train)

    def _walk(self, bad: BadRecords) -> Iterator[CutRows]:
        cut = Cut(self.config.data, self.config.seed)
        for rows in self._needed.batches():
            bad.take(rows.bad)
            # What a rule leaves out needn't have sound features, nor a label.
            for rule in self._column_rules:
                rows = rows.only(rule.rows(rows.batch))  # noqa: PLW2901 (narrowed step by step)
            if rows.batch.num_rows:
                mapped = map_rows(rows, self.layout, self.config.data)
                bad.take(mapped.bad)
                yield self._cut(mapped, cut)

    @cached_property
    def _needed(self) -> RowSource:
        """The columns of the source that anything asks for: the others needn't be decoded."""
        split = self.config.data.split
        try:
            layout = self.layout
        except RecordError:
            # Text without a record has columns without a type; that it has none says who counts them.
            if any(rows.batch.num_rows for rows in self.source.batches()):
                raise
            return self.source
        names = {
            *layout.columns,
            *layout.others,
            *(rule_column for rule in self.filters for rule_column in rule.columns()),
            *(name for name in (layout.label, split.column, split.group) if name is not None),
            *(name for name in (self.config.data.preprocessing.key,) if name is not None),
        }
        # Of one that isn't there the error lists all that are.
        return self.source.select(names) if names <= set(self.source.schema.names) else self.source

    @cached_property
    def _label_rules(self) -> list[LabelRule]:
        return [rule for rule in self.filters if isinstance(rule, LabelRule)]

    @cached_property
    def _column_rules(self) -> list[ColumnRule]:
        return [rule for rule in self.filters if not isinstance(rule, LabelRule)]

    def _cut(self, mapped: Mapped, cut: Cut) -> CutRows:
        rows, features, labels = mapped.rows, mapped.features, mapped.labels
        splits = cut.assign(rows, labels).astype(np.uint8)
        if labels is not None and self._label_rules:
            left_out = np.ones(len(splits), np.bool_)
            left_out[select_rows(rows.batch, labels, self._label_rules, self.layout.classes)] = False
            splits[left_out] = LEFT_OUT
        others = rows.batch.select(list(self.layout.others)) if self.layout.others else None
        return CutRows(rows, splits, features, labels, others)

    def batches(self, split: str, *, epoch: int = 0) -> Iterator[tuple[Tensor, ...]]:
        """Yield (features, labels) batches of a split straight from the source, without writing an artifact.

        For a first look: nothing is shuffled, and every call reads the source again. Train batches are augmented
        as the config says; `nexa_data.loaders` serves training.

        Args:
            split: Name of the split.
            epoch: Epoch that random augmentations are drawn for.

        Yields:
            Features (B, …) float32 and, where there is a label, labels (B,) int64 or (B, …) float32; the last batch
            may be shorter.
        """
        with needed("torch", "a batch of tensors"):
            import torch

        from nexa_data.augment import batch_augmentor

        if split not in SPLITS:
            raise ConfigError(f"there is no split {split!r}", remedy=f"known: {', '.join(SPLITS)}")
        augment = batch_augmentor(self.config, self.layout.num_classes) if split == "train" else None
        size = self.config.data.batch_size
        # Features, and labels where there are some.
        columns: list[list[npt.NDArray[Any]]] = [[]] if self.config.data.label_config is None else [[], []]
        held, position = 0, 0
        for part in itertools.chain(self, (None,)):
            if part is not None and part.split == split:
                for column, values in zip(columns, (part.features, part.labels), strict=False):
                    column.append(np.asarray(values))
                held += len(part.features)
            while held >= size or (part is None and held):
                joined = [np.concatenate(column) for column in columns]
                batch = tuple(torch.from_numpy(column[:size].copy()) for column in joined)
                yield augment(*batch, epoch=epoch, position=position) if augment else batch
                columns = [[column[size:]] for column in joined]
                position += min(size, held)
                held = len(columns[0][0])
