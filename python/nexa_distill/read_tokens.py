"""From the collector's Parquet to completions with their tokens' alternatives, as `materialize_token_targets` takes them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from nexa_data.errors import RecordError

from nexa_distill.output_file import open_outputs, require_columns, rows_of
from nexa_distill.output_rows import why_missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from nexa_distill.read_outputs import Missing

__all__ = ["TokenTargets"]

_BATCH_ROWS = 64
_ANSWER = "teacher_output"
_TOKENS = ("token_bytes", "token_ids", "token_logprobs", "top_bytes", "top_ids", "top_logprobs")


@dataclass(frozen=True, slots=True)
class TokenTargets:
    """The rows of a collector's Parquet that have tokens with alternatives.

    Args:
        file: The Parquet file.
        carry: Further columns that travel along.
        missing: What is done with rows whose status isn't `ok`, or that have no log probabilities.
        skipped: Rows that were left out so far, by why.
    """

    file: Path
    carry: tuple[str, ...] = ()
    missing: Missing = "error"
    skipped: Counter[str] = field(default_factory=Counter)

    @classmethod
    def open(cls, path: Path, **options: Any) -> TokenTargets:
        """Return the token targets of an artifact folder or a Parquet file; see the class for the options.

        Raises:
            ShardNotFoundError: There is no such file.
            RecordError: It has no log probabilities, or no such column.
        """
        file, schema = open_outputs(path)
        if not {"token_logprobs", "top_logprobs", _ANSWER} <= set(schema.names):
            raise RecordError(f"{file} has no log probabilities of tokens", remedy="collect with logprobs")
        found = cls(file, **options)
        require_columns(file, schema, found.carry)
        return found

    @property
    def rows(self) -> int:
        """Rows of the file, those without tokens too."""
        return rows_of(self.file)

    def most_alternatives(self) -> int:
        """Return how many alternatives a token has at most; reads one column.

        Raises:
            RecordError: No row has any.
        """
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        most = 0
        # Buffered ahead, what was read would be kept to the file's end.
        with pq.ParquetFile(self.file, pre_buffer=False) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=["top_logprobs"]):
                counts = pc.list_value_length(batch.column(0).flatten())
                most = max(most, pc.max(counts).as_py() or 0)
        if not most:
            raise RecordError(f"{self.file}: no token has alternatives", remedy="collect with top_logprobs")
        return most

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order: `text`, the token columns that there are, and the carried ones.

        Raises:
            RecordError: A row has no tokens and `missing` is `error`; it names file and row.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.skipped.clear()
        # Buffered ahead, what was read would be kept to the file's end.
        with pq.ParquetFile(self.file, pre_buffer=False) as file:
            there = file.schema_arrow.names
            tokens = [name for name in _TOKENS if name in there]
            about = [name for name in ("status", "error") if name in there]
            columns = list(dict.fromkeys([_ANSWER, *tokens, *about, *self.carry]))
            first = 0
            for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
                rows = self._kept(batch, first)
                first += batch.num_rows
                if len(rows):
                    kept = batch.take(rows)
                    names = [*tokens, *self.carry]
                    yield pa.record_batch(
                        {"text": kept.column(_ANSWER)} | {name: kept.column(name) for name in names}
                    )

    def _kept(self, batch: pa.RecordBatch, first: int) -> Any:
        there = np.ones(batch.num_rows, bool)
        for name in (_ANSWER, "token_logprobs", "top_logprobs"):
            there &= batch.column(name).is_valid().to_numpy(zero_copy_only=False)
        if "status" in batch.schema.names:
            there &= np.array([status == "ok" for status in batch.column("status").to_pylist()], bool)
        for row in np.flatnonzero(~there).tolist():
            status = batch.column("status")[row].as_py() if "status" in batch.schema.names else "ok"
            kind, why = (
                ("no tokens", "has no log probabilities") if status == "ok" else why_missing(batch, row)
            )
            if self.missing == "error":
                raise RecordError(
                    f"{self.file}: row {first + row} {why}",
                    remedy="pass missing='skip' (--skip-missing) to leave such rows out",
                )
            self.skipped[kind] += 1
        return np.flatnonzero(there)
