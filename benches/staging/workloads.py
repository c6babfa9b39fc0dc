"""The rounds: who runs after whom, on which shards."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.staging import corpus as corpora
from benches.staging import ours, peers
from benches.staging.ceiling import BLOCK_BYTES as CEILING_BLOCK_BYTES
from benches.staging.corpus import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benches.staging.ceiling import Ceiling
    from benches.staging.corpus import Corpus
    from benches.staging.measure import Bench, Run
    from benches.staging.peers import Peer

N_CHANGED = 10
WARM_MIB = 64


@dataclass
class Round:
    """One round of a copy workload.

    Args:
        ceilings: fio's runs in order; that of `n` lies before ours of `n`, that of `n + 1` after it.
        ours: Digest → run, in the order of this round.
        peers: Peer's name → run.
        bare: Digest → CPU seconds of the bare digest over the same number of bytes.
    """

    ceilings: list[Run] = field(default_factory=list)
    ours: dict[str, Run] = field(default_factory=dict)
    peers: dict[str, Run] = field(default_factory=dict)
    bare: dict[str, dict[str, float]] = field(default_factory=dict)

    def share_of_ceiling(self, algorithm: str) -> float:
        """Our rate over the mean of the ceilings right before and after it."""
        number = list(self.ours).index(algorithm)
        before, after = self.ceilings[number : number + 2]
        return self.ours[algorithm].rate / ((before.rate + after.rate) / 2)

    def peer_share_of_ceiling(self, peer: str) -> float:
        """A peer's rate over the mean of the round's ceilings."""
        return self.peers[peer].rate * len(self.ceilings) / sum(run.rate for run in self.ceilings)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "ceilings": [run.as_dict() for run in self.ceilings],
            "ours": {name: run.as_dict() for name, run in self.ours.items()},
            "peers": {name: run.as_dict() for name, run in self.peers.items()},
            "bare_digest_cpu_seconds": self.bare,
        }


@dataclass
class Copied:
    """A copy workload's rounds."""

    letter: str
    n_files: int
    file_mib: int
    bytes: int
    algorithms: tuple[str, ...]
    peers: tuple[Peer, ...]
    rounds: list[Round] = field(default_factory=list)


@dataclass
class Restaged:
    """Workload C's rounds: staging what is staged, and what has changed a little."""

    n_files: int
    n_changed: int
    file_mib: int
    again: list[Run] = field(default_factory=list)
    again_warm: list[Run] = field(default_factory=list)
    changed: list[Run] = field(default_factory=list)
    changed_only: list[Run] = field(default_factory=list)


class WarmFile:
    """A file of random bytes in memory, for the bare digests; removed at the end."""

    def __init__(self, bench: Bench) -> None:
        memory = Path("/dev/shm")  # noqa: S108
        in_memory = os.access(memory, os.W_OK)
        if not in_memory:
            bench.note("there is no /dev/shm: the bare digest reads a warm file of the measured disk")
        self.path = (memory if in_memory else bench.folder) / f"nexa-data-bench-{os.getpid()}"
        self.path.write_bytes(np.random.Generator(np.random.SFC64(0)).bytes(WARM_MIB * MIB))

    def close(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)


def copy(
    bench: Bench,
    ceiling: Ceiling,
    work: Copied,
    corpus: Corpus,
    sources: Sequence[Path],
    warm: WarmFile,
    n_rounds: int,
) -> None:
    """Run all rounds of a copy workload.

    Args:
        bench: Where it runs.
        ceiling: fio.
        work: Takes the rounds.
        corpus: What is copied.
        sources: What fio reads: the shards themselves if they are large, else one file of as many bytes.
        warm: For the bare digests.
        n_rounds: Rounds.
    """
    file_bytes = sources[0].stat().st_size // CEILING_BLOCK_BYTES * CEILING_BLOCK_BYTES
    for number in range(n_rounds):
        this = Round()
        work.rounds.append(this)
        for algorithm in work.algorithms:
            child = bench.python("child_digest.py", warm.path, algorithm, str(corpus.bytes))
            this.bare[algorithm] = child.inside()
        place = f"{work.letter} {number + 1}/{n_rounds}"
        # Each round begins with another digest, so that none always has the same neighbours.
        turn = number % len(work.algorithms)
        this.ceilings.append(_told(place, ceiling.run(sources, len(sources), file_bytes)))
        for algorithm in (*work.algorithms[turn:], *work.algorithms[:turn]):
            run = ours.run(bench, corpus, algorithm, prove=number == 0)
            this.ours[algorithm] = _told(place, run)
            this.ceilings.append(_told(place, ceiling.run(sources, len(sources), file_bytes)))
        for peer in work.peers:
            try:
                this.peers[peer.name] = _told(place, peers.run(bench, peer, corpus))
            except RuntimeError as error:
                print(error, flush=True)
                bench.note(f"left out: {peer.name} failed")
                work.peers = tuple(other for other in work.peers if other is not peer)


def one_file(corpus: Corpus, path: Path) -> Path:
    """Write the corpus's bytes as one durable file, for fio to read in large blocks."""
    with path.open("wb") as out:
        for source in corpus.files:
            with source.open("rb") as file:
                shutil.copyfileobj(file, out, MIB)
        out.flush()
        os.fsync(out.fileno())
    return path


def restage(bench: Bench, work: Restaged, corpus: Corpus, n_rounds: int, *, plain: bool) -> None:
    """Run all rounds of workload C; each has a second version of its own, which nothing has staged before."""
    n_bytes = work.n_changed * (corpus.bytes // work.n_files)
    kept = bench.fresh_folder()
    try:
        bench.make_cold(corpus.files)
        ours.stage(bench, corpus.catalog("sha256"), kept, "sha256", corpus.bytes)
        for number in range(n_rounds):
            place = f"C {number + 1}/{n_rounds}"
            bench.make_cold(corpus.files)
            run = ours.stage(bench, corpus.catalog("sha256"), kept, "sha256", corpus.bytes)
            run.contestant = "staged already, source cold"
            work.again.append(_told(place, run))

            run = ours.stage(bench, corpus.catalog("sha256"), kept, "sha256", corpus.bytes)
            run.contestant = "staged already, once more"
            work.again_warm.append(_told(place, run))

            folder = bench.folder / f"second-{number}"
            second = corpora.changed(
                corpus, folder, work.n_changed, work.file_mib, plain=plain, seed=3 + number
            )
            fresh = bench.fresh_folder()
            try:
                bench.make_cold(second.files)
                run = ours.stage(bench, second.catalog("sha256"), kept, "sha256", corpus.bytes)
                run.contestant = f"{work.n_changed} shards changed"
                work.changed.append(_told(place, run))

                bench.make_cold(second.files)
                run = ours.stage(bench, folder / "changed-only.jsonl", fresh, "sha256", n_bytes)
                run.contestant = f"those {work.n_changed} shards alone"
                work.changed_only.append(_told(place, run))
                # Back to the first version, for the next round.
                ours.stage(bench, corpus.catalog("sha256"), kept, "sha256", corpus.bytes)
            finally:
                bench.free(fresh)  # not the second version: most of it is links to the first
    finally:
        bench.free(kept)


def _told(place: str, run: Run) -> Run:
    print(
        f"{place}  {run.contestant:56} {run.seconds:8.3f} s  {run.rate / 1e6:7.0f} MB/s  CPU {run.cpu_seconds:7.3f} s",
        flush=True,
    )
    return run
