"""The records of a split as torch sees them: by number, or a whole batch at once, assembled natively."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nexa_data import _core
from nexa_data.artifacts import digest_text
from nexa_data.datasets.finish import Finish, Records, Whole, apart
from nexa_data.datasets.forms import BatchForms, ColumnForms, named, one_record
from nexa_data.datasets.loader_stats import LoaderStats
from nexa_data.datasets.orders import EpochOrder
from nexa_data.datasets.requests import BatchRequest
from nexa_data.datasets.sources import LABEL, ShardSource, select
from nexa_data.datasets.sparse_labels import SparseLabels, label_form
from nexa_data.errors import ConfigError
from nexa_data.holds import hold_artifact
from nexa_data.optional import needed

with needed("torch", "ShardDataset"):
    from torch.utils.data import Dataset

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from nexa_data.holds import Hold

__all__ = ["BatchRequest", "EpochOrder", "ShardDataset", "ShardSource"]

AUGMENTED = ("features", "label")
"""Columns that an augmentation takes and returns."""

Batch = Any
"""`(features, labels)` or a mapping of column to tensor, to `Ragged`, or to a list of text."""


if hasattr(os, "register_at_fork"):
    # A batch that a thread is assembling just now would leave its locks locked in the child.
    os.register_at_fork(
        before=_core.before_fork,
        after_in_parent=_core.after_fork,
        after_in_child=_core.after_fork_in_child,
    )


class _Augment(Protocol):
    def __call__(
        self,
        features: Tensor,
        labels: Tensor,
        *,
        epoch: int,
        position: int,
        rows: npt.NDArray[np.uint64],
    ) -> tuple[Tensor, Tensor]: ...


class ShardDataset(Dataset[Any]):
    """A map-style dataset over one split of an artifact, or over several, one after the other.

    `dataset[i]` is record i: `(features, label)`. `dataset[request]`, with what our sampler yields, and
    `dataset[[4, 2, 7]]` are whole batches. Batches lie in memory that is the caller's own: aligned, writable, and
    returned to a pool when the last tensor on it dies.

    Args:
        folder: Folder of the artifact (prepared or staged), or of any catalog of Arrow shards; or the sources, if there
            are several.
        split: The split; sources name their own.
        columns: Columns to load, in their order.
        as_dict: Batches as a mapping of column to tensor instead of a tuple.
        augment: What is done to the features and labels of each batch of a request.
        finish: What is done to a batch then: the user's functions, and the mask of a padded tail.
        hold: Keeps a staged copy from being evicted; it is held as long as the dataset lives.
        allow_labels: Class ids that records must have to be in the dataset: the label column is read once, and
            records are numbered among those that are kept.
        convert: Another type of numbers for some columns, as `data.batch.convert`. Soft labels that are stored as
            float16 become float32 without it.
        ragged: Form of some columns of lists, as `data.batch.ragged`.
        residual: What becomes of the residual mass of labels that are stored sparse, as `data.batch.residual`; default:
            as the dataset says.
        borrow: Hand out batches of records that lie together where they lie, without a copy. They may be written: a
            page that is written is this process's own from then on, so that later batches show the change, and the
            file doesn't. Other batches (shuffled, over a chunk's end, converted, boolean or compressed) are copies.
        direct: Read the blocks of an order by blocks past the page cache, a window ahead, instead of mapping the
            shards; None: if they are more than memory holds. The batches are the same.

    Raises:
        ConfigError: `augment` is given, but not both columns that it wants; no record has one of `allow_labels`; a
            column can't become what is asked.
        CatalogError: There is no such split.
        RecordError: A shard isn't Arrow, is cut short, or has no such column.

    Example:
        >>> import tempfile
        >>> from nexa_data.prepare import prepare_from_config
        >>> meta = prepare_from_config({
        ...     "data": {"dataset_name": "synthetic", "preprocessing": {"num_samples": 500, "num_features": 3}},
        ...     "experiment": {"output_dir": tempfile.mkdtemp()},
        ... })
        >>> features, labels = ShardDataset(meta.path, "train")[[0, 1, 2, 3]]
        >>> tuple(features.shape), labels.dtype
        ((4, 3), torch.int64)
    """

    def __init__(  # noqa: PLR0913 (what a config may say of a batch)
        self,
        folder: Path | str | Sequence[ShardSource],
        split: str = "train",
        *,
        columns: Sequence[str] = ("features", "label"),
        as_dict: bool = False,
        augment: _Augment | None = None,
        finish: Finish | None = None,
        hold: Hold | Sequence[Hold | None] | None = None,
        allow_labels: Sequence[int] | None = None,
        convert: Mapping[str, Any] | None = None,
        ragged: Mapping[str, Any] | None = None,
        residual: str | None = None,
        borrow: bool = False,
        direct: bool | None = False,
    ) -> None:
        if isinstance(folder, Path | str):
            allowed = None if allow_labels is None else tuple(allow_labels)
            folder = [ShardSource(Path(folder).resolve(), split, allowed)]
        self.sources = tuple(folder)
        self.split = split
        self.columns = tuple(columns)
        self.as_dict = as_dict
        self.augment = augment
        self.finish = None if finish is None or finish.idle else finish
        self._asked_epoch: int | None = None
        forms = ColumnForms.of(convert, ragged, self.columns)
        self.sparse = SparseLabels.of(self.sources, self.columns, residual, forms)
        self.stored = self.columns if self.sparse is None else self.sparse.stored(self.columns)
        """Columns that are read; those that are handed out may be made of them."""
        self.forms = forms.without(LABEL) if self.sparse else label_form(forms, self.sources, self.columns)
        self.borrow = borrow
        self.direct = direct
        self._hold = hold
        if augment is not None and not set(AUGMENTED) <= set(self.columns):
            raise ConfigError(
                f"data.augmentations want the columns {' and '.join(AUGMENTED)}, data.batch.columns has {', '.join(self.columns)}",
                remedy="name both in data.batch.columns, or leave the augmentations out",
            )
        self._parts = [source.shards() for source in self.sources]
        self._open()

    def _open(self) -> None:
        self._selection, self.source_records = select(self.sources, self._parts)
        self._assembler = _core.Assembler(
            self._shards(),
            list(self.stored),
            **self.forms.native(),
            borrow=self.borrow,
            direct=self.direct,
            selection=self._selection,
        )
        self._forms = BatchForms(self._assembler, self.stored, self.forms)
        self._drawn: tuple[EpochOrder, _core.Order] | None = None
        self._lists = self._forms.ragged & set(self.columns)
        if self._lists and not self.as_dict:
            raise ConfigError(
                f"columns {', '.join(self.columns)} hold lists or text, which a tuple of tensors doesn't",
                remedy="set data.batch.as to dict",
            )
        if self.finish is not None and self.finish.by_record and self._lists:
            raise ConfigError(
                f"sample_transform and collate_fn take records of equal rows, and {', '.join(sorted(self._lists))} hold lists or text",
                remedy="use transform=, which takes the whole batch",
            )
        if self.augment is not None and self._forms.ragged & set(AUGMENTED):
            raise ConfigError(
                f"data.augmentations change tensors, and {' and '.join(self._forms.ragged & set(AUGMENTED))} are lists",
                remedy="leave the augmentations out",
            )

    def __getstate__(self) -> dict[str, Any]:
        native = {"_assembler", "_forms", "_lists", "_selection", "_drawn", "classes"}
        state = {key: value for key, value in self.__dict__.items() if key not in native}
        return state | {"_hold": self._hold is not None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A descriptor belongs to its process; another one takes a hold of its own.
        hold = [hold_artifact(source.folder) for source in state["sources"]] if state["_hold"] else None
        self.__dict__.update(state | {"_hold": hold})
        self._open()

    def _shards(self) -> list[tuple[str, int]]:
        return [shard for part in self._parts for shard in part]

    @property
    def folder(self) -> Path:
        """Folder of the first source."""
        return self.sources[0].folder

    def __len__(self) -> int:
        return len(self._assembler)

    @property
    def record_bytes(self) -> int:
        """Bytes of a record over all columns."""
        return self._assembler.record_bytes

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the artifact (for a bare catalog, of what it says of its shards), of the filter, and of all sources."""
        found = [source.fingerprint for source in self.sources]
        return found[0] if len(found) == 1 else digest_text(*found)

    @cached_property
    def classes(self) -> tuple[list[int], list[int], _core.Selection]:
        """The labels that there are, how many records have each, and these records label by label; read when first asked for.

        Raises:
            RecordError: The labels aren't classes.
        """
        return _core.group_by_label(self._shards(), LABEL, self._selection)

    def native(self, order: EpochOrder) -> _core.Order:
        """Return the native order of an epoch; the last one is kept."""
        if self._drawn is None or self._drawn[0] != order:
            by_class = order.mixed is not None and order.mixed.by_class
            self._drawn = order, order.native(self.classes[2] if by_class else None)
        return self._drawn[1]

    def __getitem__(self, index: int | Sequence[int]) -> Batch:
        if isinstance(index, BatchRequest):
            batch = self._requested(index)
            return batch if self.finish is None else self.finish.batch(batch, index.rows, index.real)
        if isinstance(index, Sequence):
            batch = self._listed(index)
            return batch if self.finish is None else self.finish.batch(batch, len(index), len(index))
        tensors = self._values(self._assembler.take([self._checked(index)]), 1)
        record = self._form([one_record(tensor) for tensor in tensors])
        return record if self.finish is None else self.finish.record(record)

    def __getitems__(self, index: Sequence[int]) -> Whole | Records:
        """Return what a DataLoader's own fetcher hands to its collate function.

        That is the whole batch, where a batch of our sampler is asked for, else a list of the records, drawn at once
        where their rows are equal.
        """
        if isinstance(index, BatchRequest):
            return Whole(self[index])
        if self._lists:
            records = [self[at] for at in index]
        else:
            drawn = apart(self._listed(index))
            records = drawn if self.finish is None else [self.finish.record(each) for each in drawn]
        return Records(records, partial(self.__getitem__, index))

    def _values(self, buffers: Sequence[Any], rows: int) -> list[Any]:
        """Return what a batch of `rows` records holds of each column that is handed out."""
        found = self._forms.values(buffers, rows)
        return found if self.sparse is None else self.sparse.instead(self.columns, found)

    def _listed(self, index: Sequence[int]) -> Batch:
        taken = self._assembler.take([self._checked(at) for at in index])
        return self._form(self._values(taken, len(index)))

    def request(self, order: EpochOrder, native: _core.Order, start: int, rows: int) -> BatchRequest:
        """Return a request whose batch is assembled when it is asked for."""
        return BatchRequest(order, start, rows, native=native)

    def _checked(self, index: int) -> int:
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"record {index} is out of range: split {self.split!r} has {n}")
        return index % n

    def set_epoch(self, epoch: int) -> None:
        """Ask for the epoch that the sampler yields next: frameworks that hide our sampler tell its dataset.

        A fresh wrapper asks for epoch 0 when it begins; that doesn't undo an epoch that was asked for before.
        """
        if epoch or self._asked_epoch is None:
            self._asked_epoch = epoch

    def take_asked_epoch(self) -> int | None:
        """Return the epoch that was asked for since this was last called, None without."""
        asked, self._asked_epoch = self._asked_epoch, None
        return asked

    @property
    def ahead(self) -> int:
        """Batches submitted and neither taken nor given up."""
        return self._assembler.ahead

    def stats(self) -> LoaderStats:
        """Return what was done in this process so far, and where the time went."""
        idle, idle_bytes, live = self._assembler.pool_stats()
        return LoaderStats(
            **self._assembler.stats(), idle_buffers=idle, idle_bytes=idle_bytes, live_buffers=live
        )

    def submit(self, order: EpochOrder, native: _core.Order, start: int, rows: int) -> BatchRequest:
        """Return a request whose batch is being assembled on the native core's threads."""
        return BatchRequest(
            order, start, rows, native=native, ticket=self._assembler.submit(native, start, rows)
        )

    def _requested(self, request: BatchRequest) -> Batch:
        ticket, request.ticket = request.ticket, None
        request.settle(self)
        buffers = (
            ticket.wait()
            if ticket
            else self._assembler.take_ordered(request.native, request.start, request.rows)
        )
        tensors = self._values(buffers, request.rows)
        if self.augment is not None:
            at = [self.columns.index(name) for name in AUGMENTED]
            changed = self.augment(
                *(tensors[k] for k in at),
                epoch=request.order.epoch,
                position=request.start,
                rows=request.numbers(),
            )
            for k, tensor in zip(at, changed, strict=True):
                tensors[k] = tensor
        return self._form(tensors)

    def _form(self, tensors: list[Any]) -> Batch:
        if not self.as_dict:
            return tuple(tensors)
        return (
            dict(zip(self.columns, tensors, strict=True)) if not self._lists else named(self.columns, tensors)
        )
