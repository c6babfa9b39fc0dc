"""A dataset whose records are augmented when they are asked for."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from nexa_data.augment_chain import described
from nexa_data.datasets.synthetic import SyntheticClassificationDataset
from nexa_data.errors import RecordError
from nexa_data.optional import needed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from nexa_data.augment_chain import Chain

__all__ = ["AugmentedDataset"]

_log = logging.getLogger(__name__)


class AugmentedDataset(SyntheticClassificationDataset):
    """A view of a dataset: whoever asks for records gets them augmented.

    What a record draws depends on the seed, the augmentation's name, the epoch and its number; with whom mixup mixes it, also on
    what it is asked for together with. `materialize()` makes a dataset that holds the records.

    Args:
        base: The records.
        chain: What is done to them.
        num_features: Length of a feature vector afterwards.
    """

    def __init__(self, base: SyntheticClassificationDataset, chain: Chain, num_features: int) -> None:
        super().__init__(len(base), num_features, base.num_classes, base.seed, class_sep=base.class_sep)
        self.base = base
        self.chain = chain
        self._epoch = 0

    @property
    def augmentations(self) -> tuple[str, ...]:
        """Names of what is done to the records, the first one first."""
        return tuple(step.name for step in self.chain.steps)

    @property
    def epoch(self) -> int:
        """The epoch that random augmentations are drawn for."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Draw anew, as for another epoch; the same number draws the same."""
        self._epoch = epoch
        self.__dict__.pop("_tensors", None)

    def rows(
        self, numbers: Sequence[int] | npt.NDArray[np.uint64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return features (n, F) and labels (n,) or, as distributions, (n, C) of some records.

        Args:
            numbers: Their numbers, in any order, from 0.
        """
        wanted = np.ascontiguousarray(numbers, np.uint64)
        return self._augmented(*self.base.rows(wanted), wanted)

    def blocks(self) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
        """Yield (features, labels) of consecutive records, without holding the whole."""
        first = 0
        for features, labels in self.base.blocks():
            numbers = np.arange(first, first + len(labels), dtype=np.uint64)
            yield self._augmented(features, labels, numbers)
            first += len(labels)

    def materialize(self) -> SyntheticClassificationDataset:
        """Return a dataset that holds the records of this epoch; the time of each augmentation is logged."""
        before = [step.seconds for step in self.chain.steps]
        made = super().materialize()
        for step, started in zip(self.chain.steps, before, strict=True):
            _log.info(
                "augmentation %s, %s: %d records, %.3f s",
                step.name,
                described(step.function),
                len(made),
                step.seconds - started,
            )
        return made

    def _augmented(
        self,
        features: npt.NDArray[np.float32],
        labels: npt.NDArray[np.int64],
        numbers: npt.NDArray[np.uint64],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        with needed("torch", "augmentation"):
            import torch

        if not len(numbers):
            return features, labels
        # Copies: the functions may change what they are given in place.
        made, changed = self.chain(
            torch.from_numpy(np.array(features)),
            torch.from_numpy(np.array(labels)),
            epoch=self._epoch,
            position=int(numbers[0]),
            rows=numbers,
        )
        if made.ndim != 2 or made.shape[1] != self.num_features:  # noqa: PLR2004 (records and features)
            names = ", ".join(step.name for step in self.chain.steps)
            raise RecordError(
                f"augmentations {names}: features of shape {tuple(made.shape)}, and {self.num_features} a record before",
                remedy="return features (B, F) with the same F for every batch",
            )
        return made.detach().cpu().numpy(), changed.detach().cpu().numpy()
