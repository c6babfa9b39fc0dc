"""A catalog of a million lines: our parse and checks beside polars and msgspec with the same checks.

The catalog has 1,000,000 lines of 190 bytes: uri, split, bytes, records, checksum, tags. All read the file from the
page cache and answer the same questions: is each line JSON of the right types, are counts whole and not negative, are
checksums and split names well formed, does no uri climb or hold control characters, do no two uris lead to one shard once
they are normalised, is no shard's name another's folder? polars answers in one lazy query of expressions after
`read_ndjson`, msgspec decodes each line into a Struct that checks itself and leaves the names to a set. polars does not say
which line is wrong; the other two do. `read alone` is polars' `read_ndjson` without a single check.

The contestants take turns for seven rounds, so that ratios hold where seconds drift; medians are printed. Our peak memory
is measured in a process of its own, as the growth of its high-water mark over what it has after importing.

    make bench-catalog
"""

from __future__ import annotations

import gc
import posixpath
import re
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Annotated

import msgspec
import polars as pl
import pytest
from nexa_data import _core

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LINES, ROUNDS = 1_000_000, 7

CHECKSUM = r"^((sha256|blake3):[0-9a-fA-F]{64}|xxh3:[0-9a-fA-F]{32}|crc32c:[0-9a-fA-F]{8})$"
SPLIT = r"^[A-Za-z0-9_.-]+$"
UNSAFE = r"^$|^/|/$|(^|/)\.\.(/|$)|[\x00-\x1f\x7f]|://"

_GROWTH = """
import sys
from pathlib import Path
from nexa_data import _core

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])

Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
lines = _core.read_catalog(sys.argv[1])
print((status("VmHWM") - before) / 1024)
"""


class Line(msgspec.Struct, gc=False):
    """A line of the catalog, checked as it is decoded."""

    uri: str
    split: Annotated[str, msgspec.Meta(pattern=SPLIT)] | None = None
    bytes: Annotated[int, msgspec.Meta(ge=0)] | None = None
    records: Annotated[int, msgspec.Meta(ge=0)] | None = None
    checksum: Annotated[str, msgspec.Meta(pattern=CHECKSUM)] | None = None
    tags: list[str] | None = None


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("catalog") / "catalog.jsonl"
    with path.open("w") as file:
        file.writelines(
            f'{{"uri": "shards/train-{line:07}.arrow", "split": "train", "bytes": {1 << 20}, "records": 4096, '
            f'"checksum": "sha256:{line * 0x9E3779B97F4A7C15F39CC0605CEDC834:064x}", "tags": []}}\n'
            for line in range(LINES)
        )
    return path


def by_nexa(path: Path) -> int:
    lines = _core.read_catalog(path)
    assert len(lines) == LINES
    return len(lines.findings())


def by_polars(path: Path) -> int:
    name = pl.col("uri").str.replace_all(r"/(\./|/)+", "/").str.strip_prefix("./")
    folder = name.str.extract(r"^(.*)/[^/]*$")
    faults = (
        pl.read_ndjson(path)
        .lazy()
        .select(
            pl.col("uri").is_null().sum().alias("missing"),
            pl.col("uri").str.contains(UNSAFE).sum().alias("unsafe"),
            (pl.col("bytes") < 0).sum().alias("bytes"),
            (pl.col("records") < 0).sum().alias("records"),
            pl.col("split").unique().str.contains(SPLIT).not_().sum().alias("split"),
            pl.col("checksum").str.contains(CHECKSUM).not_().sum().alias("checksum"),
            (pl.len() - name.n_unique()).alias("duplicates"),
            name.is_in(folder.unique().implode()).sum().alias("conflicts"),
        )
        .collect()
    )
    return int(sum(faults.row(0)))


def by_msgspec(path: Path) -> int:
    unsafe = re.compile(UNSAFE)
    names: set[str] = set()
    folders: set[str] = set()
    faults = 0
    decode = msgspec.json.Decoder(Line).decode
    with path.open("rb") as file:
        for raw in file:
            uri = decode(raw).uri
            if unsafe.search(uri):
                faults += 1
            name = posixpath.normpath(uri) if "//" in uri or "./" in uri else uri
            names.add(name)
            folders.add(name.rpartition("/")[0])
    return faults + LINES - len(names) + len(names & folders)


def test_a_million_lines(catalog: Path, request: pytest.FixtureRequest) -> None:
    contestants: dict[str, Callable[[Path], int]] = {
        "nexa-data": by_nexa,
        "polars": by_polars,
        "read alone": lambda path: len(pl.read_ndjson(path)) - LINES,
        "msgspec": by_msgspec,
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    # A collector that walks a million strings would measure itself.
    gc.disable()
    request.addfinalizer(gc.enable)
    for _ in range(ROUNDS):
        for name, check in contestants.items():
            start = time.perf_counter()
            faults = check(catalog)
            seconds[name].append(time.perf_counter() - start)
            assert faults == 0
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    print(f"\n{catalog.stat().st_size / 1e6:.0f} MB, {LINES:,} lines, {_core.default_threads()} threads")
    for name, median in medians.items():
        print(
            f"{name:<10} {LINES / median / 1e6:6.2f} M lines/s   ours is {median / medians['nexa-data']:5.2f} x"
        )


def test_peak_memory(catalog: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _GROWTH, str(catalog)], capture_output=True, text=True, check=True
    )
    growth_mib = float(run.stdout)
    print(f"\nnexa-data  {growth_mib:.0f} MiB above what the process had after importing")
    assert growth_mib < 250
