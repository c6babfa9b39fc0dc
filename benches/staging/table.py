"""The Markdown that people read: what was measured, ours, the peers, and every target beside its figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches.staging import figures, peers, workloads
from benches.staging.corpus import MIB
from benches.staging.figures import Spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benches.staging.measure import Run
    from benches.staging.workloads import Copied, Restaged

_MB = 1e6


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def machine(facts: dict[str, str], notes: Sequence[str]) -> str:
    """Say on what it was measured, and what a reader must know."""
    lines = "".join(f"- {name}: {value}\n" for name, value in facts.items())
    said = "".join(f"- note: {note}\n" for note in notes)
    return f"# Staging beside the disk's ceiling and the peers\n\n{lines}{said}"


def copied(work: Copied) -> str:
    """Return a copy workload's tables."""
    title = f"{work.n_files:,} × {work.file_mib} MiB ({work.bytes / figures.GIB:.2f} GiB), rounds: {len(work.rounds)}"
    return (
        f"\n## {work.letter}. {title}\n\nMedian (least–greatest) of the rounds; source cold, destination durable.\n\n"
        f"{_ours(work)}\n{_peers(work)}\n{_verdicts(figures.copied(work))}"
    )


def _ours(work: Copied) -> str:
    ceilings = [run for this in work.rounds for run in this.ceilings]
    rows = [
        ["fio's direct copy: the ceiling", _wall(ceilings), _rate(ceilings), "1", _cpu(ceilings), "", "", ""]
    ]
    for algorithm in work.algorithms:
        runs = [this.ours[algorithm] for this in work.rounds]
        share = Spread.of(this.share_of_ceiling(algorithm) for this in work.rounds)
        bare = Spread.of(figures.in_memory(this.bare[algorithm]) for this in work.rounds)
        peak = Spread.of(run.facts["peak_bytes"] / MIB for run in runs)
        own = [share.text(), _cpu(runs), bare.text(), _cached(runs), f"{peak.median:.0f} MiB"]
        rows.append([f"**nexa-data**, {algorithm}", _wall(runs), _rate(runs), *own])
    head = ["", "wall s", "MB/s", "× ceiling", "CPU s", "bare digest's CPU s", "page cache", "peak memory"]
    return table(head, rows)


def _peers(work: Copied) -> str:
    rows = []
    for peer in sorted(
        work.peers, key=lambda peer: Spread.of(run.seconds for run in _runs(work, peer)).median
    ):
        runs = _runs(work, peer)
        share = Spread.of(this.peer_share_of_ceiling(peer.name) for this in work.rounds)
        faster, thriftier = figures.faster_than(work, peer), figures.thriftier_than(work, peer)
        own = [peer.name, peer.guarantee, _wall(runs), _rate(runs), share.text(), _cpu(runs), _cached(runs)]
        rows.append([*own, f"{faster.text()} ×", f"{thriftier.text()} ×", figures.ours_for(work, peer)])
    head = ["peer", "verified against", "wall s", "MB/s", "× ceiling", "CPU s", "page cache"]
    compared = ["ours is faster", "ours takes less CPU", "ours with"]
    return table([*head, *compared], rows) if rows else ""


def _verdicts(verdicts: Sequence[figures.Verdict]) -> str:
    return table(["figure", "measured", "target", "margin"], (verdict.row() for verdict in verdicts))


def _runs(work: Copied, peer: peers.Peer) -> list[Run]:
    return [this.peers[peer.name] for this in work.rounds]


def _wall(runs: Sequence[Run]) -> str:
    return Spread.of(run.seconds for run in runs).text()


def _rate(runs: Sequence[Run]) -> str:
    return f"{Spread.of(run.rate / _MB for run in runs).median:.0f}"


def _cpu(runs: Sequence[Run]) -> str:
    return Spread.of(run.cpu_seconds for run in runs).text()


def _cached(runs: Sequence[Run]) -> str:
    grown = Spread.of(run.cached_bytes or 0 for run in runs).median
    return f"+{grown / _MB:,.1f} MB ({100 * grown / runs[0].bytes:.1f} %)"


def restaged(work: Restaged) -> str:
    """Return workload C's tables."""
    rows = [
        [
            runs[0].contestant,
            Spread.of(run.seconds for run in runs).text(3),
            Spread.of(run.cpu_seconds for run in runs).text(3),
        ]
        for runs in (work.again, work.again_warm, work.changed, work.changed_only)
    ]
    ratio = Spread.of(
        some.seconds / alone.seconds for some, alone in zip(work.changed, work.changed_only, strict=True)
    )
    return (
        f"\n## C. {work.n_files:,} × {work.file_mib} MiB again, sha256, inside the call, rounds: {len(work.again)}\n\n"
        f"{table(['', 'wall s', 'CPU s'], rows)}\n"
        f"Staging {work.n_files:,} shards of which {work.n_changed} changed takes {ratio.text()} × "
        f"what those {work.n_changed} take alone.\n\n{_verdicts(figures.restaged(work))}"
    )


def commands(done: Sequence[Copied | Restaged]) -> str:
    """Say what exactly the peers ran."""
    found = {
        peer.name: peer.command for work in done if isinstance(work, workloads.Copied) for peer in work.peers
    }
    lines = "".join(f"- {name}: `{command}`\n" for name, command in found.items())
    return f"\n## The peers' commands\n\n{lines}" if found else ""
