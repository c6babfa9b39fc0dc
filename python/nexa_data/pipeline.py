"""Composes source → features and label → filter → split → (augment → batches)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.config import SPLITS, load_config
from nexa_data.datasets.columns import map_rows, plan_layout
from nexa_data.datasets.rows import RowSource, as_row_source
from nexa_data.datasets.splits import assign_splits
from nexa_data.errors import ConfigError
from nexa_data.filters.columns import parse_filters, select_rows
from nexa_data.optional import needed
from nexa_data.quality.checks import parse_checks
from nexa_data.registry import DatasetRegistry, default_registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt
    from torch import Tensor

    from nexa_data.config import Config
    from nexa_data.datasets.columns import Layout

__all__ = ["DataPipeline", "SplitRows"]


@dataclass(frozen=True, slots=True)
class SplitRows:
    """Some records of one split.

    Args:
        split: Name of the split.
        features: Shape (n, …), float32.
        labels: Shape (n,) int64 for classes, else float32.
        origin: Source file or builder that they came from.
        rows: Their numbers in the origin, shape (n,), int64.
    """

    split: str
    features: npt.NDArray[np.float32]
    labels: npt.NDArray[Any]
    origin: str
    rows: npt.NDArray[np.int64]


class DataPipeline:
    """The road of records from a config's source to its splits; it streams, and may be walked more than once.

    Args:
        config: Path, mapping or config.
        registry: Where `dataset_name` is looked up.

    Raises:
        ConfigError: The config is wrong, or names an unknown dataset, filter or rule.

    Example:
        >>> pipeline = DataPipeline({"data": {"dataset_name": "synthetic", "preprocessing": {"num_samples": 100}}})
        >>> sum(len(part.labels) for part in pipeline)
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
        if self.filters and self.config.data.label_config.kind != "class":
            raise ConfigError(
                "data.filters: label filters want class labels", remedy="set label.kind to class"
            )
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
            from nexa_data.datasets.files import row_source

            return row_source(data.sources, data.format)
        return as_row_source(self.registry.builder(data.dataset_name)(data), data.dataset_name)

    @cached_property
    def layout(self) -> Layout:
        """Which columns become features and label, and the vocabulary of text labels (read once)."""
        return plan_layout(self.source, self.config.data)

    def __iter__(self) -> Iterator[SplitRows]:
        """Yield all records, filtered and cut into splits, in the order of the source.

        Raises:
            RecordError: A record can't be read or has an impossible label; it names file and row.
        """
        data = self.config.data
        shares = data.split.shares()
        for rows in self.source.batches():
            if not rows.batch.num_rows:
                continue
            features, labels = map_rows(rows, self.layout, data)
            splits = assign_splits(rows, shares, seed=self.config.seed, key=data.preprocessing.key)
            numbers = np.arange(rows.first_row, rows.first_row + rows.batch.num_rows)
            kept = select_rows(labels, self.filters, self.layout.classes)
            for index, split in enumerate(SPLITS):
                chosen = np.flatnonzero(splits == index) if kept is None else kept[splits[kept] == index]
                if len(chosen):
                    yield SplitRows(split, features[chosen], labels[chosen], rows.origin, numbers[chosen])

    def batches(self, split: str, *, epoch: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (features, labels) batches of a split straight from the source, without writing an artifact.

        For a first look: nothing is shuffled, and every call reads the source again. Train batches are augmented
        as the config says; `nexa_data.loaders` serves training.

        Args:
            split: Name of the split.
            epoch: Epoch that random augmentations are drawn for.

        Yields:
            Features (B, …) float32 and labels (B,) int64 or (B, …) float32; the last batch may be shorter.
        """
        with needed("torch", "a batch of tensors"):
            import torch

        from nexa_data.augment import batch_augmentor

        if split not in SPLITS:
            raise ConfigError(f"there is no split {split!r}", remedy=f"known: {', '.join(SPLITS)}")
        augment = batch_augmentor(self.config) if split == "train" else None
        size = self.config.data.batch_size
        features: list[npt.NDArray[np.float32]] = []
        labels: list[npt.NDArray[Any]] = []
        held, position = 0, 0
        for part in itertools.chain(self, (None,)):
            if part is not None and part.split == split:
                features.append(part.features)
                labels.append(part.labels)
                held += len(part.labels)
            while held >= size or (part is None and held):
                joined, named = np.concatenate(features), np.concatenate(labels)
                batch = torch.from_numpy(joined[:size].copy()), torch.from_numpy(named[:size].copy())
                yield augment(*batch, epoch=epoch, position=position) if augment else batch
                features, labels = [joined[size:]], [named[size:]]
                position += min(size, held)
                held = len(labels[0])
