"""Packed rows of sequences: our loader beside what people write by hand and what the machine copies.

W2v, a tenth of it: 20,000 sequences of 64 to 2,048 uint16 tokens in one shard, shuffled, in rows of 2,048 and batches of 32. What
comes out is ids, labels and positions as int64: 24 bytes for each token of two. Each round is one pass over 100 batches.
Tokens are counted as they are stored, two bytes each, without padding. The limit copies as many bytes as a batch has into
eight buffers in turn. The hand-written loop concatenates shuffled sequences and cuts the stream into rows, with positions
that run through: it does less.

    make bench
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from nexa_data.loaders.sampler import ShardSampler
from nexa_data.loaders.torch_loader import build_loader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RECORDS, LENGTH, BATCH, BATCHES = 20_000, 2048, 32, 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    random = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(random.integers(64, 2049, RECORDS))]).astype(np.int32)
    tokens = random.integers(1, 50_000, offsets[-1], np.uint16)
    column = pa.ListArray.from_arrays(pa.array(offsets), pa.array(tokens))
    batch = pa.record_batch([column], names=["tokens"])
    with pa.OSFile(str(folder / "0.arrow"), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as file:
        file.write(batch)
    line = {"uri": "0.arrow", "split": "train", "records": RECORDS}
    (folder / "catalog.jsonl").write_text(json.dumps(line) + "\n")
    np.save(folder / "offsets.npy", offsets)
    np.save(folder / "tokens.npy", tokens)
    return folder


def _measure(benchmark: Any, name: str, draw: Callable[[], Any], *, filled: float = 1.0) -> None:
    def one_round() -> None:
        for _ in range(BATCHES):
            draw()

    one_round()
    benchmark.group = f"W2v, rows of {LENGTH}, batches of {BATCH}, int64"
    benchmark.name = name
    benchmark.pedantic(one_round, rounds=7, warmup_rounds=1)
    rate = BATCHES * BATCH * LENGTH * 2 * filled / benchmark.stats.stats.median / 1e9
    benchmark.extra_info["stored_gb_per_s"] = rate
    print(f"\n{name}: {rate:.2f} GB/s of tokens as stored, {12 * rate:.1f} GB/s written")


def test_limit_copy_of_the_output(benchmark: Any) -> None:
    size = BATCH * LENGTH * 24
    ready = [np.ones(size, np.uint8) for _ in range(64)]
    pairs = itertools.cycle(
        zip(ready, itertools.cycle([np.ones(size, np.uint8) for _ in range(8)]), strict=False)
    )

    def draw() -> None:
        source, target = next(pairs)
        np.copyto(target, source)

    _measure(benchmark, "limit: a copy of as many bytes", draw)


def test_ours(benchmark: Any, folder: Path) -> None:
    data = {
        "dataset_name": "w2v",
        "batch_size": BATCH,
        "batch": {"pack": {"column": "tokens", "length": LENGTH}},
        "mixture": [{"artifact": str(folder)}],
    }
    loader = build_loader({"data": data}, "train")
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    stored = int(np.load(folder / "offsets.npy", mmap_mode="r")[-1])
    assert isinstance(loader.sampler, ShardSampler)
    filled = stored / (loader.sampler.plan.records * LENGTH)
    _measure(benchmark, "nexa-data, packed rows", lambda: next(batches), filled=filled)


def test_stream_cut_by_hand(benchmark: Any, folder: Path) -> None:
    offsets, tokens = np.load(folder / "offsets.npy"), np.load(folder / "tokens.npy", mmap_mode="r")

    def batches() -> Iterator[dict[str, torch.Tensor]]:
        random, held, count = np.random.default_rng(0), [], 0
        positions = torch.arange(LENGTH).repeat(BATCH, 1)
        while True:
            for record in random.permutation(RECORDS):
                held.append(tokens[offsets[record] : offsets[record + 1]])
                count += len(held[-1])
                if count >= BATCH * LENGTH:
                    stream = np.concatenate(held)
                    ids = torch.from_numpy(stream[: BATCH * LENGTH].astype(np.int64)).view(BATCH, LENGTH)
                    held = [stream[BATCH * LENGTH :]]
                    count = len(held[0])
                    yield {"input_ids": ids, "labels": ids.clone(), "position_ids": positions.clone()}

    drawn = batches()
    _measure(benchmark, "concatenated and cut by hand, numpy", lambda: next(drawn))
