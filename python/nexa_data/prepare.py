"""From a config to artifacts and loaders: the door that training scripts use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexa_data.pipeline import DataPipeline
from nexa_data.publishing import publish_dataset, publish_metadata
from nexa_data.staging import stage_catalog_to_nvme

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from torch.distributed.device_mesh import DeviceMesh

    from nexa_data.artifacts import ArtifactMeta
    from nexa_data.config import Config
    from nexa_data.loaders.torch_loader import ShardLoader

__all__ = ["build_dataloaders", "prepare_from_config", "stage_catalog_to_nvme"]


def prepare_from_config(
    config_path: Path | str | Mapping[str, Any] | Config,
    *,
    materialize_only: bool = False,
    allow_invalid: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ArtifactMeta:
    """Build the dataset that a config names, as validated Arrow shards with a catalog.

    The artifact lies in `<experiment.output_dir>/<experiment.name>/datasets/<dataset_name>/<version>-<key>/`:
    `shards/`, `catalog.jsonl`, `dataset_metadata.json`, `dataset_summary.json`, `meta.json`. Its key is a function
    of what in `data:` changes the data and of the sources' content: the same config gives the same artifact, which
    is reused; another gives a new one beside it. The symlink `latest` follows.

    Args:
        config_path: Path of a config, a mapping of the same form, or a config.
        materialize_only: Write the metadata alone, from schema and config, as an artifact of kind
            `dataset-metadata`; no shard, no statistics, and `latest` stays.
        allow_invalid: Publish although a rule of `data.checks` refuses; the artifact's `labels["invalid"]` says so.
        progress: Called with the number of records written so far.

    Returns:
        Meta data of the artifact.

    Raises:
        ConfigError: The config is wrong; the message says where.
        ShardNotFoundError: The config or its source isn't there.
        RecordError: A record can't be read, or has an impossible label; nothing is published.
        ValidationRefusedError: A rule of `data.checks` refused the data; nothing is published.
        ArtifactError: The store can't be written.

    Example:
        >>> import tempfile
        >>> meta = prepare_from_config({
        ...     "data": {"dataset_name": "synthetic", "preprocessing": {"num_samples": 500}},
        ...     "experiment": {"output_dir": tempfile.mkdtemp()},
        ... })
        >>> meta.kind
        'dataset'
    """
    pipeline = DataPipeline(config_path)
    if materialize_only:
        return publish_metadata(pipeline)
    return publish_dataset(pipeline, progress=progress, allow_invalid=allow_invalid)


def build_dataloaders(  # noqa: PLR0913 (one for each option)
    config_path: Path | str | Mapping[str, Any] | Config,
    splits: Iterable[str],
    *,
    rank: int | None = None,
    world_size: int | None = None,
    shard: str | tuple[int, int] = "auto",
    mesh: DeviceMesh | None = None,
    dp_dims: Sequence[str | int] | str | int | None = None,
    transform: Callable[[Any], Any] | None = None,
    sample_transform: Callable[[Any], Any] | None = None,
    collate_fn: Callable[[list[Any]], Any] | None = None,
    borrow: bool = False,
) -> dict[str, ShardLoader]:
    """Return a loader for each of `splits`, all of one artifact.

    Args:
        config_path: Path of a config, a mapping of the same form, or a config.
        splits: Names of the splits, for example `("train", "validation")`.
        rank: This and what follows is as `nexa_data.loaders.torch_loader.build_loader` takes it.
        world_size: Number of ranks.
        shard: Whether and how this process's part is cut.
        mesh: A device mesh to find rank and world size in.
        dp_dims: The data-parallel dimensions of `mesh`.
        transform: Function of a whole batch, of each split.
        sample_transform: Function of one record, of each split; slow.
        collate_fn: Function from a list of records to a batch; slow.
        borrow: Hand out unshuffled batches where they lie, without a copy.

    Returns:
        Split → loader, in the order of `splits`.

    Raises:
        ConfigError: A split is unknown, or has no records by the config.
    """
    from nexa_data.loaders.torch_loader import build_loaders

    return build_loaders(
        config_path,
        splits,
        rank=rank,
        world_size=world_size,
        shard=shard,
        mesh=mesh,
        dp_dims=dp_dims,
        transform=transform,
        sample_transform=sample_transform,
        collate_fn=collate_fn,
        borrow=borrow,
    )
