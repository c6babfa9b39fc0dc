"""The shards that all contestants copy: Arrow files of random bytes, with catalogs and checksum lists."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from nexa_data import _core
from nexa_data.shard_output import tensor_batch

from benches.staging import cache

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MIB = 1 << 20
ROW_BYTES = 4096
LISTS = 8
"""Each checksum list is cut into so many, for checkers that run side by side."""

_BLOCK_BYTES = 64 * MIB


@dataclass(frozen=True)
class Corpus:
    """One catalog's shards on disk.

    Args:
        root: Folder with `shards/`, a catalog for each digest (`sha256.jsonl`) and `lists/`.
        files: The shards, in order.
        bytes: Their sizes together.
        digests: Algorithm → the shards' digests in hexadecimal, in order.
    """

    root: Path
    files: tuple[Path, ...]
    bytes: int
    digests: dict[str, tuple[str, ...]]

    @property
    def lists(self) -> Path:
        """Folder of the checksum lists: `ALGORITHM` whole, and `ALGORITHM.d/` in parts."""
        return self.root / "lists"

    def catalog(self, algorithm: str) -> Path:
        """Return the catalog whose checksums are of this algorithm."""
        return self.root / f"{algorithm}.jsonl"


def make(
    root: Path, n_files: int, file_mib: int, algorithms: Sequence[str], *, plain: bool, seed: int
) -> Corpus:
    """Write shards, durable, and their catalogs.

    Args:
        root: Folder to make.
        n_files: Number of shards.
        file_mib: Random bytes in each, in MiB.
        algorithms: Digests to write catalogs for; sha256 and those that the peers' lists need are made anyway.
        plain: Nothing but the random bytes, instead of Arrow files around them.
        seed: Of the bytes.
    """
    (root / "shards").mkdir(parents=True)
    random = np.random.Generator(np.random.SFC64(seed))
    files = []
    for number in range(n_files):
        path = root / "shards" / f"part-{number:05d}.{'bin' if plain else 'arrow'}"
        write_shard(path, file_mib, random, plain=plain)
        files.append(path)
    return describe(root, files, algorithms, file_mib)


def write_shard(path: Path, file_mib: int, random: np.random.Generator, *, plain: bool) -> None:
    """Write one durable shard of random bytes."""
    if plain:
        with path.open("wb") as file:
            for start in range(0, file_mib * MIB, _BLOCK_BYTES):
                file.write(random.bytes(min(_BLOCK_BYTES, file_mib * MIB - start)))
    else:
        rows = file_mib * MIB // ROW_BYTES
        values = np.frombuffer(random.bytes(rows * ROW_BYTES), np.uint8).reshape(rows, ROW_BYTES)
        _core.write_shard(path, [tensor_batch({"features": values})])
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def describe(root: Path, files: Sequence[Path], algorithms: Sequence[str], file_mib: int) -> Corpus:
    """Digest shards that are there, and write their catalogs and checksum lists."""
    wanted = list(dict.fromkeys([*algorithms, "sha256", "blake3", "xxh3"]))
    digests: dict[str, tuple[str, ...]] = {}
    columns: dict[str, list[str]] = {algorithm: [] for algorithm in wanted}
    for path in files:
        for algorithm in wanted:
            columns[algorithm].append(_digest(path, algorithm))
        cache.drop([path])
    for algorithm in wanted:
        digests[algorithm] = tuple(columns[algorithm])
        _write_catalog(root / f"{algorithm}.jsonl", algorithm, files, digests[algorithm], file_mib)
        _write_lists(root / "lists", algorithm, files, digests[algorithm])
    return Corpus(root, tuple(files), sum(path.stat().st_size for path in files), digests)


def _digest(path: Path, algorithm: str) -> str:
    if algorithm == "sha256":
        # Somebody else's implementation, so that ours is checked against it in every run.
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return _core.digest_file(path, algorithm)[1].partition(":")[2]


def _write_catalog(
    path: Path, algorithm: str, files: Sequence[Path], digests: Sequence[str], file_mib: int
) -> None:
    with path.open("w") as out:
        for file, digest in zip(files, digests, strict=True):
            line = {
                "uri": f"shards/{file.name}",
                "split": "train",
                "bytes": file.stat().st_size,
                "records": file_mib * MIB // ROW_BYTES,
                "checksum": f"{algorithm}:{digest}",
            }
            out.write(json.dumps(line) + "\n")


def _write_lists(folder: Path, algorithm: str, files: Sequence[Path], digests: Sequence[str]) -> None:
    lines = [f"{digest}  {file.name}\n" for file, digest in zip(files, digests, strict=True)]
    parts = folder / f"{algorithm}.d"
    parts.mkdir(parents=True, exist_ok=True)
    (folder / algorithm).write_text("".join(lines))
    for number in range(min(LISTS, len(lines))):
        (parts / f"{number}").write_text("".join(lines[number::LISTS]))


def changed(corpus: Corpus, root: Path, n_changed: int, file_mib: int, *, plain: bool, seed: int) -> Corpus:
    """Return a second version of a corpus under `root`: hard links, but for `n_changed` shards spread over it."""
    (root / "shards").mkdir(parents=True)
    random = np.random.Generator(np.random.SFC64(seed))
    step = len(corpus.files) // n_changed
    different = set(range(0, step * n_changed, step))
    files = []
    for number, source in enumerate(corpus.files):
        path = root / "shards" / source.name
        if number in different:
            write_shard(path, file_mib, random, plain=plain)
        else:
            path.hardlink_to(source)
        files.append(path)
    second = describe(root, files, ["sha256"], file_mib)
    lines = second.catalog("sha256").read_text().splitlines(keepends=True)
    (root / "changed-only.jsonl").write_text("".join(lines[number] for number in sorted(different)))
    return second
