"""A catalog's shards, copied and verified into an artifact on local disk."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexa_data.artifacts import (
    FORMAT_VERSION,
    ArtifactMeta,
    ArtifactWriter,
    digest_text,
    is_complete,
    read_meta,
)
from nexa_data.catalog import CATALOG_NAME, ShardCatalog, describe, is_whole
from nexa_data.errors import (
    CatalogError,
    ConfigError,
    ContentMismatchError,
    ShardNotFoundError,
    StagingError,
)
from nexa_data.findings import Severity, refuses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nexa_data import _core
    from nexa_data.catalog import ShardRecord
    from nexa_data.config import Config

__all__ = ["STAGED_KIND", "stage_catalog", "staged_folder"]

_log = logging.getLogger(__name__)

STAGED_KIND = "staged-dataset"
REPORT_NAME = "staging_report.json"
_PROOF_NAME = ".proven.jsonl"
_COMPANIONS = ("dataset_metadata.json", "dataset_summary.json")
_DIFFERENT_CONTENT = frozenset({"wrong-size", "wrong-records", "wrong-checksum"})
_GROUP_BYTES = 1 << 30
_GROUP_SHARDS = 256
_SHOWN_ERRORS = 20
# Room for the catalog, the journal and the file system's own bookkeeping.
_SPARE_BYTES = 16 * 1024 * 1024
_PROGRESS_S = 0.1


@dataclass(frozen=True, slots=True)
class _Job:
    """One shard: where it is, and its name in the artifact."""

    shard: ShardRecord
    source: Path
    name: str
    bytes: int
    modified_ns: int


def stage_catalog(
    catalog_path: Path,
    destination: Path,
    *,
    algorithm: str = "sha256",
    threads: int | None = None,
    direct: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> ArtifactMeta:
    """Copy a catalog's shards to a local folder, verified in the same pass, and publish them as an artifact.

    Args:
        catalog_path: The catalog, or the folder that holds it.
        destination: Folder that the artifact will be. Another catalog's artifact there is replaced in one step.
        algorithm: Digest for shards whose catalog line has none; sha256, blake3, xxh3 or crc32c.
        threads: Shards that are copied at once; default as for the whole native core.
        direct: Copy past the page cache where the file systems allow it; the report says where they don't.
        progress: Called now and then, from another thread, with bytes copied and bytes in all.

    Returns:
        Meta data of the staged artifact; its `labels["source_hash"]` is the hash of the artifact it was staged
        from, if the catalog belongs to one.

    Raises:
        ShardNotFoundError: The catalog or a shard isn't there.
        CatalogError: The catalog is malformed, or a name would leave the destination.
        ContentMismatchError: A shard's size or digest is not the catalog's. The bad copy is removed; what was
            copied well stays for the next run.
        StagingError: Not enough space, not writable, or a device's error.
        ArtifactError: The destination holds files of somebody else, or an artifact that wasn't staged.
    """
    _check_algorithm(algorithm)
    catalog = _checked(Path(catalog_path))
    _refuse_overlap(catalog.root, Path(destination))
    jobs = _jobs(catalog)
    labels = _labels(catalog, jobs)
    with ArtifactWriter(
        destination, kind=STAGED_KIND, inputs={"catalog": str(catalog.path)}, labels=labels
    ) as writer:
        existing = writer.existing()
        if existing is not None and is_whole(existing.path):
            return existing
        if existing is not None:
            _log.warning("%s has lost or changed shards since it was staged; staging it again", existing.uri)
        return _stage(catalog, jobs, writer, algorithm, threads, direct=direct, progress=progress)


def staged_folder(config: Config, prepared: ArtifactMeta) -> Path:
    """Return where the staged copy of `prepared` lies in the config's `cache_dir`."""
    return Path(config.data.cache_dir or "").expanduser() / f"{config.data.dataset_name}-{prepared.path.name}"


def _check_algorithm(algorithm: str) -> None:
    known = ("sha256", "blake3", "xxh3", "crc32c")
    if algorithm not in known:
        raise ConfigError(f"unknown checksum algorithm {algorithm!r}", remedy=f"known: {', '.join(known)}")


def _checked(path: Path) -> ShardCatalog:
    _, findings = ShardCatalog.validate(path, for_staging=True)
    file = path / CATALOG_NAME if path.is_dir() else path
    for finding in findings:
        if finding.severity is Severity.WARNING:
            _log.warning("%s: %s", file, finding)
    if refuses(findings):
        codes = {finding.code for finding in findings if finding.severity is not Severity.WARNING}
        message = f"{describe(file, findings)}; nothing was copied"
        remedy = f"`nexa-data validate {file}` lists all"
        if codes == {"missing-shard"}:
            raise ShardNotFoundError(message, remedy=remedy)
        # A shard that was cut short has the wrong size, and its footer can't be read either.
        differs = codes & _DIFFERENT_CONTENT and codes <= _DIFFERENT_CONTENT | {"unreadable-shard"}
        raise (ContentMismatchError if differs else CatalogError)(message, remedy=remedy)
    return ShardCatalog.load(path)


def _refuse_overlap(root: Path, destination: Path) -> None:
    source, target = root.resolve(), destination.resolve()
    if target == source or source in target.parents or target in source.parents:
        raise StagingError(
            f"destination {target} and the catalog's folder {source} overlap",
            remedy="name a folder apart from it",
        )


def _jobs(catalog: ShardCatalog) -> list[_Job]:
    from nexa_data import _core

    names = [_core.staged_name(shard.uri) for shard in catalog]
    # The shards of our own artifacts lie in `shards/` already; it isn't repeated.
    if all(name.startswith("shards/") for name in names):
        names = [name.removeprefix("shards/") for name in names]
    jobs = []
    for shard, name in zip(catalog, names, strict=True):
        # Links within the catalog's folder are followed here; those that leave it were refused by the check.
        source = shard.path(catalog.root).resolve()
        facts = source.stat()
        jobs.append(_Job(shard, source, f"shards/{name}", facts.st_size, facts.st_mtime_ns))
    return jobs


def _labels(catalog: ShardCatalog, jobs: Sequence[_Job]) -> dict[str, str]:
    parts: list[str] = []
    for job in jobs:
        # Without a checksum, size and time are all that tells one content from another.
        content = job.shard.checksum or f"{job.bytes}@{job.modified_ns}"
        parts += [job.name, job.shard.split or "", str(job.shard.records), content]
    labels = {"key": digest_text(STAGED_KIND, str(FORMAT_VERSION), *parts)}
    if is_complete(catalog.root):
        meta = read_meta(catalog.root)
        labels["source_hash"] = meta.hash
        if "key" in meta.labels:
            labels["source_key"] = meta.labels["key"]
    return labels


def _stage(
    catalog: ShardCatalog,
    jobs: Sequence[_Job],
    writer: ArtifactWriter,
    algorithm: str,
    threads: int | None,
    *,
    direct: bool,
    progress: Callable[[int, int], None] | None,
) -> ArtifactMeta:
    from nexa_data import _core

    started, cpu = time.perf_counter(), time.process_time()
    proofs = _Proofs(writer.path)
    todo = [job for job in jobs if job.name not in proofs.digests]
    _preflight(writer, sum(job.bytes for job in todo))
    for folder in {(writer.path / job.name).parent for job in todo}:
        folder.mkdir(parents=True, exist_ok=True)
    control = _core.Control()
    modes: dict[str, int] = {}
    reasons: set[str] = set()
    errors: list[Exception] = []
    with _reporting(progress, control, sum(job.bytes for job in todo)):
        def take(results: list[tuple[int, _core.CopyReport | Exception]]) -> None:
            for index, result in results:
                if isinstance(result, Exception):
                    errors.append(result)
                    continue
                modes[result.mode] = modes.get(result.mode, 0) + 1
                reasons.update([result.reason] if result.reason else [])
                proofs.add(todo[index].name, result)
            proofs.flush()

        _core.copy_files(
            [_copy_job(job, writer.path, algorithm) for job in todo],
            on_done=take,
            control=control,
            threads=threads or _core.default_threads(),
            direct=direct,
        )
    if errors:
        raise _joined(errors, done=len(jobs) - len(errors), total=len(jobs))
    report = {
        "schema_version": 1,
        "shards": len(jobs),
        "bytes": sum(job.bytes for job in jobs),
        "copied_bytes": sum(job.bytes for job in todo),
        "reused_shards": len(jobs) - len(todo),
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "modes": modes,
        "reasons": sorted(reasons),
        "read_back": False,
    }
    return _publish(catalog, jobs, writer, proofs, report)


def _publish(
    catalog: ShardCatalog,
    jobs: Sequence[_Job],
    writer: ArtifactWriter,
    proofs: _Proofs,
    report: dict[str, Any],
) -> ArtifactMeta:
    staged = []
    for job in jobs:
        (writer.path / job.name).chmod(0o444)
        checksum = job.shard.checksum or proofs.digests[job.name]
        staged.append(replace(job.shard, uri=job.name, bytes=job.bytes, checksum=checksum))
    (writer.path / CATALOG_NAME).write_bytes(ShardCatalog(writer.path, tuple(staged)).dumps())
    for name in _COMPANIONS:
        if (catalog.root / name).is_file():
            shutil.copyfile(catalog.root / name, writer.path / name)
    (writer.path / REPORT_NAME).write_text(json.dumps(report, indent=2) + "\n")
    known = {
        name: digest.removeprefix("sha256:")
        for name, digest in proofs.digests.items()
        if digest.startswith("sha256:")
    }
    return writer.publish(known)


def _copy_job(job: _Job, folder: Path, algorithm: str) -> tuple[Path, Path, int, str | None, str]:
    checksum = job.shard.checksum
    wanted = checksum.partition(":")[0] if checksum else algorithm
    return job.source, folder / job.name, job.bytes, checksum, wanted


def _groups(jobs: Sequence[_Job]) -> Iterator[list[_Job]]:
    """Cut the jobs into groups after each of which the journal is written."""
    group: list[_Job] = []
    size = 0
    for job in jobs:
        group.append(job)
        size += job.bytes
        if size >= _GROUP_BYTES or len(group) >= _GROUP_SHARDS:
            yield group
            group, size = [], 0
    if group:
        yield group


def _preflight(writer: ArtifactWriter, needed: int) -> None:
    free = shutil.disk_usage(writer.path).free
    if needed + _SPARE_BYTES > free:
        raise StagingError(
            f"{writer.destination}: {needed:,} bytes are to be copied, {free:,} are free; nothing was copied",
            remedy="free space or name another disk",
        )


def _joined(errors: Sequence[Exception], *, done: int, total: int) -> Exception:
    if len(errors) == 1:
        return errors[0]
    shown = "\n".join(f"  {error}" for error in errors[:_SHOWN_ERRORS])
    more = f"\n  and {len(errors) - _SHOWN_ERRORS} more" if len(errors) > _SHOWN_ERRORS else ""
    kind = (
        ContentMismatchError
        if all(isinstance(error, ContentMismatchError) for error in errors)
        else StagingError
    )
    return kind(
        f"{len(errors)} of {total} shards could not be staged (the other {done} stay for the next run):\n{shown}{more}"
    )


@contextmanager
def _reporting(
    progress: Callable[[int, int], None] | None, control: _core.Control, total: int
) -> Iterator[None]:
    if progress is None:
        yield
        return
    done = threading.Event()

    def report() -> None:
        while not done.wait(_PROGRESS_S):
            progress(control.bytes, total)

    thread = threading.Thread(target=report, name="nexa-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        progress(control.bytes, total)


class _Proofs:
    """The journal of shards that were copied and verified: digest, and the facts that tell whether a file is still it.

    A size alone proves nothing: a preallocated file has its final size from the start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / _PROOF_NAME
        self._pending: list[str] = []
        self.digests: dict[str, str] = {}
        if self._path.is_file():
            for line in self._path.read_text(errors="replace").splitlines():
                self._take(line)

    def _take(self, line: str) -> None:
        try:
            proof = json.loads(line)
            facts = os.lstat(self._folder / proof["name"])
        except (ValueError, KeyError, TypeError, OSError):
            return  # a torn last line, or a file that is gone: it will be copied again
        if [facts.st_size, facts.st_mtime_ns, facts.st_ino] == proof["facts"]:
            self.digests[proof["name"]] = proof["digest"]

    def add(self, name: str, report: _core.CopyReport) -> None:
        self.digests[name] = report.digest
        facts = [report.bytes, report.modified_ns, report.inode]
        self._pending.append(json.dumps({"name": name, "digest": report.digest, "facts": facts}) + "\n")

    def flush(self) -> None:
        if not self._pending:
            return
        with self._path.open("a") as file:
            file.writelines(self._pending)
            file.flush()
            os.fsync(file.fileno())
        self._pending.clear()
