"""Writes a pipeline's splits as Arrow shards with a catalog, and publishes them as an artifact."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexa_data.artifacts import (
    FORMAT_VERSION,
    METADATA_NAME,
    ArtifactMeta,
    ArtifactWriter,
    digest_text,
    is_complete,
    move_latest,
    read_meta,
)
from nexa_data.catalog import CATALOG_NAME, ShardCatalog, is_whole
from nexa_data.datasets.bad_records import BadRecords
from nexa_data.datasets.columns import plan_layout
from nexa_data.errors import ConfigError, RecordError, ValidationRefusedError
from nexa_data.findings import Severity, findings_report, refuses
from nexa_data.opened import opened_dataset
from nexa_data.quality.measure import Described, Measurement
from nexa_data.quality.model import REPORT_NAME, Target
from nexa_data.quality.report import quality_report, stored_findings, write_report
from nexa_data.quality.row_checks import RowChecks
from nexa_data.quality.verdict import Seen, judge, refusal
from nexa_data.redaction import redacted
from nexa_data.shard_journal import ShardJournal
from nexa_data.shard_output import ShardOutput, WriteQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from nexa_data.datasets.columns import Layout
    from nexa_data.datasets.statistics import SplitStatistics
    from nexa_data.findings import Finding
    from nexa_data.pipeline import DataPipeline
    from nexa_data.quality.model import QualityStatistics

__all__ = [
    "DATASET_KIND",
    "INVALID_LABEL",
    "METADATA_KIND",
    "METADATA_NAME",
    "SUMMARY_NAME",
    "find_dataset",
    "publish_dataset",
    "publish_metadata",
]

_log = logging.getLogger(__name__)

DATASET_KIND = "dataset"
METADATA_KIND = "dataset-metadata"
SUMMARY_NAME = "dataset_summary.json"
QUARANTINE_SUFFIX = "quarantine.jsonl"
"""Behind an artifact's name: the records that it was made without, beside it."""
INVALID_LABEL = "invalid"
"""Label of an artifact that was published although the rules refuse it."""
_MEND = "mend the source, or take it as it is with --allow-invalid (allow_invalid=True):"
_FINGERPRINTS_NAME = ".nexa-fingerprints.json"


def dataset_key(pipeline: DataPipeline, kind: str) -> str:
    """Return the key of what a config makes: its content, its sources' fingerprint, our layout's version."""
    config = pipeline.config
    content = json.dumps(config.data.content(), sort_keys=True, ensure_ascii=False)
    if pipeline.from_files:
        from nexa_data.datasets.files import find_files
        from nexa_data.datasets.fingerprints import fingerprint_files

        cache = Path(config.experiment.output_dir).expanduser() / _FINGERPRINTS_NAME
        source = fingerprint_files(find_files(config.data.sources), cache)
    else:
        source = pipeline.registry.fingerprint(config.data.dataset_name)
    return digest_text(kind, content, source, str(FORMAT_VERSION))


def _destination(pipeline: DataPipeline, key: str) -> Path:
    config = pipeline.config
    return config.store / f"{config.data.dataset_version}-{key[:12]}"


def find_dataset(pipeline: DataPipeline) -> ArtifactMeta | None:
    """Return the published dataset of exactly this config and source, or None if it isn't there or lost shards.

    Where the source is a dataset's catalog it is that dataset.
    """
    opened = opened_dataset(pipeline.config)
    if opened is not None:
        return opened
    key = dataset_key(pipeline, DATASET_KIND)
    folder = _destination(pipeline, key)
    if not is_complete(folder):
        return None
    meta = read_meta(folder)
    return meta if meta.labels.get("key") == key and is_whole(folder) else None


def _writer(pipeline: DataPipeline, kind: str) -> ArtifactWriter:
    config = pipeline.config
    key = dataset_key(pipeline, kind)
    inputs = {
        "config": config.data.content(),
        "source": config.data.sources or [config.data.dataset_name],
        "tags": config.experiment.tags,
    }
    labels = {
        "key": key,
        "dataset_name": config.data.dataset_name,
        "dataset_version": config.data.dataset_version,
        "format_version": str(FORMAT_VERSION),
    }
    return ArtifactWriter(_destination(pipeline, key), kind=kind, inputs=inputs, labels=labels)


def publish_metadata(pipeline: DataPipeline) -> ArtifactMeta:
    """Publish what is known from schema and config alone; no row is read for statistics, no shard written."""
    with _writer(pipeline, METADATA_KIND) as writer:
        existing = writer.existing()
        if existing is not None:
            return existing
        layout = plan_layout(pipeline.source, pipeline.config.data, read=False)
        _write_json(writer.path / METADATA_NAME, _metadata(pipeline, layout))
        header = {"format_version": FORMAT_VERSION, "features": _features(layout), "splits": None}
        _write_json(writer.path / SUMMARY_NAME, header)
        return writer.publish()


def publish_dataset(
    pipeline: DataPipeline, *, progress: Callable[[int], None] | None = None, allow_invalid: bool = False
) -> ArtifactMeta:
    """Publish the dataset of a pipeline, or return the artifact that already holds it; a catalog's is its own.

    Args:
        pipeline: The road from the source.
        progress: Called with the number of records written so far.
        allow_invalid: Publish although the rules refuse; the artifact says so in `labels["invalid"]`.

    Raises:
        RecordError: A record is wrong, the source is empty, or a split of non-zero share is.
        ValidationRefusedError: A rule of `checks:` refused the data; nothing was published.
    """
    opened = opened_dataset(pipeline.config)
    if opened is not None:
        return opened
    with _writer(pipeline, DATASET_KIND) as writer:
        meta = writer.existing()
        if meta is not None and not is_whole(meta.path):
            _log.warning("%s has lost or changed shards since it was prepared; preparing it again", meta.uri)
            meta = None
        if meta is not None and INVALID_LABEL in meta.labels and not allow_invalid:
            raise ValidationRefusedError(
                f"{meta.uri} was published although it breaks data.checks; {_MEND}\n"
                f"{refusal(stored_findings(meta.path))}"
            )
        if meta is None:
            try:
                meta = _build(pipeline, writer, progress, allow_invalid=allow_invalid)
            except BaseException as error:
                # Of files, whole shards are kept for the next run, unless that would end as this one.
                if not pipeline.from_files or isinstance(
                    error, (RecordError, ConfigError, ValidationRefusedError)
                ):
                    writer.discard()
                raise
        move_latest(meta.path)
        return meta


def _build(
    pipeline: DataPipeline,
    writer: ArtifactWriter,
    progress: Callable[[int], None] | None,
    *,
    allow_invalid: bool,
) -> ArtifactMeta:
    # A builder's rows may differ from run to run; files are what their digests in the key say.
    journal = ShardJournal(writer.path, keep=pipeline.from_files)
    quarantine = writer.destination.with_name(f"{writer.destination.name}.{QUARANTINE_SUFFIX}")
    with (
        BadRecords(pipeline.config.data.on_error, quarantine) as bad,
        WriteQueue() as writes,
    ):
        rules = RowChecks(pipeline.checks, writer.path)
        measurement = Measurement(folder=writer.path, row_checks=rules)
        output = ShardOutput(writer.path, pipeline.config.data.shards, writes, journal, measurement)
        done = 0
        for cut in pipeline.walk(bad):
            if not done:
                # A layout is known once there are records.
                measurement.described = Described.of_metadata(_metadata(pipeline, pipeline.layout))
            done += output.add(cut)
            if progress is not None:
                progress(done)
        lost = bad.finish(done)
        statistics = {split: output.statistics[split] for split in pipeline.splits}
        _require_records(pipeline, statistics, done)
        statistics = {split: seen for split, seen in statistics.items() if seen.records}
        shards = [shard.result() for shard in output.close()]
        found = measurement.statistics()
        first_nan = {split: seen.first_nan for split, seen in statistics.items() if seen.first_nan}
        seen = Seen(found, _num_classes(pipeline.layout, statistics), first_nan=first_nan)
        findings = judge(pipeline.checks, seen, rules)
        if refuses(findings):
            _refuse(findings, writer, allow_invalid=allow_invalid)
    if journal.reused:
        _log.info("%d of %d shards were written by a run that was stopped", journal.reused, len(shards))
    journal.remove()
    catalog = ShardCatalog(writer.path, tuple(shards))
    (writer.path / CATALOG_NAME).write_bytes(catalog.dumps())
    if pipeline.from_files and dataset_key(pipeline, DATASET_KIND) != writer.labels["key"]:
        raise RecordError(
            f"{pipeline.source.where}: a file changed while it was read",
            remedy="run again once its writer is done",
        )
    _write_json(writer.path / METADATA_NAME, _metadata(pipeline, pipeline.layout, statistics))
    summary = _summary(pipeline, statistics, findings) | ({} if lost is None else {"bad_records": lost})
    _write_json(writer.path / SUMMARY_NAME, summary)
    _write_report(writer, pipeline, found, findings)
    digests = {shard.uri: (shard.checksum or "").removeprefix("sha256:") for shard in shards}
    return writer.publish(digests)


def _require_records(pipeline: DataPipeline, statistics: dict[str, SplitStatistics], done: int) -> None:
    """Refuse a source that has no records, or none for a split that should have some."""
    if not done:
        raise RecordError(
            f"{pipeline.source.where}: no records"
            + (" are left after data.filters" if pipeline.filters else ""),
            remedy="check source_uri and filters",
        )
    empty = [split for split in pipeline.required_splits if not statistics[split].records]
    if empty:
        raise RecordError(
            f"{pipeline.source.where}: of {done} records none fell into {', '.join(empty)}",
            remedy=f"add records, or set data.split.{empty[0]} to 0",
        )


def _refuse(findings: list[Finding], writer: ArtifactWriter, *, allow_invalid: bool) -> None:
    bad = [finding for finding in findings if finding.severity is not Severity.WARNING]
    if not allow_invalid:
        raise ValidationRefusedError(
            f"the data breaks data.checks, nothing was published; {_MEND}\n{refusal(bad)}"
        )
    writer.labels[INVALID_LABEL] = f"{len(bad)} findings"
    _log.warning("published although it breaks data.checks:\n%s", refusal(bad))


def _write_report(
    writer: ArtifactWriter, pipeline: DataPipeline, found: QualityStatistics, findings: list[Finding]
) -> None:
    data = pipeline.config.data
    target = Target(
        kind=writer.kind, uri=str(writer.destination), name=data.dataset_name, version=data.dataset_version
    )
    report = quality_report(
        found,
        findings,
        target,
        rules=data.checks,
        provenance={"inputs": writer.inputs, "labels": writer.labels},
    )
    write_report(report, writer.path / REPORT_NAME)


def _num_classes(layout: Layout, statistics: dict[str, SplitStatistics]) -> int | None:
    if layout.kind != "class":
        return layout.num_classes
    seen = max((max(each.class_counts, default=-1) for each in statistics.values()), default=-1) + 1
    return layout.num_classes or seen


def _features(layout: Layout) -> dict[str, Any]:
    return {
        "name": "features",
        "dtype": layout.dtype,
        "shape": list(layout.shape),
        "columns": list(layout.columns),
    }


def _metadata(
    pipeline: DataPipeline, layout: Layout, statistics: dict[str, SplitStatistics] | None = None
) -> dict[str, Any]:
    data = pipeline.config.data
    classes = layout.num_classes if statistics is None else _num_classes(layout, statistics)
    by_share = data.cuts_by_share and pipeline.source.splits is None
    return {
        "format_version": FORMAT_VERSION,
        "dataset_name": data.dataset_name,
        "dataset_version": data.dataset_version,
        "source": data.sources or [data.dataset_name],
        "seed": pipeline.config.seed,
        "split": data.split.shares() if by_share else list(statistics or pipeline.splits),
        "features": _features(layout) | _normalized(pipeline, statistics),
        "label": layout.label
        and {
            "name": "label",
            "column": layout.label,
            "kind": layout.kind,
            "dtype": layout.label_dtype,
            "shape": list(layout.label_shape),
            "num_classes": classes,
            "classes": list(layout.classes) if layout.classes else None,
        },
    } | ({"columns": _others(pipeline, layout)} if layout.others else {})


def _normalized(pipeline: DataPipeline, statistics: dict[str, SplitStatistics] | None) -> dict[str, Any]:
    """Return what was done to the features; without statistics no row may be read for it."""
    if statistics is None or pipeline.normalization is None:
        return {}
    return {"normalize": pipeline.normalization.as_dict()}


def _others(pipeline: DataPipeline, layout: Layout) -> list[dict[str, str]]:
    schema = pipeline.source.schema
    return [{"name": name, "type": str(schema.field(name).type)} for name in layout.others]


def _summary(
    pipeline: DataPipeline, statistics: dict[str, SplitStatistics], findings: list[Finding]
) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "records": sum(seen.records for seen in statistics.values()),
        "features": _features(pipeline.layout),
        "splits": {split: seen.as_dict() for split, seen in statistics.items()},
        "checks": findings_report(findings),
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(
        json.dumps(redacted(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )
