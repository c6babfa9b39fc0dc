"""Classification data out of nothing: learnable, and the same for the same seed."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from nexa_data.errors import ConfigError, RecordError
from nexa_data.optional import needed

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from torch import Tensor

    from nexa_data.config import DataConfig
    from nexa_data.datasets.rows import RowSource

__all__ = ["SyntheticClassificationDataset", "build"]

_BLOCK_ROWS = 4096
_DEFAULT_CLASSES = 10


class SyntheticClassificationDataset:
    """A map-style dataset of Gaussian clusters, one a class.

    Record i is drawn from the block of 4,096 records that it lies in, so that a longer dataset of the same seed
    begins with the same records, and any part can be made without the rest.

    Args:
        num_samples: Number of records N.
        num_features: Length F of a feature vector.
        num_classes: Number of classes C; labels are 0 … C-1, equally likely.
        seed: Seed of centres, labels and noise.
        class_sep: Distance of the class centres from the origin, in standard deviations of a feature's noise.

    Raises:
        ConfigError: A number is impossible.

    Example:
        >>> dataset = SyntheticClassificationDataset(100, 4, 3, seed=0)
        >>> features, label = dataset[5]
        >>> tuple(features.shape), 0 <= int(label) < 3
        ((4,), True)
    """

    def __init__(
        self,
        num_samples: int = 10_000,
        num_features: int = 32,
        num_classes: int = _DEFAULT_CLASSES,
        seed: int = 0,
        *,
        class_sep: float = 1.0,
    ) -> None:
        if num_samples < 1 or num_features < 1 or num_classes < 2 or seed < 0 or not class_sep > 0:  # noqa: PLR2004
            raise ConfigError(
                f"no dataset has num_samples={num_samples}, num_features={num_features}, "
                f"num_classes={num_classes}, seed={seed}, class_sep={class_sep}",
                remedy="samples and features are at least 1, classes at least 2, seed at least 0, class_sep positive",
            )
        self.num_samples = num_samples
        self.num_features = num_features
        self.num_classes = num_classes
        self.seed = seed
        self.class_sep = class_sep

    @classmethod
    def from_tensors(cls, features: Tensor, labels: Tensor, *, like: SyntheticClassificationDataset) -> Self:
        """Return a dataset of the given tensors, shapes (N, F) and (N,), which it keeps; the rest is as in `like`.

        Raises:
            RecordError: The tensors' lengths or dimensions don't fit.
        """
        if features.ndim != 2 or labels.ndim < 1 or len(features) != len(labels) or not len(features):  # noqa: PLR2004
            raise RecordError(
                f"features of shape {tuple(features.shape)} and labels of shape {tuple(labels.shape)} are no dataset",
                remedy="return features (N, F) and labels (N,) of one length",
            )
        made = cls(len(features), features.shape[1], like.num_classes, like.seed, class_sep=like.class_sep)
        made.__dict__["_tensors"] = features, labels
        return made

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not -self.num_samples <= index < self.num_samples:
            raise IndexError(f"record {index} is out of range: the dataset has {self.num_samples}")
        return self.features[index], self.labels[index]

    @property
    def features(self) -> Tensor:
        """All feature vectors, shape (N, F), float32."""
        return self._tensors[0]

    @property
    def labels(self) -> Tensor:
        """All labels, shape (N,), int64."""
        return self._tensors[1]

    @cached_property
    def _tensors(self) -> tuple[Tensor, Tensor]:
        with needed("torch", "a dataset of tensors"):
            import torch

        features, labels = zip(*self.blocks(), strict=True)
        return torch.from_numpy(np.concatenate(features)), torch.from_numpy(np.concatenate(labels))

    def blocks(self) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
        """Yield (features, labels) of consecutive records, without holding the whole."""
        if "_tensors" in self.__dict__:
            yield self.features.detach().cpu().numpy(), self.labels.detach().cpu().numpy()
            return
        shape = (self.num_classes, self.num_features)
        centres = np.random.Generator(np.random.Philox(key=[self.seed, 0])).standard_normal(shape, np.float32)
        centres *= np.float32(self.class_sep)
        for block, first in enumerate(range(0, self.num_samples, _BLOCK_ROWS)):
            rows = min(_BLOCK_ROWS, self.num_samples - first)
            random = np.random.Generator(np.random.Philox(key=[self.seed, block + 1]))
            labels = random.integers(0, self.num_classes, _BLOCK_ROWS)[:rows]
            noise = random.standard_normal((rows, self.num_features), np.float32)
            yield noise + centres[labels], labels

    def row_source(self) -> RowSource:
        """Return the records as a stream of Arrow record batches."""
        import pyarrow as pa

        from nexa_data.datasets.rows import RowBatch, RowSource, column_array

        schema = pa.schema([("features", pa.list_(pa.float32(), self.num_features)), ("label", pa.int64())])

        def batches() -> Iterator[RowBatch]:
            first = 0
            for features, labels in self.blocks():
                columns = [column_array(features, "synthetic.features"), pa.array(labels)]
                yield RowBatch("synthetic", first, pa.record_batch(columns, schema=schema))
                first += len(labels)

        return RowSource(schema, batches, "dataset 'synthetic'")


def build(data: DataConfig) -> Any:
    """Return the synthetic dataset that `preprocessing` describes."""
    wanted = data.preprocessing
    return SyntheticClassificationDataset(
        wanted.num_samples,
        wanted.num_features,
        wanted.num_classes or _DEFAULT_CLASSES,
        wanted.seed,
        class_sep=wanted.class_sep,
    )
