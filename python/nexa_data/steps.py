"""The steps of `run` and `demo`, each measured: prepare, validate, stage."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nexa_data.console import Bar, bytes_text, rate_text, seconds_text, show_table
from nexa_data.errors import ArtifactError, ValidationRefusedError
from nexa_data.findings import refuses

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nexa_data.artifacts import ArtifactMeta
    from nexa_data.config import Config

__all__ = ["Step", "prepare", "show_steps", "stage", "staged_copy", "validate"]


@dataclass(frozen=True, slots=True)
class Step:
    """What a step did.

    Args:
        name: The step.
        seconds: How long it took.
        records: Records that it went through.
        bytes: Bytes that it wrote or read.
        reused: Whether what it makes was there already.
        note: The rest, for a person.
    """

    name: str
    seconds: float
    records: int | None = None
    bytes: int | None = None
    reused: bool = False
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        return asdict(self)


def show_steps(steps: Sequence[Step]) -> None:
    """Print a table of the steps."""
    rows = [
        (
            step.name,
            None if step.records is None else f"{step.records:,}",
            None if step.bytes is None else bytes_text(step.bytes),
            seconds_text(step.seconds),
            None if step.reused or not step.records else f"{step.records / step.seconds:,.0f}",
            None if step.reused else rate_text(step.bytes, step.seconds),
            ", ".join(part for part in ("reused" if step.reused else "", step.note) if part),
        )
        for step in steps
    ]
    show_table(("step", ">records", ">bytes", ">seconds", ">records/s", ">bytes/s", ""), rows)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def prepare(
    config: Config, *, materialize_only: bool = False, allow_invalid: bool = False
) -> tuple[ArtifactMeta, Step]:
    """Make the artifact of a config, or find it.

    Raises:
        NexaError: As `prepare_from_config` does.
    """
    from nexa_data.catalog import CATALOG_NAME, ShardCatalog
    from nexa_data.prepare import prepare_from_config

    began, started = _now(), time.perf_counter()
    with Bar("preparing", "records") as bar:
        meta = prepare_from_config(
            config, materialize_only=materialize_only, allow_invalid=allow_invalid, progress=bar
        )
    seconds = time.perf_counter() - started
    note, records = "", None
    if (meta.path / CATALOG_NAME).is_file():
        catalog = ShardCatalog.load(meta.path)
        records = catalog.records()
        note = ", ".join(f"{split} {catalog.records(split):,}" for split in catalog.splits)
    return meta, Step("prepare", seconds, records, meta.bytes, meta.created_at < began, note)


def validate(target: Path) -> Step:
    """Check an artifact in full.

    Raises:
        ValidationRefusedError: It isn't what it says; the message lists the findings.
    """
    from nexa_data.artifacts import read_meta
    from nexa_data.catalog import ShardCatalog
    from nexa_data.verification import verify

    started = time.perf_counter()
    found = verify(target, full=True)
    seconds = time.perf_counter() - started
    if refuses(found.findings):
        shown = "".join(f"\n  {finding}" for finding in found.findings)
        raise ValidationRefusedError(
            f"{target} is not what it says:{shown}\n  delete the folder and run the command again"
        )
    note = f"{len(found.findings)} warnings" if found.findings else "no findings"
    return Step("validate", seconds, ShardCatalog.load(target).records(), read_meta(target).bytes, note=note)


def stage(catalog: Path, destination: Path, **options: Any) -> tuple[ArtifactMeta, Step]:
    """Copy a catalog's shards to `destination`, or find the copy there.

    Args:
        catalog: The catalog, or the folder that holds it.
        destination: Folder that the copy will be.
        options: As `stage_catalog_to_nvme` takes them.

    Raises:
        NexaError: As `stage_catalog_to_nvme` does.
    """
    from nexa_data.catalog import ShardCatalog
    from nexa_data.prepare import stage_catalog_to_nvme
    from nexa_data.staging import read_report

    began, started = _now(), time.perf_counter()
    with Bar("staging", "bytes") as bar:
        meta = stage_catalog_to_nvme(
            catalog, destination, **options, progress=bar, shard_progress=bar.count_parts
        )
    seconds = time.perf_counter() - started
    records = ShardCatalog.load(meta.path).records() or None
    return meta, Step(
        "stage", seconds, records, meta.bytes, meta.created_at < began, _how(read_report(meta.path))
    )


def _how(report: dict[str, Any]) -> str:
    """Return how the shards came to where they are."""
    modes = [f"{count} {mode}" for mode, count in report.get("modes", {}).items()]
    ways = [
        f"{report[f'{way}_shards']} {way}" for way in ("linked", "resumed") if report.get(f"{way}_shards")
    ]
    return ", ".join(modes + ways)


def staged_copy(config: Config, prepared: ArtifactMeta) -> tuple[ArtifactMeta, Step]:
    """Stage a prepared artifact to where the config's loaders look for it, in `data.cache_dir`.

    Raises:
        ArtifactError: The config has no `data.cache_dir`.
    """
    from nexa_data.staging import staged_folder

    if config.data.cache_dir is None:
        raise ArtifactError(f"{config.origin} has no data.cache_dir", remedy="set it to a local folder")
    return stage(prepared.path, staged_folder(config, prepared), threads=config.data.n_threads)
