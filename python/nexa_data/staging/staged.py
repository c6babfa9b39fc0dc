"""Whether what lies at a destination is what is to be staged, to the last shard."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from nexa_data.artifacts import is_complete, payload_digest, payload_hash, read_meta
from nexa_data.catalog import ShardCatalog
from nexa_data.errors import NexaError
from nexa_data.staging.hashing import are
from nexa_data.staging.plan import STAGED_KIND
from nexa_data.staging.proven import Proof, ProvenFolder, facts_of
from nexa_data.staging.report import SHARDS_NAME

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from nexa_data.artifacts import ArtifactMeta
    from nexa_data.catalog import ShardRecord
    from nexa_data.staging.plan import Plan

__all__ = ["checked_before", "find_staged", "mend_staged"]

_log = logging.getLogger(__name__)


def find_staged(folder: Path, plan: Plan, trusted: Collection[int]) -> ArtifactMeta | None:
    """Return the artifact in `folder` if it is the plan's and each of its shards is proven by its record.

    Args:
        folder: The destination.
        plan: What is to be staged.
        trusted: Users whose files count.

    Raises:
        ArtifactError: The artifact's meta data is damaged.
    """
    meta = _same(folder, plan)
    if meta is None:
        return None
    record = ProvenFolder(folder, SHARDS_NAME, trusted)
    proofs: list[Proof] = []
    for job in plan.jobs:
        proof = record.get(job.name)
        if proof is None or job.shard.checksum not in {None, proof.digest}:
            return None
        proofs.append(proof)
    return meta if _has_hash(meta, {proof.name: proof.digest for proof in proofs}) else None


def mend_staged(
    folder: Path, plan: Plan, trusted: Collection[int]
) -> tuple[ArtifactMeta | None, dict[str, Proof]]:
    """Prove an artifact anew whose record is missing or differs: by hashing the shards that it doesn't prove.

    Returns:
        The artifact if all of it is what the plan wants; and the shards that are proven, by name.

    Raises:
        ArtifactError: The artifact's meta data is damaged.
    """
    meta = _same(folder, plan)
    if meta is None:
        return None, {}
    _log.info("%s: hashing what its record doesn't prove", folder)
    record = ProvenFolder(folder, SHARDS_NAME, trusted)
    own = _own_digests(folder)
    proven: dict[str, Proof] = {}
    doubtful: list[Proof] = []
    for job in plan.jobs:
        proof = record.get(job.name)
        digest = job.shard.checksum or own.get(job.name)
        if proof is not None and digest in {None, proof.digest}:
            proven[job.name] = proof
        elif digest is not None:
            facts = facts_of(f"{folder}/{job.name}", None)
            if facts is not None:
                doubtful.append(Proof(job.name, digest, facts, job.facts, reused="resumed"))
    good = are((f"{folder}/{proof.name}", proof.digest) for proof in doubtful)
    for proof, is_good in zip(doubtful, good, strict=True):
        if is_good and facts_of(f"{folder}/{proof.name}", None) == proof.facts:
            proven[proof.name] = proof
        else:
            _log.warning("%s/%s has changed since it was staged", folder, proof.name)
    digests = {name: proof.digest for name, proof in proven.items()}
    if len(proven) < len(plan.jobs) or not _has_hash(meta, digests):
        return None, proven
    with contextlib.suppress(OSError):  # somebody else's: it is hashed again the next time
        record.replace([proven[job.name] for job in plan.jobs])
    return meta, proven


def checked_before(folder: Path, plan: Plan) -> set[int]:
    """Return the lines of the catalog that say of their shards what another catalog, staged to `folder`, said too.

    Such a shard was looked at then, and its checksum says that it is the same; its source needn't even be there.
    """
    if not is_complete(folder):
        return set()
    try:
        before = {shard.uri: shard for shard in ShardCatalog.load(folder)}
    except NexaError:
        return set()
    return {
        job.shard.line
        for job in plan.jobs
        if job.shard.checksum is not None and _says_as_much(before.get(job.name), job.shard)
    }


def _says_as_much(before: ShardRecord | None, shard: ShardRecord) -> bool:
    return (
        before is not None
        and before.checksum == shard.checksum
        and shard.bytes in {None, before.bytes}
        and shard.records in {None, before.records}
    )


def _same(folder: Path, plan: Plan) -> ArtifactMeta | None:
    if not is_complete(folder):
        return None
    meta = read_meta(folder)
    same = meta.kind == STAGED_KIND and meta.labels.get("key") == plan.labels["key"]
    return meta if same else None


def _has_hash(meta: ArtifactMeta, digests: Mapping[str, str]) -> bool:
    """Say whether the whole payload, with its catalog and no file more or less, is what was published."""
    known = {name: payload_digest(digest) for name, digest in digests.items()}
    return payload_hash(meta.path, known)[0] == meta.hash


def _own_digests(folder: Path) -> dict[str, str]:
    """Return the digests that the artifact's own catalog states, for shards to which the source's gives none."""
    try:
        return {shard.uri: shard.checksum for shard in ShardCatalog.load(folder) if shard.checksum}
    except NexaError:
        return {}
