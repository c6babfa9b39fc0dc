"""An artifact of kind `dataset` that a program makes of its own rows, rather than a config of its sources."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.artifacts import FORMAT_VERSION, ArtifactWriter, is_complete, read_meta
from nexa_data.batch_output import BatchOutput
from nexa_data.catalog import CATALOG_NAME, ShardCatalog
from nexa_data.config import SPLITS
from nexa_data.datasets.rows import RowBatch
from nexa_data.datasets.splits import assign_splits
from nexa_data.errors import ConfigError, RecordError
from nexa_data.publishing import DATASET_KIND, METADATA_NAME, SUMMARY_NAME
from nexa_data.shard_output import WriteQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pyarrow as pa

    from nexa_data.artifacts import ArtifactMeta

    _Describe = Callable[[], tuple[Mapping[str, Any], Mapping[str, bytes]]]

__all__ = ["ShardPlan", "made_artifact"]

_SHARD_BYTES = 16 << 20
_SHARE_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """How rows are cut into splits and shards.

    Args:
        split: The split that all rows are in, or the share of each.
        seed: Another seed gives another cut.
        shard_bytes: Bytes of a shard; None for 16 MiB: one is filled while two are written, so that memory holds three.

    Raises:
        ConfigError: There is no such split, the shares don't sum to 1, or a shard holds nothing.
    """

    split: str | Mapping[str, float] = "train"
    seed: int = 0
    shard_bytes: int | None = None
    shares: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        given = {self.split: 1.0} if isinstance(self.split, str) else dict(self.split)
        for name in given:
            if name not in SPLITS:
                raise ConfigError(f"there is no split {name!r}", remedy=f"known: {', '.join(SPLITS)}")
        if any(share < 0 for share in given.values()) or abs(sum(given.values()) - 1.0) > _SHARE_TOLERANCE:
            raise ConfigError(
                f"split: the shares {given} don't sum to 1", remedy="for example train=0.9,validation=0.1"
            )
        if self.shard_bytes is not None and self.shard_bytes < 1:
            raise ConfigError(f"shard_bytes is {self.shard_bytes}", remedy="pass 1 or more")
        ordered = {name: float(given[name]) for name in SPLITS if given.get(name)}
        object.__setattr__(self, "shares", ordered)

    @property
    def bytes(self) -> int:
        """Bytes of a shard."""
        return self.shard_bytes or _SHARD_BYTES


def made_artifact(
    batches: Iterable[pa.RecordBatch],
    destination: Path,
    plan: ShardPlan,
    *,
    describe: _Describe,
    inputs: Mapping[str, Any],
    origin: Path | str | None = None,
) -> ArtifactMeta:
    """Write record batches as shards with a catalog, and publish them at `destination` in one step.

    Args:
        batches: The rows; batches may share no memory that changes later.
        destination: Folder that the artifact will be; an older one of this kind is replaced.
        plan: How rows are cut.
        describe: Called when all rows have come; returns what of `dataset_metadata.json` is known then, and files of
            further payload by name.
        inputs: How it is made, for `meta.json`.
        origin: Path of what the rows come from: an artifact, or a file.

    Raises:
        RecordError: A split of non-zero share got no row, or the batches don't agree.
        ArtifactError: The destination holds something else.
    """
    name = os.path.basename(os.path.abspath(destination))  # noqa: PTH100, PTH119 (as ArtifactWriter takes it)
    labels = {"dataset_name": name, "format_version": str(FORMAT_VERSION)}
    if origin is not None:
        source = Path(origin).resolve()
        inputs = {**inputs, "source": str(source)}
        folder = next(filter(is_complete, (source, source.parent)), None)
        if folder is not None:
            labels["source_hash"] = read_meta(folder).hash
    with ArtifactWriter(destination, kind=DATASET_KIND, inputs=inputs, labels=labels) as writer:
        try:
            return _write(batches, writer, plan, describe, name)
        except BaseException:
            # What was written can't be gone on with: its rows come from an iterable that has been read.
            writer.discard()
            raise


def _write(
    batches: Iterable[pa.RecordBatch],
    writer: ArtifactWriter,
    plan: ShardPlan,
    describe: _Describe,
    name: str,
) -> ArtifactMeta:
    # Of a killed run's shards none is taken over.
    shutil.rmtree(writer.path / "shards", ignore_errors=True)
    (writer.path / "shards").mkdir()
    counts = dict.fromkeys(plan.shares, 0)
    with WriteQueue() as writes:
        outputs = {split: BatchOutput(writer.path, split, plan.bytes, writes) for split in plan.shares}
        first = 0
        for batch in batches:
            for split, part in _cut(batch, first, plan):
                outputs[split].add(part)
                if 2 * part.nbytes > plan.bytes:
                    outputs[split].cut()  # a shard of one batch is written from where it lies
                counts[split] += part.num_rows
            first += batch.num_rows
        empty = [split for split, count in counts.items() if not count]
        if empty:
            raise RecordError(
                f"of {first} rows none fell into {', '.join(empty)}", remedy="give it a larger share, or none"
            )
        shards = [shard.result() for output in outputs.values() for shard in output.close()]
    (writer.path / CATALOG_NAME).write_bytes(ShardCatalog(writer.path, tuple(shards)).dumps())
    known, files = describe()
    head = {"format_version": FORMAT_VERSION, "dataset_name": name, "dataset_version": "1"}
    metadata = {**head, "source": [name], "seed": plan.seed, "split": plan.shares, **known}
    summary = {
        "format_version": FORMAT_VERSION,
        "records": first,
        "splits": {split: {"records": count} for split, count in counts.items()},
    }
    for file, content in {METADATA_NAME: _json(metadata), SUMMARY_NAME: _json(summary), **files}.items():
        (writer.path / file).write_bytes(content)
    digests = {shard.uri: (shard.checksum or "").removeprefix("sha256:") for shard in shards}
    return writer.publish(digests, durable=digests.keys())


def _cut(batch: pa.RecordBatch, first: int, plan: ShardPlan) -> list[tuple[str, pa.RecordBatch]]:
    names = list(plan.shares)
    if len(names) == 1:
        return [(names[0], batch)]
    found = assign_splits(RowBatch("", first, batch), plan.shares, seed=plan.seed)
    chosen = [(name, np.flatnonzero(found == index)) for index, name in enumerate(names)]
    return [(name, batch.take(rows)) for name, rows in chosen if len(rows)]


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
