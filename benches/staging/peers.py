"""What people use instead, each in its strong form, with the guarantee that it gives."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benches.staging import cache
from benches.staging.measure import Run

if TYPE_CHECKING:
    from benches.staging.corpus import Corpus
    from benches.staging.measure import Bench

CATALOG = "catalog's digest"
"""Each copied byte is proven against the checksum that the catalog names, as ours does."""
TRANSFER = "own checksum"
"""The tool compares source and copy by a digest of its own; the catalog is not asked."""
NOTHING = "none"

CLASSIC = "rclone, rsync, cp + digest"
THREADS = "threads + hashlib"
XARGS_XXH3 = "xargs cp + xxh3"
UNVERIFIED = "xargs cp"

_PACKAGES = {
    "b3sum": "b3sum",
    "rclone": "rclone",
    "rsync": "rsync",
    "sha256sum": "coreutils",
    "xargs": "findutils",
    "xxhsum": "xxhash",
}
_DURABLE = 'sync -f "$DST"'
_CP = 'cp -t "$DST" "$SRC"/*'
_XARGS_CP = 'find "$SRC" -type f -print0 | xargs -0 -P4 -n "$PER_PROCESS" cp -t "$DST"'
# rclone copies from local to local in one stream unless the number of streams is named. By itself it digests source
# and copy with md5 after the transfer; `--ignore-checksum` leaves that out where the catalog's digest is checked.
_RCLONE = 'rclone copy --config "" --checksum --transfers 4 --checkers 4 --multi-thread-streams 4'
_CHECK_XXH3 = '"$PYTHON" "$BENCH"/child_threads.py check xxh3 4 "$LISTS"/xxh3 "$DST"'


@dataclass(frozen=True)
class Peer:
    """One way of copying.

    Args:
        name: As the table calls it.
        digest: Ours with this digest is what it is compared with.
        guarantee: `CATALOG`, `TRANSFER` or `NOTHING`.
        family: Which target it counts for, if any.
        script: Lines of bash, with `SRC`, `DST`, `LISTS`, `PER_PROCESS`; or nothing, for threads.
        needs: Commands that it needs.
        threads: Threads of the Python copy.
        large: Also for few large shards.
        small: Also for many small shards.
    """

    name: str
    digest: str
    guarantee: str
    family: str = ""
    script: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    threads: int = 0
    large: bool = True
    small: bool = True

    @property
    def command(self) -> str:
        """What it runs, in one line."""
        if self.threads:
            return f"child_threads.py copy {self.digest} {self.threads}"
        return "; ".join(self.script)


def _check(command: str, algorithm: str) -> str:
    return f'(cd "$DST" && {command} "$LISTS"/{algorithm})'


def _check_beside(command: str, algorithm: str) -> str:
    return f'(cd "$DST" && printf "%s\\0" "$LISTS"/{algorithm}.d/* | xargs -0 -P4 -n1 {command})'


def _xxh3_check() -> tuple[str, str, tuple[str, ...]]:
    """Return label, command and needs of the xxh3 check: `xxhsum`, else the Python package with four threads."""
    if shutil.which("xxhsum"):
        return "xargs -P4 xxhsum -c", _check_beside("xxhsum --quiet -c", "xxh3"), ("xargs", "xxhsum")
    return "python-xxhash, 4 threads", _CHECK_XXH3, ("xargs",)


def known() -> list[Peer]:
    """Return all peers, the verified ones first."""
    label, check_xxh3, needs = _xxh3_check()
    sha256sum, b3sum = _check("sha256sum --quiet -c", "sha256"), _check("b3sum --quiet -c", "blake3")
    beside = _check_beside("sha256sum --quiet -c", "sha256")
    return [
        Peer("rclone copy", "sha256", TRANSFER, CLASSIC, (f'{_RCLONE} "$SRC" "$DST"', _DURABLE), ("rclone",)),
        Peer(
            "rclone copy --ignore-checksum, rclone checksum sha256",
            "sha256",
            CATALOG,
            CLASSIC,
            (
                f'{_RCLONE} --ignore-checksum "$SRC" "$DST"',
                'rclone checksum --config "" --checkers 4 sha256 "$LISTS"/sha256 "$DST"',
                _DURABLE,
            ),
            ("rclone",),
        ),
        # rsync's own checksum proves what went through its pipe; the catalog's is proven by the pass after it.
        Peer(
            "rsync -W, sha256sum -c",
            "sha256",
            CATALOG,
            CLASSIC,
            ('rsync -aW "$SRC"/ "$DST"/', sha256sum, _DURABLE),
            ("rsync", "sha256sum"),
        ),
        Peer("cp, sha256sum -c", "sha256", CATALOG, CLASSIC, (_CP, sha256sum, _DURABLE), ("sha256sum",)),
        Peer("cp, b3sum -c", "blake3", CATALOG, CLASSIC, (_CP, b3sum, _DURABLE), ("b3sum",)),
        Peer(
            "xargs -P4 cp, xargs -P4 sha256sum -c",
            "sha256",
            CATALOG,
            "",
            (_XARGS_CP, beside, _DURABLE),
            ("xargs", "sha256sum"),
        ),
        Peer(
            f"xargs -P4 cp, xxh3 by {label}",
            "xxh3",
            CATALOG,
            XARGS_XXH3,
            (_XARGS_CP, check_xxh3, _DURABLE),
            needs,
        ),
        Peer("4 threads, hashlib sha256 in the pass", "sha256", CATALOG, THREADS, threads=4),
        Peer("8 threads, hashlib sha256 in the pass", "sha256", CATALOG, THREADS, threads=8),
        Peer("8 threads, xxh3 in the pass (python-xxhash)", "xxh3", CATALOG, threads=8),
        Peer("xargs -P4 cp", "xxh3", NOTHING, UNVERIFIED, (_XARGS_CP, _DURABLE), ("xargs",), large=False),
    ]


def missing(peer: Peer) -> str | None:
    """Return what has to be installed for a peer, if anything."""
    for command in (*peer.needs, "bash", "cp", "sync"):
        if shutil.which(command) is None:
            return f"`{command}`: Debian package `{_PACKAGES.get(command, 'coreutils')}`"
    python_xxh3 = (peer.threads and peer.digest == "xxh3") or _CHECK_XXH3 in peer.script
    if python_xxh3 and importlib.util.find_spec("xxhash") is None:
        return "the Python package `xxhash` (extra `bench`), or `xxhsum`: Debian package `xxhash`"
    return None


def run(bench: Bench, peer: Peer, corpus: Corpus) -> Run:
    """Copy a corpus from cold to a new folder, durable, and remove the copy."""
    destination = bench.fresh_folder()
    destination.mkdir()
    source = corpus.root / "shards"
    bench.make_cold(corpus.files)
    try:
        if peer.threads:
            listed = corpus.lists / peer.digest
            child = bench.python(
                "child_threads.py", "copy", peer.digest, str(peer.threads), listed, destination, source
            )
            inside = child.inside()
            seconds, cpu_seconds = inside["seconds"], inside["cpu_seconds"]
        else:
            environment = {
                "SRC": str(source),
                "DST": str(destination),
                "LISTS": str(corpus.lists),
                "BENCH": str(Path(__file__).parent),
                "PYTHON": sys.executable,
                # 50 of 2,000 files, 1 of 8: four processes, all busy to the end.
                "PER_PROCESS": str(max(1, len(corpus.files) // 40)),
            }
            script = "set -euo pipefail\n" + "\n".join(peer.script)
            child = bench.child([shutil.which("bash") or "bash", "-c", script], environment=environment)
            seconds, cpu_seconds = child.seconds, child.cpu_seconds
        copies = [destination / path.name for path in corpus.files]
        if sum(path.stat().st_size for path in copies) != corpus.bytes:
            raise RuntimeError(f"{peer.name} copied another amount than {corpus.bytes:,} bytes")
        cached = cache.resident_bytes([*corpus.files, *copies])
    finally:
        bench.free(destination)
    facts = {"outside_seconds": child.seconds, "outside_cpu_seconds": child.cpu_seconds}
    return Run(peer.name, seconds, cpu_seconds, corpus.bytes, cached, facts)
