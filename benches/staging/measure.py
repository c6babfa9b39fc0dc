"""One run of one contestant: its own child process, timed, its CPU counted with its descendants', its traces kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches.staging import cache

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[2]
_SHOWN_ERROR = 2000


@dataclass
class Run:
    """What one run took.

    Args:
        contestant: Whose run it is.
        seconds: Wall time; what a Python contestant measured around the call, else the child's whole life.
        cpu_seconds: User and system time, measured where `seconds` is.
        bytes: Payload that was copied.
        cached_bytes: Pages of source and destination that the run left in the page cache.
        facts: What only some contestants have: outside times, peak memory, fio's details.
    """

    contestant: str
    seconds: float
    cpu_seconds: float
    bytes: int
    cached_bytes: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.bytes / self.seconds

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Child:
    """A child process that has ended well."""

    seconds: float
    cpu_seconds: float
    output: str

    def inside(self) -> dict[str, Any]:
        """Return the last line that it printed, a JSON object."""
        return dict(json.loads(self.output.strip().splitlines()[-1]))


class Bench:
    """The work folder and how a run is prepared in it.

    Args:
        folder: Where sources and destinations lie, on the disk that is measured.
        drop_caches: Empty the kernel's caches by `/proc/sys/vm/drop_caches` before each run.
    """

    def __init__(self, folder: Path, *, drop_caches: bool) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self._drop_caches = drop_caches
        self._count = 0

    def note(self, text: str) -> None:
        """Say something that a reader of the figures must know, once."""
        if text not in self.notes:
            self.notes.append(text)
            print(f"note: {text}", flush=True)

    def fresh_folder(self) -> Path:
        """Return the path of a destination that doesn't exist, in a folder of its own.

        What ours keeps beside a destination for later stagings serves no other run so.
        """
        self._count += 1
        parent = self.folder / f"run-{self._count}"
        parent.mkdir()
        return parent / "destination"

    def make_cold(self, sources: Sequence[Path]) -> None:
        """Leave nothing unwritten on the file system and nothing of the sources in the page cache."""
        cache.sync_filesystem(self.folder)
        left = cache.drop(sources, all_caches=self._drop_caches)
        if left:
            self.note(f"{left:,} bytes of the sources could not be dropped from the page cache before a run")

    def free(self, folder: Path) -> None:
        """Free the blocks of a destination, and let the disk finish with them (they may be discarded).

        The files stay, empty, until the work folder is removed: for minutes ext4 searches past inodes that were just
        freed, and whoever makes files next would pay for it.
        """
        for path in cache.files_under(folder.parent if folder.name == "destination" else folder):
            if path.stat().st_size:
                path.chmod(0o600)
                os.truncate(path, 0)
        cache.sync_filesystem(self.folder)

    def child(self, command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None) -> Child:
        """Run a command to its end; wall time and the CPU of it and of all that it waited for.

        Raises:
            RuntimeError: It failed; the message has the end of what it printed.
        """
        with tempfile.TemporaryFile(dir=self.folder) as out, tempfile.TemporaryFile(dir=self.folder) as error:
            started = time.perf_counter()
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=error,
                cwd=ROOT,
                env={**os.environ, "LC_ALL": "C", **(environment or {})},
                start_new_session=True,
            )
            try:
                _, status, usage = os.wait4(process.pid, 0)
                seconds = time.perf_counter() - started
            except BaseException:
                # The group is this child's own: nobody else is hit.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            error.seek(0)
            output = out.read().decode(errors="replace")
            if process.returncode:
                said = (output + error.read().decode(errors="replace"))[-_SHOWN_ERROR:]
                raise RuntimeError(f"{command[0]} ended with {process.returncode}:\n{said}")
        return Child(seconds, usage.ru_utime + usage.ru_stime, output)

    def python(self, name: str, *arguments: str | Path) -> Child:
        """Run one of this folder's child programs in a fresh interpreter."""
        return self.child([sys.executable, Path(__file__).parent / name, *arguments])
