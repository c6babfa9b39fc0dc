"""The shards that have to be copied: each proven as it is done, all of them tried."""

from __future__ import annotations

import json
import logging
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nexa_data.errors import ContentMismatchError, NexaError, ShardNotFoundError, StagingError
from nexa_data.staging.proven import Proof

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nexa_data import _core
    from nexa_data.locks import Lock
    from nexa_data.staging.options import StagingOptions
    from nexa_data.staging.plan import Job, Plan
    from nexa_data.staging.proven import ProvenFolder, Source
    from nexa_data.staging.store import Store

__all__ = ["FAILURES_NAME", "Copying", "Failure"]

_log = logging.getLogger(__name__)

FAILURES_NAME = "staging_failures.jsonl"
_PROGRESS_S = 0.1
_SHOWN = 20

Failure = tuple["Job", Exception]


class Copying:
    """One pass over the shards that are missing.

    Args:
        plan: What is staged.
        options: How.
        record: The partial folder, in which each shard is proven.
        store: Where each proven shard is kept too, if anywhere.
        lock: What keeps others out and shows them the progress.
    """

    def __init__(
        self, plan: Plan, options: StagingOptions, record: ProvenFolder, store: Store | None, lock: Lock
    ) -> None:
        self.plan = plan
        self.options = options
        self.record = record
        self.store = store
        self.lock = lock
        self.ran_with: _core.CopyPlan | None = None
        self.proofs: dict[str, Proof] = {}
        self.failures: list[Failure] = []
        self.read_back = False
        self._sources: dict[str, Source] = {}

    def look(self, jobs: Sequence[Job]) -> list[Job]:
        """Look at the sources once more before they are copied; those that are gone have failed."""
        there = []
        for job in jobs:
            try:
                self._sources[job.name] = job.facts or self.plan.source(job)
                there.append(job)
            except ShardNotFoundError as error:
                self.failures.append((job, error))
        return there

    def sizes(self) -> list[int]:
        """Return the sizes of the shards that were looked at."""
        return [source[1] for source in self._sources.values()]

    def run(self, jobs: Sequence[Job]) -> None:
        """Copy the shards that were looked at.

        Raises:
            ArtifactError: Another process took over.
            KeyboardInterrupt: It was interrupted; what was proven stays.
        """
        if not jobs:
            return
        from nexa_data import _core

        control, options = _core.Control(), self.options
        self.lock.on_lost = control.cancel
        self.read_back = True
        try:
            with self._reporting(control, sum(self.sizes()), len(jobs)):
                self.ran_with = _core.copy_files(
                    [self._native(job) for job in jobs],
                    on_done=lambda results: self._take(jobs, results),
                    control=control,
                    root=self.plan.root,
                    engine=options.engine,
                    direct=options.direct,
                    threads=options.threads or 0,
                    block_bytes=options.block_bytes or 0,
                    max_memory=options.max_memory or 0,
                    max_bandwidth=options.max_bandwidth or 0,
                    read_back=options.read_back,
                )
        except NexaError:
            self.lock.check()  # a lease that was lost has stopped the copy, and says so better
            raise
        finally:
            self._keep(final=True)

    def _native(self, job: Job) -> tuple[str, str, int, str | None, str]:
        checksum = job.shard.checksum
        algorithm = checksum.partition(":")[0] if checksum else self.options.algorithm
        size = self._sources[job.name][1] if job.shard.bytes is None else job.shard.bytes
        return job.inside, f"{self.record.folder}/{job.name}", size, checksum, algorithm

    def _take(self, jobs: Sequence[Job], results: Sequence[tuple[int, _core.CopyReport | Exception]]) -> None:
        for index, result in results:
            job = jobs[index]
            try:
                if isinstance(result, Exception):
                    raise result
                self._prove(job, result)
            except (NexaError, OSError) as error:
                self.failures.append((job, error))
        self._keep()

    def _prove(self, job: Job, report: _core.CopyReport) -> None:
        source = self._sources[job.name]
        path = f"{self.record.folder}/{job.name}"
        if job.shard.checksum is None and report.source != source[2:]:
            # Without a checksum, that it is what it was is all that is known of it.
            Path(path).unlink(missing_ok=True)
            raise ContentMismatchError(
                f"{source[0]} changed while it was copied", remedy="run again once its writer is done"
            )
        facts = (report.bytes, report.modified_ns, report.inode)
        proof = Proof(job.name, report.digest, facts, source, report.mode, report.reason, report.retries)
        self.read_back &= report.read_back
        self.proofs[job.name] = proof
        self.record.add(proof)
        if self.store is not None:
            self.store.put(path, proof)

    def _keep(self, *, final: bool = False) -> None:
        self.record.flush(final=final)
        if self.store is not None:
            self.store.flush(final=final)

    @contextmanager
    def _reporting(self, control: _core.Control, total: int, shards: int) -> Iterator[None]:
        ended = threading.Event()

        def report() -> None:
            done = min(control.bytes, total)
            self.lock.tell(done, total, len(self.proofs), shards)
            self.options.progress(done, total)
            self.options.shard_progress(len(self.proofs), shards)

        def watch() -> None:
            while not ended.wait(_PROGRESS_S):
                report()

        report()
        thread = threading.Thread(target=watch, name="nexa-progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            report()

    def refuse(self, total: int) -> None:
        """Raise what failed, if anything did: the first few with their reasons, all of them in a file.

        Args:
            total: Number of shards of the catalog.

        Raises:
            ContentMismatchError: Each failure is one.
            ShardNotFoundError: Each failure is one.
            StagingError: Anything else.
        """
        if not self.failures:
            return
        place = self.record.folder / FAILURES_NAME
        try:
            place.write_text("".join(_line(self.plan, failure) for failure in self.failures))
            where = f"; all in {place}"
        except OSError:
            where = ""  # the disk is full: what is shown has to do
        shown = "\n".join(f"  {job.name}: {_text(error)}" for job, error in self.failures[:_SHOWN])
        more = len(self.failures) - _SHOWN
        rest = f"\n  and {more} more" if more > 0 else ""
        done = total - len(self.failures)
        raise _kind(self.failures)(
            f"{len(self.failures)} of {total} shards could not be staged (the other {done} stay for the next run{where}):"
            f"\n{shown}{rest}"
        )


def _text(error: Exception) -> str:
    return " ".join(str(error).split())


def _line(plan: Plan, failure: Failure) -> str:
    job, error = failure
    found = {
        "name": job.name,
        "source": f"{plan.root}/{job.inside}",
        "kind": type(error).__name__,
        "error": _text(error),
    }
    return json.dumps(found, ensure_ascii=False) + "\n"


def _kind(failures: Sequence[Failure]) -> Callable[[str], NexaError]:
    for kind in (ContentMismatchError, ShardNotFoundError):
        if all(isinstance(error, kind) for _, error in failures):
            return kind
    return StagingError
