"""The records as Arrow has them, for formats that are written from there: features as columns, as lists, or as lists of one length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benches.decode.data import FEATURES, chunks

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

GROUPS = 8
"""Row groups, or batches, that a file is cut into, so that threads have something to share out."""
SHAPES = ("flat", "list", "fixed")


def _features(shape: str, values: Any) -> dict[str, pa.Array]:
    import pyarrow as pa

    if shape == "flat":
        return {f"f{at}": pa.array(np.ascontiguousarray(values[:, at])) for at in range(FEATURES)}
    flat = pa.array(values.reshape(-1))
    if shape == "fixed":
        return {"features": pa.FixedSizeListArray.from_arrays(flat, FEATURES)}
    ends = np.arange(0, values.size + 1, FEATURES, dtype=np.int32)
    return {"features": pa.ListArray.from_arrays(pa.array(ends), flat)}


def tables(shape: str, rows: int) -> Iterator[pa.Table]:
    """Yield the records, some at a time."""
    import pyarrow as pa

    for chunk in chunks(rows):
        columns = _features(shape, np.array(chunk["features"], np.float32))
        ends = {name: pa.array(chunk[name], pa.int64()) for name in ("id", "label")}
        yield pa.table({**ends, **columns, "text": pa.array(chunk["text"])})


def table(shape: str, rows: int) -> pa.Table:
    """Return the records as one table."""
    import pyarrow as pa

    return pa.concat_tables(tables(shape, rows)).combine_chunks()
