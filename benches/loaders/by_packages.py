"""Packages with a loader or a format of their own, as their documentation uses them."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.loaders.contestants import SEED, contestant, forever
from benches.loaders.data import arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from benches.loaders.data import Workload


def _once(folder: Path, write: Callable[[Path], None]) -> Path:
    """Write a format unless it is there whole."""
    if not (folder / ".done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write(folder)
        (folder / ".done").touch()
    return folder


def _records(folder: Path, work: Workload) -> Iterator[dict[str, Any]]:
    names = ["wide", "label"][: 1 + work.labels]
    columns = [column[: work.few] for column in arrays(folder)]
    for row in range(work.few):
        yield {name: column[row] for name, column in zip(names, columns, strict=True)}


def _table(folder: Path, records: int) -> pa.Table:
    import pyarrow as pa

    columns = [np.array(column[:records]) for column in arrays(folder)]
    wide = pa.FixedSizeListArray.from_arrays(pa.array(columns[0].reshape(-1)), columns[0].shape[1])
    named = {"wide": wide} | ({"label": pa.array(columns[1])} if len(columns) > 1 else {})
    return pa.table(named)


@contestant("MosaicML Streaming", "peer", few=True, needs="streaming")
def mosaic(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """MDS shards, StreamingDataset under DataLoader."""
    from streaming import MDSWriter, StreamingDataset
    from torch.utils.data import DataLoader

    def write(place: Path) -> None:
        columns = {"wide": f"ndarray:{work.dtype}:{work.width}"} | ({"label": "int"} if work.labels else {})
        with MDSWriter(out=str(place / "mds"), columns=columns) as out:
            for record in _records(folder, work):
                out.write({key: int(value) if key == "label" else value for key, value in record.items()})

    place = _once(folder / "streaming", write)

    def batches() -> Iterator[Any]:
        dataset = StreamingDataset(local=str(place / "mds"), shuffle=True, batch_size=work.batch)
        return forever(DataLoader(dataset, batch_size=work.batch, drop_last=True))

    return batches


@contestant("LitData", "peer", few=True, needs="litdata")
def litdata(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """Its own chunks, StreamingDataLoader."""
    import torch
    from litdata import StreamingDataLoader, StreamingDataset
    from litdata.streaming.cache import Cache

    def write(place: Path) -> None:
        cache = Cache(str(place / "chunks"), chunk_bytes="64MB")
        for number, record in enumerate(_records(folder, work)):
            cache[number] = {key: torch.as_tensor(np.array(value)) for key, value in record.items()}
        cache.done()
        cache.merge()

    place = _once(folder / "litdata", write)
    return lambda: forever(
        StreamingDataLoader(
            StreamingDataset(str(place / "chunks"), shuffle=True, drop_last=True),
            batch_size=work.batch,
            num_workers=0,
        )
    )


@contestant("WebDataset", "peer", few=True, needs="webdataset")
def webdataset(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """Tar shards, a shuffle buffer of 1,000."""
    import webdataset as wds

    def write(place: Path) -> None:
        with wds.ShardWriter(str(place / "part-%05d.tar"), maxcount=20_000, verbose=0) as out:
            for number, record in enumerate(_records(folder, work)):
                sample = {"__key__": f"{number:08d}", "wide.npy": np.array(record["wide"])}
                out.write(sample | ({"label.cls": int(record["label"])} if work.labels else {}))

    place = _once(folder / "webdataset", write)
    urls = sorted(str(path) for path in place.glob("*.tar"))
    names = ["wide.npy", "label.cls"][: 1 + work.labels]

    def batches() -> Iterator[Any]:
        data = wds.WebDataset(urls, shardshuffle=len(urls), seed=SEED).shuffle(1000).decode()
        return forever(data.to_tuple(*names).batched(work.batch, partial=False))

    return batches


@contestant("Grain over numpy", "peer", few=True, needs="grain")
def grain(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """MapDataset over mapped arrays."""
    from grain import MapDataset

    columns = [column[: work.few] for column in arrays(folder)]

    class Source:
        def __len__(self) -> int:
            return work.few

        def __getitem__(self, index: int) -> Any:
            return tuple(np.array(column[index]) for column in columns)

    def batches() -> Iterator[Any]:
        data = MapDataset.source(Source()).shuffle(seed=SEED).repeat()
        return iter(data.batch(work.batch, drop_remainder=True).to_iter_dataset())

    return batches


@contestant("HF datasets, torch format, iter(batch)", "peer", few=True, needs="datasets")
def hugging_face(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """Arrow on disk, shuffled by an indices mapping."""
    from datasets import Dataset, load_from_disk

    place = _once(
        folder / "hf", lambda place: Dataset(_table(folder, work.few)).save_to_disk(str(place / "data"))
    )

    def batches() -> Iterator[Any]:
        data = load_from_disk(str(place / "data")).with_format("torch")
        epochs = (
            data.shuffle(seed=SEED + epoch).iter(batch_size=work.batch, drop_last_batch=True)
            for epoch in itertools.count()
        )
        return itertools.chain.from_iterable(epochs)

    return batches


@contestant("Lance take", "peer", needs="lance")
def lance_take(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """Random access by a drawn permutation."""
    import lance
    import torch

    place = _once(
        folder / "lance",
        lambda place: lance.write_dataset(_table(folder, work.records), str(place / "data.lance")),
    )

    def batches() -> Iterator[Any]:
        data = lance.dataset(str(place / "data.lance"))
        while True:
            order = np.random.default_rng(SEED).permutation(work.records)
            for start in range(0, work.records - work.batch + 1, work.batch):
                found = data.take(order[start : start + work.batch])
                wide = found["wide"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
                yield torch.from_numpy(wide.reshape(-1, work.width).copy())

    return batches


@contestant("Lance scan (unshuffled)", "scan", needs="lance")
def lance_scan(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """Sequential batches."""
    import lance
    import torch

    lance_take(folder, work)

    def batches() -> Iterator[Any]:
        data = lance.dataset(str(folder / "lance" / "data.lance"))
        while True:
            for found in data.to_batches(batch_size=work.batch):
                wide = found.column("wide").flatten().to_numpy(zero_copy_only=False)
                yield torch.from_numpy(wide.reshape(-1, work.width).copy())

    return batches


@contestant("SPDL, the hand-written gather in 1 thread", "peer", needs="spdl")
def spdl(folder: Path, work: Workload) -> Callable[[], Iterator[Any]]:
    """A pipeline of one stage."""
    import torch
    from spdl.pipeline import PipelineBuilder

    columns = arrays(folder)
    order = np.random.default_rng(SEED).permutation(work.records)

    def assemble(number: int) -> Any:
        rows = order[number * work.batch : (number + 1) * work.batch]
        return tuple(torch.from_numpy(column[rows]) for column in columns)

    def batches() -> Iterator[Any]:
        numbers = itertools.cycle(range(work.records // work.batch))
        pipeline = (
            PipelineBuilder().add_source(numbers).pipe(assemble, concurrency=1).add_sink(8).build(num_threads=1)
        )
        with pipeline.auto_stop():
            yield from pipeline

    return batches
