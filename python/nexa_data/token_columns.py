"""From lists of lists, as the collector writes a completion's tokens, to columns that a batch can hold as tensors."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.errors import RecordError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["TOKEN_TABLE_NAME", "TokenTable", "token_batch"]

TOKEN_TABLE_NAME = "tokens.arrow"  # noqa: S105 (no password)
"""File of an artifact that has the bytes of each token id."""

_LISTED = frozenset(
    {"text", "token_bytes", "token_ids", "token_logprobs", "top_bytes", "top_ids", "top_logprobs"}
)
_ROUNDING = 1e-3
"""By how much a server's logarithm of 1 may be above 0."""


class TokenTable:
    """Numbers of tokens: the server's, or those of their bytes in the order in which they come.

    Args:
        names: `ids`, `bytes` or `auto`, which the first batch decides.
    """

    def __init__(self, names: str) -> None:
        self.names = names
        self._numbers: dict[bytes, int] = {}

    @property
    def by_bytes(self) -> bool:
        """Whether tokens are numbered here."""
        return self.names == "bytes"

    def dumps(self) -> bytes:
        """Return the table as an Arrow IPC file: row number to `bytes`."""
        import pyarrow as pa

        table = pa.table({"bytes": pa.array(list(self._numbers), pa.binary())})
        sink = io.BytesIO()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue()

    def ids(self, batch: pa.RecordBatch, which: str, first: int) -> tuple[pa.Array, npt.NDArray[np.int32]]:
        """Return the lists of tokens (`token`) or of alternatives (`top`), and the ids at their bottom.

        Raises:
            RecordError: A row doesn't have what names its tokens.
        """
        if self.names == "auto":
            self.names = "ids" if all(_has(batch, f"{part}_ids") for part in ("token", "top")) else "bytes"
        name = f"{which}_{self.names}"
        if not _has(batch, name):
            other = "bytes" if self.names == "ids" else "ids"
            raise RecordError(
                f"rows {first} to {first + batch.num_rows - 1}: {name} is missing in some",
                remedy=f"name the tokens by {other}, if all rows have them",
            )
        column = batch.column(name)
        flat = _bottom(column)
        if not self.by_bytes:
            return column, flat.to_numpy(zero_copy_only=False).astype(np.int32)
        encoded = flat.dictionary_encode()
        known = [
            self._numbers.setdefault(each, len(self._numbers)) for each in encoded.dictionary.to_pylist()
        ]
        numbers: npt.NDArray[np.int32] = np.array(known, np.int32)[encoded.indices.to_numpy()]
        return column, numbers


def _has(batch: pa.RecordBatch, name: str) -> bool:
    if name not in batch.schema.names:
        return False
    column = batch.column(name)
    return not column.null_count and not _bottom(column).null_count


def _bottom(column: pa.Array) -> pa.Array:
    """Return the values of lists, or of lists of lists, end to end."""
    import pyarrow as pa

    while isinstance(column, pa.ListArray | pa.LargeListArray):
        column = column.flatten()
    return column


def token_batch(
    batch: pa.RecordBatch, table: TokenTable, top_k: int, dtype: str, first: int
) -> pa.RecordBatch:
    """Return a batch as it is stored; see `materialize_token_targets`.

    Args:
        batch: Rows as the collector writes them.
        table: Numbers of tokens.
        top_k: Alternatives of a token, K.
        dtype: Type of the logarithms.
        first: Number of the first row, for messages.

    Raises:
        RecordError: A row's lists don't fit each other, or a logarithm is NaN or of more than 1.
    """
    import pyarrow as pa

    chosen, token_ids = table.ids(batch, "token", first)
    listed, top_ids = table.ids(batch, "top", first)
    counts, alternatives = _lengths(chosen), _lengths(listed.flatten())
    _require_alike(batch, listed, counts, alternatives, first)
    offsets = pa.array(np.concatenate([[0], counts.cumsum()]).astype(np.int32))
    logprobs = _logprobs(batch.column("token_logprobs"), first)
    ids, tops, mass = _largest(top_ids, _logprobs(batch.column("top_logprobs"), first), alternatives, top_k)

    def lists(values: npt.NDArray[Any]) -> pa.Array:
        items = pa.array(values.reshape(-1))
        items = items if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(items, top_k)
        return pa.ListArray.from_arrays(offsets, items)

    arrays = {
        "text": batch.column("text"),
        "token_ids": lists(token_ids),
        "token_logprobs": lists(logprobs.astype(dtype)),
        "top_ids": lists(ids),
        "top_logprobs": lists(tops.astype(dtype)),
        "residual_mass": lists(mass),
    }
    arrays |= _others(batch, set(arrays), first)
    fields = [pa.field(name, array.type, nullable=False) for name, array in arrays.items()]
    return pa.record_batch(list(arrays.values()), schema=pa.schema(fields))


def _others(batch: pa.RecordBatch, taken: set[str], first: int) -> dict[str, pa.Array]:
    """Return the columns that aren't about tokens."""
    names = [name for name in batch.schema.names if name not in _LISTED]
    for name in names:
        if name in taken or batch.column(name).null_count:
            raise RecordError(
                f"rows {first} to {first + batch.num_rows - 1}: column {name!r} "
                + ("is what the dataset calls one of its own" if name in taken else "is null in some"),
                remedy="fill it, or leave it out",
            )
    return {name: batch.column(name) for name in names}


def _require_alike(
    batch: pa.RecordBatch,
    listed: pa.Array,
    counts: npt.NDArray[np.int64],
    alternatives: npt.NDArray[np.int64],
    first: int,
) -> None:
    """Refuse rows whose lists don't have one item for each token, and for each of its alternatives."""
    tops = batch.column("top_logprobs")
    wrong = np.zeros(len(counts), bool)
    for column in (batch.column("token_logprobs"), tops, listed):
        wrong |= _lengths(column) != counts
    if not wrong.any():
        of_token = np.repeat(np.arange(len(counts)), counts)
        wrong[of_token[_lengths(tops.flatten()) != alternatives]] = True
    if wrong.any():
        raise RecordError(
            f"row {first + int(np.argmax(wrong))}: lists of logarithms and of tokens differ in length",
            remedy="the file is damaged: collect the row again",
        )


def _lengths(column: pa.Array) -> npt.NDArray[np.int64]:
    import pyarrow.compute as pc

    found: npt.NDArray[np.int64] = (
        pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    )
    return found


def _logprobs(column: pa.Array, first: int) -> npt.NDArray[np.float32]:
    values: npt.NDArray[np.float32] = _bottom(column).to_numpy(zero_copy_only=False).astype(np.float32)
    if not (values <= _ROUNDING).all():  # NaN isn't either
        raise RecordError(
            f"rows {first} to {first + len(column) - 1}: a log probability is NaN or above 0",
            remedy="the file is damaged: collect the rows again",
        )
    return np.minimum(values, 0.0)


def _largest(
    ids: npt.NDArray[np.int32], logprobs: npt.NDArray[np.float32], counts: npt.NDArray[np.int64], top_k: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return ids (T, K) and logarithms (T, K) of each token's largest alternatives, and the mass of all others (T,)."""
    n = len(counts)
    token = np.repeat(np.arange(n), counts)
    order = np.lexsort((-logprobs, token))
    place = np.arange(len(token)) - np.repeat(counts.cumsum() - counts, counts)
    kept = place < top_k
    order, at = order[kept], (token[kept], place[kept])
    found, tops = np.zeros((n, top_k), np.int32), np.full((n, top_k), -np.inf, np.float32)
    found[at], tops[at] = ids[order], logprobs[order]
    mass = 1.0 - np.exp(tops.astype(np.float64)).sum(axis=1)
    return found, tops, mass.clip(0.0, 1.0).astype(np.float32)
