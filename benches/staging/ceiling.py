"""What the disk allows: fio reads existing files and writes new ones side by side, past the page cache."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from benches.staging.measure import Run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benches.staging.measure import Bench

NAME = "ceiling (fio)"
BLOCK_BYTES = 4 << 20
"""One request of fio; files are cut to whole ones."""

_ENGINES = ("io_uring", "libaio", "psync")
_PROBE_BYTES = 1 << 20
_JOB = """\
[global]
ioengine={engine}
direct=1
bs={block_bytes}
iodepth={depth}
file_service_type=sequential

[reader]
rw=read
allow_file_create=0
filename={sources}

[writer]
rw=write
directory={destination}
filename_format=part.$filenum
nrfiles={n_files}
filesize={file_bytes}
end_fsync=1
"""


class Ceiling:
    """fio's direct copy; the time is the slower job's, from fio's own report.

    Args:
        bench: Where it runs.
        depth: Blocks in flight, for the reader and for the writer.

    Raises:
        RuntimeError: fio isn't installed, or none of its engines works here.
    """

    def __init__(self, bench: Bench, depth: int) -> None:
        self._bench, self._depth = bench, depth
        found = shutil.which("fio")
        if found is None:
            raise RuntimeError("fio measures the ceiling and isn't installed: Debian package `fio`")
        self._fio = found
        self.engine = self._working_engine()

    def _working_engine(self) -> str:
        folder = self._bench.fresh_folder()
        folder.mkdir()
        source = folder / "source"
        source.write_bytes(os.urandom(_PROBE_BYTES))
        refused = []
        try:
            for engine in _ENGINES:
                try:
                    self._fio_report(engine, [source], folder, 1, _PROBE_BYTES, _PROBE_BYTES)
                except RuntimeError as error:
                    refused.append(f"{engine} ({str(error).splitlines()[-1]})")
                    continue
                if refused:
                    self._bench.note(f"fio can't use {', '.join(refused)} here; the ceiling is by {engine}")
                return engine
        finally:
            shutil.rmtree(folder)
        raise RuntimeError(f"fio can't copy here: {'; '.join(refused)}")

    def run(self, sources: Sequence[Path], n_files: int, file_bytes: int) -> Run:
        """Read `sources` and write `n_files` new files of `file_bytes`.

        Raises:
            RuntimeError: fio failed, copied another amount, or touched a source.
        """
        folder = self._bench.fresh_folder()
        folder.mkdir()
        before = [_facts(path) for path in sources]
        self._bench.make_cold(sources)
        try:
            report = self._fio_report(self.engine, sources, folder, n_files, file_bytes, BLOCK_BYTES)
        finally:
            self._bench.free(folder)
        if [_facts(path) for path in sources] != before:
            raise RuntimeError("fio changed a source: the figures are void")
        reader, writer = report
        rate = min(reader["bw_bytes"], writer["bw_bytes"])
        done = writer["io_bytes"]
        cpu_seconds = reader["cpu_seconds"] + writer["cpu_seconds"]
        return Run(NAME, done / rate, cpu_seconds, done, facts={"reader": reader, "writer": writer})

    def _fio_report(
        self,
        engine: str,
        sources: Sequence[Path],
        folder: Path,
        n_files: int,
        file_bytes: int,
        block_bytes: int,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        job = self._bench.folder / "ceiling.fio"
        # fio takes a colon for the next file's name.
        named = ":".join(str(path).replace(":", r"\:") for path in sources)
        job.write_text(
            _JOB.format(
                engine=engine,
                depth=self._depth,
                sources=named,
                destination=folder,
                n_files=n_files,
                file_bytes=file_bytes,
                block_bytes=block_bytes,
            )
        )
        output = self._bench.child([self._fio, "--output-format=json", job]).output
        # Warnings may stand before the JSON.
        jobs = json.loads(output[output.index("{") :])["jobs"]
        return _figures(jobs[0], "read"), _figures(jobs[1], "write")


def _figures(job: dict[str, Any], direction: str) -> dict[str, Any]:
    if job["error"]:
        raise RuntimeError(f"fio's {job['jobname']} ended with error {job['error']}")
    io = job[direction]
    if not io["io_bytes"]:
        raise RuntimeError(f"fio's {job['jobname']} moved nothing")
    seconds = max(io["runtime"], 1) / 1000
    cpu_seconds = (job["usr_cpu"] + job["sys_cpu"]) / 100 * seconds
    return {
        "io_bytes": io["io_bytes"],
        "seconds": seconds,
        "bw_bytes": io["io_bytes"] / seconds,
        "cpu_seconds": cpu_seconds,
    }


def _facts(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns
