"""What needn't be copied: shards that an interrupted run left, and those that lie proven elsewhere on this disk."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nexa_data.staging.proven import facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nexa_data.staging.plan import Job, Plan
    from nexa_data.staging.proven import Proof, ProvenFolder
    from nexa_data.staging.store import Store

__all__ = ["Own", "gather"]


@dataclass(frozen=True, slots=True)
class Own:
    """An artifact of the same catalog that has lost or changed something.

    Args:
        folder: Its folder.
        proofs: Those of its shards that are proven, by name.
    """

    folder: Path
    proofs: Mapping[str, Proof]


def gather(
    plan: Plan, record: ProvenFolder, store: Store | None, own: Own, algorithm: str
) -> tuple[dict[str, Proof], list[Job]]:
    """Take what is there already.

    Args:
        plan: What is to be staged.
        record: The partial folder; what isn't proven in it is removed.
        store: The store, None if it isn't to be used.
        own: The artifact that is to be replaced.
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
    job: Job, digest: str | None, record: ProvenFolder, store: Store | None, own: Own
) -> Proof | None:
    target = f"{record.folder}/{job.name}"
    mine = own.proofs.get(job.name)
    if mine is not None and _link(f"{own.folder}/{job.name}", target, mine, record):
        if store is not None:
            store.put(target, mine)
        return replace(mine, reused="artifact")
    proof = store.link(digest, target) if store is not None and digest is not None else None
    return proof and proof.at(job.name, job.facts or proof.source, "store")


def _link(path: str, target: str, proof: Proof, record: ProvenFolder) -> bool:
    try:
        os.link(path, target)
    except OSError:
        return False  # it is copied
    if facts_of(target, record.trusted) == proof.facts:
        return True
    Path(target).unlink()
    return False


def _sweep(folder: Path, keep: set[str]) -> None:
    """Remove what isn't proven: it may be half a shard, or of a name that the catalog doesn't know."""
    for base, _, names in os.walk(folder):
        for name in names:
            if f"{base}/{name}" not in keep:
                os.unlink(f"{base}/{name}")  # noqa: PTH108 (by text, as the jobs are)
