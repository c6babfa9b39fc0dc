"""What is done to a batch after the native core has assembled it: the user's functions, and the mask of a padded tail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nexa_data.errors import ConfigError
from nexa_data.optional import needed

with needed("torch", "a batch"):
    import torch
    from torch.utils.data import default_collate

__all__ = ["MASK", "Finish", "Records", "Whole", "apart", "collate"]

MASK = "mask"
"""Key of the mask in a batch that is a mapping."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The steps from an assembled batch to what the training loop gets; a dataset carries them to other processes.

    Args:
        transform: Function of the whole batch; what it returns is the batch.
        sample_transform: Function of one record, `(features, label)` or a mapping as `dataset[i]` gives it. It makes
            Python objects for every record, which is the slow way.
        collate_fn: Function of the list of records, torch's `default_collate` if there is only a `sample_transform`.
        masked: Give each batch a boolean mask (B,), True for records and False for padding: as the key `mask` of a
            mapping, else as one more element of the tuple.
    """

    transform: Callable[[Any], Any] | None = None
    sample_transform: Callable[[Any], Any] | None = None
    collate_fn: Callable[[list[Any]], Any] | None = None
    masked: bool = False

    @property
    def by_record(self) -> bool:
        """Whether a batch is taken apart into records."""
        return self.sample_transform is not None or self.collate_fn is not None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return self.transform is None and not self.by_record and not self.masked

    def record(self, record: Any) -> Any:
        """Return one record as the user wants it."""
        return record if self.sample_transform is None else self.sample_transform(record)

    def batch(self, batch: Any, rows: int, real: int) -> Any:
        """Return the batch as the training loop gets it.

        Args:
            batch: A tuple of columns or a mapping of them, `rows` long.
            rows: Its records.
            real: How many of them are no padding; they stand in front.
        """
        if self.by_record:
            collated = self.collate_fn or default_collate
            batch = collated([self.record(each) for each in apart(batch)])
        if self.masked:
            batch = _with_mask(batch, torch.arange(rows) < real)
        return batch if self.transform is None else self.transform(batch)


def apart(batch: Any) -> list[Any]:
    """Return the records of a batch, each in the form that `dataset[i]` has."""
    if isinstance(batch, Mapping):
        names = list(batch)
        return [dict(zip(names, each, strict=True)) for each in zip(*map(_rows, batch.values()), strict=True)]
    return list(zip(*map(_rows, batch), strict=True))


def _rows(column: Any) -> Any:
    return column.unbind() if isinstance(column, torch.Tensor) else column


def _with_mask(batch: Any, mask: torch.Tensor) -> Any:
    if isinstance(batch, Mapping):
        return {**batch, MASK: mask}
    if isinstance(batch, tuple | list):
        return (*batch, mask)
    raise ConfigError(
        f"data.batch.tail is pad, but collate_fn returned a {type(batch).__name__}, which has no place for the mask",
        remedy="let it return a tuple or a mapping, or choose another tail",
    )


class Whole:
    """A batch that was drawn whole, on its way through torch's fetcher to `collate`.

    Args:
        batch: The batch.
    """

    __slots__ = ("batch",)

    def __init__(self, batch: Any) -> None:
        self.batch = batch


class Records(list[Any]):
    """Records for somebody else's collate function; `collate` takes the whole batch instead.

    Args:
        records: The records.
        whole: Returns the batch of the same records.
    """

    def __init__(self, records: list[Any], whole: Callable[[], Any]) -> None:
        super().__init__(records)
        self.whole = whole


def collate(drawn: Any) -> Any:
    """Return the batch that our dataset has assembled, however torch's fetcher drew it."""
    if isinstance(drawn, Whole):
        return drawn.batch
    if isinstance(drawn, Records):
        return drawn.whole()
    return drawn
