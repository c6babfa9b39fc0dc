"""Datasets: rows from generators, files and shards, in one form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexa_data.datasets.shards import ShardDataset
    from nexa_data.datasets.synthetic import SyntheticClassificationDataset

__all__ = ["ShardDataset", "SyntheticClassificationDataset"]


def __getattr__(name: str) -> Any:
    """Import torch only for who asks for a dataset of tensors."""
    if name == "ShardDataset":
        from nexa_data.datasets.shards import ShardDataset

        return ShardDataset
    if name == "SyntheticClassificationDataset":
        from nexa_data.datasets.synthetic import SyntheticClassificationDataset

        return SyntheticClassificationDataset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
