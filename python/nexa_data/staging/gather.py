"""What needn't be copied: shards that an interrupted run left, and those that lie proven elsewhere on this disk."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nexa_data.staging.proven import facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nexa_data.staging.plan import Job, Plan
    from nexa_data.staging.proven import Proof, ProvenFolder
    from nexa_data.staging.store import Store

__all__ = ["gather"]


def gather(
    plan: Plan, record: ProvenFolder, store: Store | None, own: Mapping[str, Proof], algorithm: str
) -> tuple[dict[str, Proof], list[Job]]:
    """Take what is there already.

    Args:
        plan: What is to be staged.
        record: The partial folder; what isn't proven in it is removed.
        store: The store, None if it isn't to be used.
        own: Proven shards of the artifact that is to be replaced, by name.
        algorithm: Digest of shards to which the catalog gives none.

    Returns:
        The shards that are there, by name, and those that are to be copied.
    """
    found: dict[str, Proof] = {}
    for job in plan.jobs:
        proof = record.get(job.name)
        if proof is not None and _is_of(proof, job, algorithm):
            found[job.name] = replace(proof, reused="resumed")
            if store is not None:
                store.put(f"{record.folder}/{job.name}", proof)
    _sweep(record.folder / "shards", {f"{record.folder}/{name}" for name in found})
    for folder in {f"{record.folder}/{job.name}".rpartition("/")[0] for job in plan.jobs}:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103 (by text, as the jobs are)
    rest = [job for job in plan.jobs if job.name not in found]
    digests = {job.name: job.shard.checksum for job in rest}
    if store is not None:
        for job in rest:
            digests[job.name] = job.shard.checksum or store.digest_of(job.facts, algorithm)
        store.prove_again({digest for digest in digests.values() if digest})
    todo = []
    for job in rest:
        proof = _linked(job, digests[job.name], record, store, own)
        if proof is None:
            todo.append(job)
        else:
            found[job.name] = proof
            record.add(proof)
    record.flush()
    return found, todo


def _is_of(proof: Proof, job: Job, algorithm: str) -> bool:
    if job.shard.checksum is not None:
        return proof.digest == job.shard.checksum
    return proof.source == job.facts and proof.digest.startswith(f"{algorithm}:")


def _linked(
    job: Job, digest: str | None, record: ProvenFolder, store: Store | None, own: Mapping[str, Proof]
) -> Proof | None:
    target = f"{record.folder}/{job.name}"
    mine = own.get(job.name)
    if mine is not None:
        try:
            os.link(f"{record.folder.parent}/{_destination(record.folder)}/{job.name}", target)
        except OSError:
            mine = None
        else:
            if facts_of(target, record.trusted) == mine.facts:
                if store is not None:
                    store.put(target, mine)
                return replace(mine, reused="artifact")
            Path(target).unlink()
    if store is None or digest is None:
        return None
    proof = store.link(digest, target)
    return (
        None
        if proof is None
        else replace(proof, name=job.name, source=job.facts or proof.source, reused="store")
    )


def _destination(partial: Path) -> str:
    return partial.name.removeprefix(".").removesuffix(".partial")


def _sweep(folder: Path, keep: set[str]) -> None:
    """Remove what isn't proven: it may be half a shard, or of a name that the catalog doesn't know."""
    for base, _, names in os.walk(folder):
        for name in names:
            if f"{base}/{name}" not in keep:
                os.unlink(f"{base}/{name}")  # noqa: PTH108 (by text, as the jobs are)
