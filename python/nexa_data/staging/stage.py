"""A catalog's shards, copied and verified into an artifact on local disk."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nexa_data.artifacts import ArtifactWriter, payload_digest, tidy, write_atomic
from nexa_data.catalog import CATALOG_NAME, ShardCatalog
from nexa_data.errors import ArtifactError
from nexa_data.staging.cache import Freed
from nexa_data.staging.copying import FAILURES_NAME, Copying
from nexa_data.staging.evict import make_room
from nexa_data.staging.gather import Own, gather
from nexa_data.staging.options import StagingOptions
from nexa_data.staging.plan import STAGED_KIND, check_sources, plan_staging
from nexa_data.staging.preflight import refuse_overlap, refuse_too_little_space
from nexa_data.staging.proven import ProvenFolder
from nexa_data.staging.report import REPORT_NAME, SHARDS_NAME, Stopwatch, make_report
from nexa_data.staging.staged import checked_before, find_staged, mend_staged
from nexa_data.staging.store import open_store
from nexa_data.staging.trust import refuse_open_ancestors, trusted_users

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from nexa_data.artifacts import ArtifactMeta
    from nexa_data.config import Config
    from nexa_data.staging.plan import Plan
    from nexa_data.staging.proven import Proof

__all__ = ["stage_catalog", "stage_catalog_to_nvme", "staged_folder"]

_log = logging.getLogger(__name__)

_COMPANIONS = ("dataset_metadata.json", "dataset_summary.json", "quality_report.json")


def stage_catalog_to_nvme(  # noqa: PLR0913 (each is a knob of its own, by keyword)
    catalog_path: Path,
    destination: Path,
    *,
    algorithm: str = "sha256",
    threads: int | None = None,
    direct: bool = True,
    engine: str = "auto",
    block_bytes: int | str | None = None,
    max_memory: int | str | None = None,
    max_bandwidth: int | str | None = None,
    read_back: bool = False,
    reuse: bool = True,
    evict: str | None = None,
    max_bytes: int | str | None = None,
    trusted_uids: Collection[int] = (),
    progress: Callable[[int, int], object] | None = None,
    shard_progress: Callable[[int, int], object] | None = None,
) -> ArtifactMeta:
    """Copy a catalog's shards to a local folder, verified in the same pass, and publish them as an artifact.

    Run twice it copies nothing, and neither reads the sources nor hashes what its journal proves. Run by many processes
    at once, one copies while the others wait and reuse. Interrupted, it goes on where it was. A shard that was staged before,
    of whichever catalog, is linked from the store `.nexa-store` beside the destination instead of copied.

    Args:
        catalog_path: The catalog, or the folder that holds it.
        destination: Folder that the artifact will be. Another staged catalog there is replaced in one step.
        algorithm: Digest for shards whose catalog line has none; sha256, blake3, xxh3 or crc32c.
        threads: Threads that move blocks (default: chosen from disk and CPUs).
        direct: Copy past the page cache where the file systems allow it; the report says where they don't.
        engine: `auto`, `io_uring` or `threads`.
        block_bytes: Bytes per read and write (default: chosen by the engine); sizes may be texts such as `4MiB`.
        max_memory: Bound of the buffers' bytes.
        max_bandwidth: Bound of the bytes copied per second.
        read_back: Read each copy again from the disk and compare; costs a second read.
        reuse: Look into the store and add to it. Without, only an interrupted run of the same catalog is resumed.
        evict: `lru` removes older copies where `max_bytes` asks for it.
        max_bytes: Bound of all staged artifacts and the store beside the destination, with what is about to come.
        trusted_uids: Users beside this process's whose files and folders count as proven.
        progress: Called now and then, from another thread, with bytes copied and bytes to copy; while another process
            stages the same, with its figures.
        shard_progress: Called beside `progress` with shards copied and shards to copy.

    Returns:
        Meta data of the staged artifact; its `labels["source_hash"]` is the hash of the artifact it was staged
        from, if the catalog belongs to one.

    Raises:
        ConfigError: An argument is impossible.
        ShardNotFoundError: The catalog or a shard isn't there.
        CatalogError: The catalog is malformed, or a name would leave the destination.
        ContentMismatchError: A shard's size or digest is not the catalog's. The bad copy is removed; what was
            copied well stays for the next run.
        StagingError: Not enough space or inodes, the bound can't be kept, a folder that others can redirect (as root),
            or a device's error.
        ArtifactError: The destination can't be written, or holds files of somebody else or an artifact that wasn't
            staged; or another process took over, as this one seemed dead.
    """
    options = StagingOptions.checked(
        algorithm=algorithm,
        threads=threads,
        direct=direct,
        engine=engine,
        block_bytes=block_bytes,
        max_memory=max_memory,
        max_bandwidth=max_bandwidth,
        read_back=read_back,
        reuse=reuse,
        evict=evict,
        max_bytes=max_bytes,
        trusted_uids=trusted_uids,
        progress=progress,
        shard_progress=shard_progress,
    )
    return _stage(Path(catalog_path), Path(os.path.abspath(destination)), options)  # noqa: PTH100 (links stay)


stage_catalog = stage_catalog_to_nvme
"""The same, by the name that is used inside."""


def staged_folder(config: Config, prepared: ArtifactMeta) -> Path:
    """Return where the staged copy of `prepared` lies in the config's `cache_dir`."""
    return Path(config.data.cache_dir or "").expanduser() / f"{config.data.dataset_name}-{prepared.path.name}"


def _stage(catalog_path: Path, destination: Path, options: StagingOptions) -> ArtifactMeta:
    watch = Stopwatch()
    plan = plan_staging(catalog_path)
    trusted = trusted_users(options.trusted_uids)
    refuse_overlap(plan.root, destination)
    refuse_open_ancestors(destination, trusted)
    # Without the lock, so that many may ask at once; whoever just replaces it is asked once the lock is had.
    with contextlib.suppress(OSError, ArtifactError):
        found = find_staged(destination, plan, trusted)
        if found is not None:
            tidy(destination)
            return found

    def listen(done: int, total: int, shards: int, of_shards: int) -> None:
        options.progress(done, total)
        options.shard_progress(shards, of_shards)

    inputs = {"catalog": str(plan.catalog.path)}
    with ArtifactWriter(
        destination, kind=STAGED_KIND, inputs=inputs, labels=plan.labels, listen=listen
    ) as writer:
        # Whoever held the lock may have made it; a record that was lost is made up for.
        found = find_staged(destination, plan, trusted)
        own: dict[str, Proof] = {}
        if found is None:
            found, own = mend_staged(destination, plan, trusted)
        if found is not None:
            return found
        if own:
            _log.warning("%s has lost or changed shards since it was staged; staging it again", destination)
        check_sources(plan.catalog, checked=checked_before(destination, plan))
        return _Staging(plan, writer, options, trusted, watch).run(Own(destination, own))


class _Staging:
    """One run that has the destination for itself."""

    def __init__(
        self,
        plan: Plan,
        writer: ArtifactWriter,
        options: StagingOptions,
        trusted: Collection[int],
        watch: Stopwatch,
    ) -> None:
        self._plan = plan
        self._writer = writer
        self._options = options
        self._watch = watch
        parent = writer.destination.parent
        self._store, self._no_store = open_store(parent, trusted) if options.reuse else (None, "not wanted")
        self._record = ProvenFolder(writer.path, SHARDS_NAME, trusted)
        self._copying = Copying(plan, options, self._record, self._store, writer.lock)
        self._evicted = Freed()

    def run(self, own: Own) -> ArtifactMeta:
        """Gather, copy, publish.

        Args:
            own: The artifact that is replaced, if it is of the same catalog.
        """
        (self._writer.path / FAILURES_NAME).unlink(missing_ok=True)
        try:
            found, todo = gather(self._plan, self._record, self._store, own, self._options.algorithm)
            todo = self._copying.look(todo)
            self._make_room(found)
            folders = len({job.name.rpartition("/")[0] for job in todo})
            refuse_too_little_space(self._writer.path, self._copying.sizes(), folders)
            self._copying.run(todo)
        finally:
            if self._store is not None:
                self._store.flush(final=True)
        if self._store is not None:
            self._store.compact()
        self._copying.refuse(len(self._plan.jobs))
        return self._publish(found | self._copying.proofs)

    def _make_room(self, found: Mapping[str, Proof]) -> None:
        options = self._options
        if options.max_bytes is None:
            return
        coming = sum(self._copying.sizes())
        if self._store is None:  # else what is resumed counts among the store's
            coming += sum(proof.facts[0] for proof in found.values() if proof.reused == "resumed")
        destination = self._writer.destination
        self._evicted = make_room(
            destination.parent,
            options.max_bytes,
            coming=coming,
            keep=destination,
            may_evict=options.evict is not None,
        )

    def _publish(self, found: Mapping[str, Proof]) -> ArtifactMeta:
        plan, folder = self._plan, self._writer.path
        proofs = [found[job.name] for job in plan.jobs]
        staged = tuple(
            replace(job.shard, uri=job.name, bytes=proof.facts[0], checksum=proof.digest)
            for job, proof in zip(plan.jobs, proofs, strict=True)
        )
        write_atomic(folder / CATALOG_NAME, ShardCatalog(folder, staged).dumps())
        for name in _COMPANIONS:
            if (plan.catalog.root / name).is_file():
                shutil.copyfile(plan.catalog.root / name, folder / name)
        self._record.replace(proofs)
        self._write_report(proofs)
        digests = {proof.name: payload_digest(proof.digest) for proof in proofs}
        return self._writer.publish(digests, durable=digests.keys())

    def _write_report(self, proofs: list[Proof]) -> None:
        from nexa_data import _core

        folder, store = self._writer.path, self._store
        report = make_report(
            proofs,
            self._watch,
            plan=self._copying.ran_with,
            read_back=self._copying.read_back,
            store=self._no_store if store is None else store.disabled,
            filesystems={
                "source": _core.filesystem(self._plan.root)[0],
                "destination": _core.filesystem(folder)[0],
            },
            evicted=self._evicted,
        )
        (folder / REPORT_NAME).write_text(json.dumps(report, indent=2) + "\n")
