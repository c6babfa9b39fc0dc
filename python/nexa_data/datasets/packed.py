"""Sequences packed into rows of one length: batches of ids, labels, positions and bounds of documents."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from nexa_data import _core
from nexa_data.config_columns import PackConfig, parse_pack
from nexa_data.datasets.forms import tensor
from nexa_data.datasets.requests import BatchRequest
from nexa_data.datasets.shards import EpochOrder, ShardDataset, ShardSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from nexa_data.datasets.finish import Finish
    from nexa_data.holds import Hold

__all__ = ["PackedDataset", "PackedRequest"]

_KEPT_EPOCHS = 2


class PackedRequest(BatchRequest):
    """The rows of one batch: rows `start … start + rows` of a packed epoch, as a lazy sequence of row numbers.

    `order` is that of the records; a row is made of pieces of several.
    """

    __slots__ = ()

    def __getitem__(self, index: int | slice) -> Any:
        return range(self.start, self.start + self.rows)[index]

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.start + self.rows))

    def __reduce__(self) -> tuple[Any, ...]:
        return PackedRequest, (self.order, self.start, self.rows)


class PackedDataset(ShardDataset):
    """A dataset whose batches are rows of one length, filled with whole sequences as well as they fit.

    Each `pack.lookahead` consecutive positions of an epoch's order are packed together, the longest sequences first,
    each into the fullest row that has room. A sequence longer than a row is cut into pieces; a piece counts as a
    document. A batch is a mapping of

    - `input_ids` (B, L): the documents end to end, then `pack.pad_id`;
    - `labels` (B, L): the same, with `pack.ignore_index` where there is padding. They aren't shifted: models for causal
      language modelling shift them by one, and whoever computes the loss otherwise does so, and also decides whether the
      first token of a document is predicted from the last of the one before (`position_ids == 0` tells where);
    - `position_ids` (B, L): from 0 in each document, and in the padding;
    - `cu_seqlens` (documents + 1,), int32: where documents begin in the batch's B · L items, and at last their number. A
      row's padding is a document of its own, so that every item belongs to one.

    Rows that fill up a last batch (`tail: pad`) repeat others, have `pack.ignore_index` as labels, and a mask (B,) tells
    them. `len(dataset)` is the number of records, and `dataset[i]` a record, unpacked.

    Args:
        folder: Folder of the artifact, or of any catalog of Arrow shards; or the sources, if there are several.
        split: The split.
        pack: The packing, as `data.batch.pack`.
        finish: What is done to a batch then: a function of the whole batch.
        hold: Keeps a staged copy from being evicted.

    Raises:
        ConfigError: The column doesn't hold lists of integers that `pack.dtype` holds.
        CatalogError: There is no such split.
        RecordError: A shard isn't Arrow, is cut short, or has no such column.
    """

    def __init__(
        self,
        folder: Path | str | Sequence[ShardSource],
        split: str = "train",
        *,
        pack: PackConfig | Mapping[str, Any],
        finish: Finish | None = None,
        hold: Hold | Sequence[Hold | None] | None = None,
    ) -> None:
        self.pack = parse_pack(pack)
        column = self.pack.column
        super().__init__(
            folder,
            split,
            columns=(column,),
            as_dict=True,
            convert={column: self.pack.dtype},
            finish=finish,
            hold=hold,
        )

    def _open(self) -> None:
        super()._open()
        self._epochs: dict[EpochOrder, _core.PackedEpoch] = {}
        self._last: tuple[EpochOrder, _core.PackedEpoch] | None = None

    def __getstate__(self) -> dict[str, Any]:
        native = {"_epochs", "_last", "_packer"}
        return {key: value for key, value in super().__getstate__().items() if key not in native}

    @property
    def row_bytes(self) -> int:
        """Bytes of a row over ids, labels and positions."""
        return 3 * self.pack.length * (4 if self.pack.dtype == "int32" else 8)

    def epoch(self, order: EpochOrder) -> _core.PackedEpoch:
        """Return the rows of the epoch that has this order, of all records of the split."""
        last = self._last
        if last is not None and last[0] is order:
            return last[1]
        found = self._epochs.get(order)
        if found is None:
            found = self._epochs[order] = self._packer.epoch(self.native(order))
            while len(self._epochs) > _KEPT_EPOCHS:
                del self._epochs[next(iter(self._epochs))]
        # All batches of an epoch come with one order: comparing it whole takes longer than asking for a batch.
        self._last = order, found
        return found

    @cached_property
    def _packer(self) -> _core.Packer:
        """The sequences' lengths, read when an epoch is first asked for."""
        pack = self.pack
        return _core.Packer(
            self._assembler,
            length=pack.length,
            window=pack.lookahead,
            pad_id=pack.pad_id,
            ignore_index=pack.ignore_index,
        )

    def submit(self, order: EpochOrder, native: _core.Order, start: int, rows: int) -> PackedRequest:  # noqa: ARG002 (an epoch's rows have no order but their own)
        """Return a request whose rows are being packed on the native core's threads."""
        ticket = self._assembler.submit_packed(self.epoch(order), start, rows)
        return PackedRequest(order, start, rows, ticket=ticket)

    def request(self, order: EpochOrder, native: _core.Order, start: int, rows: int) -> PackedRequest:  # noqa: ARG002 (as above)
        """Return a request whose rows are packed when it is asked for."""
        return PackedRequest(order, start, rows)

    def __getitem__(self, index: int | Sequence[int]) -> Any:
        if not isinstance(index, PackedRequest):
            return super().__getitem__(index)
        batch = self._packed(index)
        if self.finish is None:
            return batch
        real = len(index)
        if self.finish.masked:
            real = max(0, min(real, self.epoch(index.order).rows - index.start))
            # A row that stands in for none is no text to learn from, whoever forgets the mask.
            batch["labels"][real:] = self.pack.ignore_index
        return self.finish.batch(batch, len(index), real)

    def _packed(self, index: PackedRequest) -> dict[str, Tensor]:
        ticket, index.ticket = index.ticket, None
        if ticket is not None:
            return self._rows(ticket.wait(), len(index))
        return self._rows(
            self._assembler.take_packed(self.epoch(index.order), index.start, len(index)), len(index)
        )

    def _rows(self, buffers: Sequence[_core.Buffer], rows: int) -> dict[str, Tensor]:
        ids, labels, positions, bounds = buffers
        dtype, shape = self.pack.dtype, (rows, self.pack.length)
        return {
            "input_ids": tensor(ids, dtype, shape),
            "labels": tensor(labels, dtype, shape),
            "position_ids": tensor(positions, dtype, shape),
            "cu_seqlens": tensor(bounds, "int32", (len(bounds) // 4,)),
        }
