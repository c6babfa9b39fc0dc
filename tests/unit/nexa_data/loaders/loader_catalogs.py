"""Small catalogs of shards whose records say their own number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from nexa_data import _core
from nexa_data.shard_output import tensor_batch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write_catalog(
    folder: Path,
    numbers: range,
    *,
    label: Callable[[int], int] = lambda number: number,
    shard: int = 7,
    split: str = "train",
) -> Path:
    """Write a catalog whose record has its number as its one feature, and `label` of it as its label."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for first in range(0, len(numbers), shard):
        part = numbers[first : first + shard]
        features = np.array(part, np.float32).reshape(-1, 1)
        labels = np.array([label(number) for number in part], np.int64)
        batch = tensor_batch({"features": features, "label": labels})
        _core.write_shard(folder / f"{split}-{first}.arrow", [batch])
        lines.append(f'{{"uri": "{split}-{first}.arrow", "split": "{split}", "records": {len(part)}}}\n')
    with (folder / "catalog.jsonl").open("a") as catalog:
        catalog.writelines(lines)
    return folder


def numbers(batches: Any) -> list[int]:
    """Return the numbers of the records that the batches hold, in their order."""
    return [int(number) for features, _ in batches for number in features[:, 0].tolist()]
