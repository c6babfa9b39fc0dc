"""What is to be staged: the shards with their names in the artifact, and the key that decides about reuse."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nexa_data.artifacts import FORMAT_VERSION, digest_text, is_complete, read_meta
from nexa_data.catalog import CATALOG_NAME, ShardCatalog, ShardRecord, describe
from nexa_data.errors import CatalogError, ContentMismatchError, ShardNotFoundError
from nexa_data.findings import Finding, Severity, refuses

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from nexa_data.staging.proven import Source

__all__ = ["STAGED_KIND", "Job", "Plan", "check_sources", "plan_staging"]

_log = logging.getLogger(__name__)

STAGED_KIND = "staged-dataset"
"""Kind of the artifacts that staging makes."""

_DIFFERENT_CONTENT = frozenset({"wrong-size", "wrong-records", "wrong-checksum"})


@dataclass(frozen=True, slots=True)
class Job:
    """One shard to stage.

    Args:
        shard: Its line in the catalog.
        inside: Its name below the catalog's folder, as a plain relative path.
        name: Its name in the artifact.
        facts: What identifies its content where the catalog has no checksum; None where it has one.
    """

    shard: ShardRecord
    inside: str
    name: str
    facts: Source | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A catalog that is to be staged.

    Args:
        catalog: The catalog.
        root: Its folder, without links.
        jobs: Its shards, in its order.
        labels: Labels of the artifact; `key` decides about reuse.
    """

    catalog: ShardCatalog
    root: str
    jobs: tuple[Job, ...]
    labels: dict[str, str]

    def source(self, job: Job) -> Source:
        """Look at a shard's source.

        Raises:
            ShardNotFoundError: It is gone.
        """
        return source_facts(self.root, job.inside)


def source_facts(root: str, inside: str) -> Source:
    """Return path, size, time of modification, inode and device of a source.

    Raises:
        ShardNotFoundError: It is gone.
    """
    path = f"{root}/{inside}"
    try:
        found = os.stat(path)  # noqa: PTH116 (one for each of very many shards)
    except OSError as error:
        raise ShardNotFoundError(
            f"shard {path} can't be looked at: {error.strerror}",
            remedy="restore it, or write the catalog anew",
        ) from error
    return path, found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev


def plan_staging(path: Path) -> Plan:
    """Read a catalog and say what is to be staged; sources are looked at only where a checksum is missing.

    Raises:
        ShardNotFoundError: The catalog, or a shard without a checksum, isn't there.
        CatalogError: A line is malformed, or a name can't be staged.
    """
    from nexa_data import _core

    file = path / CATALOG_NAME if path.is_dir() else path
    catalog = ShardCatalog.load(file, for_staging=True)
    root = os.path.realpath(catalog.root)
    inside = [_core.staged_name(shard.uri) for shard in catalog]
    # The shards of our own artifacts lie in `shards/` already; it isn't repeated.
    cut = len("shards/") if all(name.startswith("shards/") for name in inside) else 0
    try:
        jobs = tuple(
            Job(shard, name, f"shards/{name[cut:]}", None if shard.checksum else source_facts(root, name))
            for shard, name in zip(catalog, inside, strict=True)
        )
    except ShardNotFoundError:
        check_sources(catalog)  # it says which line that is, and what else is wrong
        raise
    return Plan(catalog, root, jobs, _labels(catalog, jobs))


def check_sources(catalog: ShardCatalog, *, checked: Collection[int] = ()) -> None:
    """Refuse a catalog whose shards aren't there, have other sizes or records, or lie outside of its folder.

    Args:
        catalog: The catalog.
        checked: Lines whose shards needn't be looked at; the first is in any case, since the others' columns are
            compared with its own.

    Raises:
        ShardNotFoundError: Shards are missing.
        ContentMismatchError: Sizes or numbers of records are not the catalog's.
        CatalogError: Anything else.
    """
    file = catalog.path or catalog.root
    lines = {shard.line for shard in catalog if shard.line not in checked or shard is catalog.shards[0]}
    findings = ShardCatalog.validate(file, for_staging=True, lines=lines if checked else None)[1]
    for finding in findings:
        if finding.severity is Severity.WARNING:
            _log.warning("%s: %s", file, finding)
    _refuse(file, findings)


def _refuse(file: Path, findings: Sequence[Finding]) -> None:
    if not refuses(findings):
        return
    codes = {finding.code for finding in findings if finding.severity is not Severity.WARNING}
    message = f"{describe(file, findings)}; nothing was copied"
    remedy = f"`nexa-data validate {file}` lists all"
    if codes == {"missing-shard"}:
        raise ShardNotFoundError(message, remedy=remedy)
    # A shard that was cut short has the wrong size, and its footer can't be read either.
    differs = codes & _DIFFERENT_CONTENT and codes <= _DIFFERENT_CONTENT | {"unreadable-shard"}
    raise (ContentMismatchError if differs else CatalogError)(message, remedy=remedy)


def _labels(catalog: ShardCatalog, jobs: Iterable[Job]) -> dict[str, str]:
    parts: list[str] = []
    for job in jobs:
        # Without a checksum, size and time are all that tells one content from another.
        content = job.shard.checksum or (f"{job.facts[1]}@{job.facts[2]}" if job.facts else "")
        parts += [job.name, job.shard.split or "", str(job.shard.records), content]
        if job.shard.tags or job.shard.metadata:
            parts.append(json.dumps([job.shard.tags, job.shard.metadata], sort_keys=True))
    labels = {"key": digest_text(STAGED_KIND, str(FORMAT_VERSION), *parts)}
    if is_complete(catalog.root):
        meta = read_meta(catalog.root)
        labels["source_hash"] = meta.hash
        if "key" in meta.labels:
            labels["source_key"] = meta.labels["key"]
    return labels
