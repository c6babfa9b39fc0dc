"""WebDataset tar with three members a sample (.cls, .npy, .txt): ours beside the package `webdataset` and `tarfile`."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.decode.agreement import Sums, of_records
from benches.decode.contestants import Contestant, Form, file_read, ours
from benches.decode.data import chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_MEMBERS = 3


def _npy(features: list[float]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(features, np.float32))
    return file.getvalue()


def _write(path: Path, rows: int) -> None:
    with tarfile.open(path, "w") as tar:
        for chunk in chunks(rows):
            for number, label, features, text in zip(*chunk.values(), strict=True):
                members = {"cls": str(label).encode(), "npy": _npy(features), "txt": text.encode()}
                for name, data in members.items():
                    member = tarfile.TarInfo(f"{number:08d}.{name}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


def _samples(path: Path, *, decoded: bool) -> Iterator[dict[str, Any]]:
    import webdataset

    samples = webdataset.WebDataset(str(path), shardshuffle=False)
    return iter(samples.decode() if decoded else samples)


def _webdataset(path: Path, _: int) -> int:
    return sum(1 for _ in _samples(path, decoded=True))


def _raw(path: Path, _: int) -> int:
    return sum(1 for _ in _samples(path, decoded=False))


def _tarfile(path: Path, _: int) -> int:
    decode: dict[str, Callable[[bytes], object]] = {
        "cls": int,
        "npy": lambda data: np.load(io.BytesIO(data)),
        "txt": bytes.decode,
    }
    members = 0
    with tarfile.open(path) as tar:
        for member in tar:
            opened = tar.extractfile(member)
            assert opened is not None
            decode[member.name.rpartition(".")[2]](opened.read())
            members += 1
    return members // _MEMBERS


def _witness(path: Path) -> Sums:
    return of_records(
        {"id": each["__key__"], "label": each["cls"], "features": each["npy"], "text": each["txt"]}
        for each in _samples(path, decoded=True)
    )


FORMS = {
    "WebDataset": Form(
        "records.tar",
        _write,
        {
            "nexa-data": ours("webdataset"),
            "webdataset": Contestant(_webdataset, threads=(1,)),
            "tarfile": Contestant(_tarfile, threads=(1,)),
            "webdataset, not decoded": Contestant(_raw, "reference", (1,)),
            "file read": file_read(),
        },
        "webdataset",
        _witness,
        part=20,
    )
}
