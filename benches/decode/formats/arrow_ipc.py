"""Arrow IPC files, mapped: ours and pyarrow, whose buffers are then read, beside a bare read of the mapping.

Nothing is decoded in such a file, so that a reader that only maps it has no rate. What it hands out is read then, in one of two ways: a byte of
every page, or every byte, eight at a time. The limit does the same with the mapping itself.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.decode.agreement import Sums, of_batches
from benches.decode.contestants import Contestant, Form
from benches.decode.formats.arrow_tables import GROUPS, table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyarrow as pa

    Touch = Callable[[Any], int]


def _a_byte_a_page(buffer: Any) -> int:
    return int(np.frombuffer(buffer, np.uint8)[:: mmap.PAGESIZE].max(initial=0))


def _all_bytes(buffer: Any) -> int:
    return int(np.frombuffer(buffer, np.uint64, len(memoryview(buffer).cast("B")) // 8).max(initial=0))


def _write(path: Path, rows: int) -> None:
    import pyarrow as pa

    records = table("fixed", rows)
    with pa.ipc.new_file(path, records.schema) as file:
        file.write_table(records, max_chunksize=-(-rows // GROUPS))


def _touched(batch: pa.RecordBatch, touch: Touch) -> int:
    for column in batch.columns:
        for buffer in column.buffers():
            if buffer is not None:
                touch(buffer)
    return int(batch.num_rows)


def _ours(touch: Touch) -> Contestant:
    def read(path: Path, _: int) -> int:
        import pyarrow as pa
        from nexa_data import _core

        batches = _core.SourceReader(path, "arrow").batches(threads=1)
        return sum(_touched(pa.record_batch(batch), touch) for _, batch, _ in batches)

    return Contestant(read, "ours", (1,))


def _pyarrow(touch: Touch) -> Contestant:
    def read(path: Path, _: int) -> int:
        import pyarrow as pa

        with pa.memory_map(str(path)) as mapped:
            file = pa.ipc.open_file(mapped)
            return sum(_touched(file.get_batch(at), touch) for at in range(file.num_record_batches))

    return Contestant(read, "peer", (1,))


def _bare(touch: Touch) -> Contestant:
    def read(path: Path, _: int) -> None:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            touch(mapped)

    return Contestant(read, "limit", (1,))


def _witness(path: Path) -> Sums:
    import pyarrow as pa

    with pa.memory_map(str(path)) as mapped:
        return of_batches(pa.ipc.open_file(mapped).read_all().to_batches())


FORMS = {
    f"Arrow IPC {how}": Form(
        "records.arrow",
        _write,
        {"nexa-data": _ours(touch), "pyarrow": _pyarrow(touch), "bare read of the mapping": _bare(touch)},
        "arrow",
        _witness,
    )
    for how, touch in {"a byte a page": _a_byte_a_page, "all bytes": _all_bytes}.items()
}
