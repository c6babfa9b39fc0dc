"""Data beyond memory: our epoch by blocks beside fio's direct read of the same files, cold, and what of it stays cached.

- The data are records of 32 float32 and an int64 in shards of 128 MiB, three times as much as the processes may take:
  they run in a control group (version 2) with that bound, where this process may make one; else that is said.
- Before each run the files' pages are dropped. A round is fio, ours, fio, and the same epoch from mapped shards; ours is
  compared with the mean of the two fio runs around it. Time counts from opening the dataset to the last batch.
- fio reads the files one after the other, O_DIRECT, 1 MiB × 16 (Debian package `fio`; without it this part is skipped).
- Page cache: bytes of the files that mincore(2) finds there after a run.

    make bench-loaders BENCH_ARGS='--only beyond'
    make bench-loaders BENCH_ARGS='--only beyond --quick'
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.loaders.memory_group import NoMemoryGroupError, join, memory_group
from benches.staging.cache import drop, resident_bytes, sync_filesystem

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

ROOT = Path(__file__).parents[2]
SHARDS, RECORDS, WIDTH, BATCH, WINDOW = 32, 985_000, 32, 1024, 64
"""32 shards of 128 MiB are 4 GiB."""
SMALL = {"shards": 12, "window": 8}
"""What a smoke test takes; with less, a third of the data has no room for torch."""

_MIB = 2**20
_TIMEOUT_S = 900


def make(folder: Path, shards: int) -> list[Path]:
    """Write the catalog and its shards, unless they are there, and return the shards."""
    from nexa_data import _core
    from nexa_data.shard_output import tensor_batch

    catalog = folder / "catalog.jsonl"
    paths = [folder / f"train-{number:05d}.arrow" for number in range(shards)]
    if not catalog.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        random, lines = np.random.Generator(np.random.SFC64(1)), []
        for path in paths:
            columns: dict[str, npt.NDArray[Any]] = {
                "features": random.standard_normal((RECORDS, WIDTH), np.float32),
                "label": random.integers(0, 10, RECORDS),
            }
            size, checksum = _core.write_shard(path, [tensor_batch(columns)])
            lines.append(
                {"uri": path.name, "split": "train", "bytes": size, "records": RECORDS, "checksum": checksum}
            )
        catalog.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return paths


def run(
    folder: Path, *, shards: int = SHARDS, rounds: int = 5, window: int = WINDOW
) -> dict[str, Any] | None:
    """Measure all rounds; None where fio is missing.

    Args:
        folder: Where the data lies; kept for the next run.
        shards: Number of shards of 128 MiB.
        rounds: Number of rounds.
        window: Blocks that are mixed at a time; two windows and the process itself must fit into a third of the data.
    """
    if shutil.which("fio") is None:
        print("skipped: data beyond memory, for want of fio (Debian package `fio`)", flush=True)
        return None
    print(f"beyond memory: making {shards} shards", flush=True)
    paths = make(folder / f"beyond-{shards}", shards)
    total = sum(path.stat().st_size for path in paths)
    found: dict[str, Any] = {"bytes": total, "max_bytes": total // 3, "window": window, "rounds": []}
    with ExitStack() as stack:
        inside: Callable[[list[str]], list[str]] = list
        try:
            group = stack.enter_context(memory_group(total // 3))
            inside = lambda command: join(group, command)  # noqa: E731 (one of two ways)
        except NoMemoryGroupError as error:
            found["unbounded"] = str(error)
            print(f"memory isn't bounded: {error}", flush=True)
        sync_filesystem(paths[0].parent)
        for number in range(rounds):
            each = {
                "fio_before": _cold(paths, lambda: _fio(paths)),
                "direct": _cold(paths, lambda: _epoch(paths[0].parent, "direct", window, inside)),
                "fio_after": _cold(paths, lambda: _fio(paths)),
                "mapped": _cold(paths, lambda: _epoch(paths[0].parent, "mapped", window, inside)),
            }
            ceiling = (each["fio_before"]["bytes_per_s"] + each["fio_after"]["bytes_per_s"]) / 2
            for name in ("direct", "mapped"):
                each[name]["ratio"] = each[name]["bytes_per_s"] / ceiling
            found["rounds"].append(each)
            ours = each["direct"]
            print(
                f"beyond memory {number + 1}/{rounds}  fio {ceiling / _MIB:6.0f} MiB/s  ours {ours['ratio']:.2f} ×, "
                f"page cache +{100 * ours['cached_bytes'] / total:.2f} %, own memory +{ours['anonymous_bytes'] / _MIB:.0f} MiB"
                f"  mapped {each['mapped']['ratio']:.2f} ×, page cache +{100 * each['mapped']['cached_bytes'] / total:.0f} %",
                flush=True,
            )
    drop(paths)
    return found


def text(found: dict[str, Any]) -> str:
    """Return what was found as Markdown."""
    total, rounds = found["bytes"], found["rounds"]
    bound = found.get("unbounded")
    lines = [
        "\n## Beyond memory\n\n",
        f"{total / 2**30:.1f} GiB, blocks of 4 to 8 MiB, {found['window']} a window; ",
        f"not bounded: {bound}" if bound else f"bounded to {found['max_bytes'] / 2**30:.1f} GiB",
        ".\n\n| | × fio's direct read (least – greatest) | page cache | own memory |\n|---|---:|---:|---:|\n",
    ]
    for name in ("direct", "mapped"):
        runs = [each[name] for each in rounds]
        ratios = [each["ratio"] for each in runs]
        cached = statistics.median(each["cached_bytes"] for each in runs)
        own = statistics.median(each["anonymous_bytes"] for each in runs)
        lines.append(
            f"| {name} | {statistics.median(ratios):.2f} ({min(ratios):.2f} – {max(ratios):.2f}) | "
            f"+{100 * cached / total:.2f} % | +{own / _MIB:.0f} MiB |\n"
        )
    return "".join(lines)


def _cold(paths: list[Path], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    left = drop(paths)
    found = measure()
    return found | {"cached_bytes": resident_bytes(paths) - left}


def _fio(paths: list[Path]) -> dict[str, Any]:
    # fio takes a colon for the next file's name: it is given names alone, which have none.
    names = ":".join(path.name for path in paths)
    base = [
        "--readonly",
        "--name=read",
        "--rw=read",
        "--direct=1",
        "--bs=1M",
        "--iodepth=16",
        "--allow_file_create=0",
        "--file_service_type=sequential",
        "--output-format=json",
    ]
    for engine in ("io_uring", "libaio", "psync"):
        done = subprocess.run(
            [shutil.which("fio") or "fio", *base, f"--ioengine={engine}", f"--filename={names}"],
            cwd=paths[0].parent,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode == 0:
            report = json.loads(done.stdout[done.stdout.index("{") :])["jobs"][0]["read"]
            return {"bytes_per_s": 1000 * report["io_bytes"] / report["runtime"], "engine": engine}
    raise RuntimeError(f"fio can't read here: {done.stderr[-500:]}")


def _epoch(folder: Path, way: str, window: int, inside: Callable[[list[str]], list[str]]) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "benches.loaders.beyond_child",
        str(folder),
        str(BATCH),
        way,
        str(window),
    ]
    done = subprocess.run(
        inside(command), cwd=ROOT, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode:
        raise RuntimeError(
            f"the epoch ended with status {done.returncode} (-9: it took more than the bound):\n{done.stderr[-1500:]}"
        )
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found | {"bytes_per_s": found["bytes"] / found["epoch_s"]}
