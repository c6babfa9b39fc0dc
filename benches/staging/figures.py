"""From runs to figures: medians with their spread, and whether a target is met and by how much."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benches.staging import peers
from benches.staging.corpus import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benches.staging.workloads import Copied, Restaged

GIB = 1 << 30
SPARE_CPU_S_PER_GIB = 0.12
"""CPU that a verified copy may take over the bare digest."""


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of some rounds."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Sum up some values."""
        listed = list(values)
        return cls(statistics.median(listed), min(listed), max(listed))

    def text(self, digits: int = 2, unit: str = "") -> str:
        """Return `median (least–greatest)`, or the only value."""
        median = f"{self.median:,.{digits}f}{unit}"
        if self.least == self.greatest:
            return median
        return f"{median} ({self.least:,.{digits}f}–{self.greatest:,.{digits}f})"


@dataclass(frozen=True)
class Verdict:
    """A figure beside its target.

    Args:
        what: What is judged.
        value: What was measured.
        target: What it should be.
        unit: Of both.
        at_least: Whether more is better.
        digits: Digits after the point.
        remark: What else a reader should know.
    """

    what: str
    value: Spread
    target: float
    unit: str
    at_least: bool
    digits: int = 2
    remark: str = ""

    @property
    def met(self) -> bool:
        """Whether the median keeps the target."""
        return self.value.median >= self.target if self.at_least else self.value.median <= self.target

    def row(self) -> list[str]:
        """Return the cells of a table's row."""
        sign = "≥" if self.at_least else "≤"
        margin = self.value.median - self.target if self.at_least else self.target - self.value.median
        return [
            self.what + (f" ({self.remark})" if self.remark else ""),
            self.value.text(self.digits, self.unit),
            f"{sign} {self.target:.{self.digits}f}{self.unit}",
            f"{'met' if self.met else 'MISSED'}, {margin:+.{self.digits}f}",
        ]


def copied(work: Copied) -> list[Verdict]:
    """Judge a copy workload."""
    large = work.letter == "A"
    verdicts = []
    for algorithm in work.algorithms:
        share = Spread.of(this.share_of_ceiling(algorithm) for this in work.rounds)
        verdicts.append(Verdict(f"{algorithm}: rate", share, 0.97 if large else 0.95, " × ceiling", True))
        if large:
            verdicts += _thrift(work, algorithm)
    return verdicts + _beside_peers(work)


def _thrift(work: Copied, algorithm: str) -> list[Verdict]:
    runs = [this.ours[algorithm] for this in work.rounds]
    gib = work.bytes / GIB
    over = Spread.of(
        (this.ours[algorithm].cpu_seconds - in_memory(this.bare[algorithm])) / gib for this in work.rounds
    )
    lenient = Spread.of(
        (this.ours[algorithm].cpu_seconds - this.bare[algorithm]["with_reading"]) / gib
        for this in work.rounds
    )
    remark = f"over the digest and a warm read: {lenient.median:.3f}"
    cached = Spread.of(100 * (run.cached_bytes or 0) / run.bytes for run in runs)
    peak = Spread.of(run.facts["peak_bytes"] / MIB for run in runs)
    return [
        Verdict(
            f"{algorithm}: CPU over the bare digest",
            over,
            SPARE_CPU_S_PER_GIB,
            " s/GiB",
            False,
            3,
            remark,
        ),
        Verdict(f"{algorithm}: growth of the page cache", cached, 1, " % of the bytes", False),
        Verdict(f"{algorithm}: peak memory above the import", peak, 64, " MiB", False, 0),
    ]


def in_memory(bare: dict[str, float]) -> float:
    """Return the CPU of the digest alone: over a warm file, less what reading that file costs."""
    return bare["with_reading"] - bare["reading"]


def _beside_peers(work: Copied) -> list[Verdict]:
    verified = [peer for peer in work.peers if peer.guarantee != peers.NOTHING]
    verdicts = []
    if verified:
        fastest = min(verified, key=lambda peer: faster_than(work, peer).median)
        verdicts.append(
            Verdict(
                "speed against the verified peer that comes closest",
                faster_than(work, fastest),
                1.1,
                " ×",
                True,
                2,
                fastest.name,
            )
        )
    if work.letter == "A":
        for peer in verified:
            if peer.family == peers.CLASSIC:
                verdicts.append(Verdict(f"speed against {peer.name}", faster_than(work, peer), 2, " ×", True))
                verdicts.append(
                    Verdict(f"CPU against {peer.name}", thriftier_than(work, peer), 6, " × less", True)
                )
            elif peer.family == peers.THREADS:
                verdicts.append(
                    Verdict(f"CPU against {peer.name}", thriftier_than(work, peer), 3, " × less", True)
                )
        return verdicts
    for peer in work.peers:
        if peer.family == peers.XARGS_XXH3 and "xxh3" in work.algorithms:
            share = Spread.of(1 / value for value in _thrift_ratios(work, peer, "xxh3"))
            verdicts.append(Verdict(f"CPU against {peer.name}", share, 0.6, " × its", False))
        if peer.guarantee == peers.NOTHING:
            for algorithm in work.algorithms:
                ratio = Spread.of(_speed_ratios(work, peer, algorithm))
                what = f"{algorithm}: speed against unverified {peer.name}"
                verdicts.append(Verdict(what, ratio, 0.9, " ×", True))
    return verdicts


def ours_for(work: Copied, peer: peers.Peer) -> str:
    """Return which of our digests a peer is compared with: its own, else the first that ours was run with."""
    return peer.digest if peer.digest in work.algorithms else work.algorithms[0]


def faster_than(work: Copied, peer: peers.Peer) -> Spread:
    """How many times faster ours is than a peer, round by round."""
    return Spread.of(_speed_ratios(work, peer, ours_for(work, peer)))


def thriftier_than(work: Copied, peer: peers.Peer) -> Spread:
    """How many times less CPU ours takes than a peer, round by round."""
    return Spread.of(_thrift_ratios(work, peer, ours_for(work, peer)))


def _speed_ratios(work: Copied, peer: peers.Peer, algorithm: str) -> list[float]:
    return [this.ours[algorithm].rate / this.peers[peer.name].rate for this in work.rounds]


def _thrift_ratios(work: Copied, peer: peers.Peer, algorithm: str) -> list[float]:
    return [this.peers[peer.name].cpu_seconds / this.ours[algorithm].cpu_seconds for this in work.rounds]


def restaged(work: Restaged) -> list[Verdict]:
    """Judge workload C."""
    return [
        Verdict(
            f"staging what is {runs[0].contestant}",
            Spread.of(run.seconds for run in runs),
            0.2,
            " s",
            False,
            3,
        )
        for runs in (work.again, work.again_warm)
    ]
