"""What a staging did: the report beside the shards, which a person reads too."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from nexa_data import _core
    from nexa_data.staging.cache import Freed
    from nexa_data.staging.proven import Proof

__all__ = ["REPORT_NAME", "SHARDS_NAME", "Stopwatch", "make_report", "read_report"]

REPORT_NAME = "staging_report.json"
SHARDS_NAME = "staging_shards.jsonl"
"""A line a shard: the proof at the next run, and how each shard came to where it is."""

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Wall and processor time since it was made."""

    started: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)


def make_report(
    proofs: Iterable[Proof],
    watch: Stopwatch,
    *,
    plan: _core.CopyPlan | None,
    read_back: bool,
    store: str | None,
    filesystems: dict[str, str],
    evicted: Freed,
) -> dict[str, Any]:
    """Return the report of a staging that has just ended.

    Args:
        proofs: The shards.
        watch: Started with the staging.
        plan: What the copy ran with, None where nothing was copied.
        read_back: Whether each copy was read again from the disk.
        store: Why the store wasn't used, None if it was.
        filesystems: Names of the file systems of both sides.
        evicted: What was removed to make room.
    """
    ways: dict[str, list[Proof]] = {"copied": [], "linked": [], "resumed": []}
    for proof in proofs:
        ways[proof.reused if proof.reused in ways else "linked"].append(proof)
    counts = {
        f"{way}_{what}": value
        for way, found in ways.items()
        for what, value in (("shards", len(found)), ("bytes", sum(proof.facts[0] for proof in found)))
    }
    copied, seconds = ways["copied"], time.perf_counter() - watch.started
    return {
        "schema_version": _VERSION,
        "shards": sum(map(len, ways.values())),
        "bytes": sum(proof.facts[0] for found in ways.values() for proof in found),
        **counts,
        "reused_shards": counts["linked_shards"] + counts["resumed_shards"],
        "seconds": seconds,
        "bytes_per_second": counts["copied_bytes"] / seconds if seconds else 0.0,
        "cpu_seconds": time.process_time() - watch.cpu,
        "engine": plan and plan.engine,
        "engine_reason": plan and plan.engine_reason,
        "threads": plan and plan.threads,
        "block_bytes": plan and plan.block_bytes,
        "memory_bytes": plan and plan.memory_bytes,
        "modes": dict(Counter(proof.mode for proof in copied)),
        "reasons": dict(Counter(proof.reason for proof in copied if proof.reason)),
        "retries": sum(proof.retries for proof in copied),
        "read_back": read_back,
        "store": store or "used",
        "filesystems": filesystems,
        "evicted": evicted.as_dict(),
    }


def read_report(folder: Path) -> dict[str, Any]:
    """Return the report of a staged artifact, empty if it has none."""
    try:
        found = json.loads((folder / REPORT_NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
