"""Classification data out of nothing: learnable, and record i the same whoever asks for it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from nexa_data import _core
from nexa_data.errors import ConfigError, RecordError
from nexa_data.optional import needed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    import pyarrow as pa
    from torch import Tensor

    from nexa_data.config import DataConfig
    from nexa_data.datasets.rows import RowSource

__all__ = ["DEFAULT_CLASSES", "SyntheticClassificationDataset", "build"]

_BLOCK_ROWS = 65_536
DEFAULT_CLASSES = 10
_MOST_SAMPLES = 1 << 62


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the records are like; the names are scikit-learn's."""

    class_sep: float = 1.0
    n_informative: int | None = None
    n_redundant: int = 0
    n_clusters_per_class: int = 1
    weights: tuple[float, ...] | None = None
    flip_y: float = 0.0


class SyntheticClassificationDataset:
    """A map-style dataset of Gaussian clusters, one or several a class.

    Record i is a pure function of the seed, the shape and i: it can be had without the rest, a longer dataset begins with
    the records of a shorter one, and threads don't change it. Its terms are those of scikit-learn's
    `make_classification`; centres of clusters are normal points, so that there may be any number of them.

    Args:
        num_samples: Number of records N; memory doesn't depend on it, until `features` or `labels` are asked for.
        num_features: Length F of a feature vector.
        num_classes: Number of classes C; labels are 0 … C-1.
        seed: Seed of centres, labels and noise.
        class_sep: Distance of the clusters' centres from the origin, in standard deviations of a feature's noise.
        n_informative: Features that tell the classes apart, the first ones; default: all but the redundant.
        n_redundant: Features that are weighted sums of the informative ones, the next ones; the rest is noise.
        n_clusters_per_class: Clusters of each class.
        weights: Share of each class, C of them, or C - 1, of which the last class gets what is left; default: equal.
        flip_y: Share of the records whose label is drawn anew, from all classes alike.

    Raises:
        ConfigError: A number is impossible.

    Example:
        >>> dataset = SyntheticClassificationDataset(10**12, 4, 3, seed=0)
        >>> features, label = dataset[999_999_999_999]
        >>> tuple(features.shape), 0 <= int(label) < 3
        ((4,), True)
    """

    def __init__(  # noqa: PLR0913 (one for each property of the records, by name)
        self,
        num_samples: int = 10_000,
        num_features: int = 32,
        num_classes: int = DEFAULT_CLASSES,
        seed: int = 0,
        *,
        class_sep: float = 1.0,
        n_informative: int | None = None,
        n_redundant: int = 0,
        n_clusters_per_class: int = 1,
        weights: Sequence[float] | None = None,
        flip_y: float = 0.0,
    ) -> None:
        if not 1 <= num_samples <= _MOST_SAMPLES or num_features < 1 or num_classes < 2 or seed < 0:  # noqa: PLR2004
            raise ConfigError(
                f"no dataset has num_samples={num_samples}, num_features={num_features}, "
                f"num_classes={num_classes}, seed={seed}",
                remedy="samples and features are at least 1, classes at least 2, seed at least 0",
            )
        self.num_samples = num_samples
        self.num_features = num_features
        self.num_classes = num_classes
        self.seed = seed
        given = None if weights is None else tuple(map(float, weights))
        self._shape = _Shape(class_sep, n_informative, n_redundant, n_clusters_per_class, given, flip_y)
        self._check()

    def _check(self) -> None:
        shape = self._shape
        informative = (
            self.num_features - shape.n_redundant if shape.n_informative is None else shape.n_informative
        )
        if not (math.isfinite(shape.class_sep) and shape.class_sep > 0):
            raise ConfigError(f"class_sep is {shape.class_sep}", remedy="choose a positive number")
        if informative < 1 or shape.n_redundant < 0 or informative + shape.n_redundant > self.num_features:
            raise ConfigError(
                f"n_informative={informative} and n_redundant={shape.n_redundant} of num_features={self.num_features}",
                remedy="one feature is informative at least, and both together are no more than all",
            )
        if shape.n_clusters_per_class < 1:
            raise ConfigError(
                f"n_clusters_per_class is {shape.n_clusters_per_class}", remedy="choose 1 or more"
            )
        if not 0 <= shape.flip_y <= 1:
            raise ConfigError(f"flip_y is {shape.flip_y}", remedy="choose a share from 0 to 1")
        self.n_informative = informative
        self.weights = self._all_weights()

    def _all_weights(self) -> tuple[float, ...] | None:
        given = self._shape.weights
        if given is None:
            return None
        left = (1.0 - sum(given),) if len(given) == self.num_classes - 1 else ()
        weights = given + left
        sound = len(weights) == self.num_classes and all(
            math.isfinite(each) and each >= 0 for each in weights
        )
        if not sound or not sum(weights) > 0:
            raise ConfigError(
                f"weights={list(given)} for {self.num_classes} classes",
                remedy="give a share for each class, none below 0, or for all but the last",
            )
        return weights

    @property
    def class_sep(self) -> float:
        """Distance of the centres from the origin."""
        return self._shape.class_sep

    @classmethod
    def from_tensors(
        cls, features: Tensor, labels: Tensor, *, like: SyntheticClassificationDataset | None = None
    ) -> Self:
        """Return a dataset of tensors of yours, which it keeps.

        Args:
            features: Shape (N, F).
            labels: Class ids (N,), or distributions (N, C).
            like: What its number of classes and its seed are taken from; default: the classes that the labels tell, and 0.

        Raises:
            RecordError: The tensors' lengths or dimensions don't fit.
        """
        if features.ndim != 2 or labels.ndim < 1 or len(features) != len(labels) or not len(features):  # noqa: PLR2004
            raise RecordError(
                f"features of shape {tuple(features.shape)} and labels of shape {tuple(labels.shape)} are no dataset",
                remedy="return features (N, F) and labels (N,) of one length",
            )
        told = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1  # noqa: PLR2004 (distributions)
        classes, seed, sep = (
            (like.num_classes, like.seed, like.class_sep) if like is not None else (max(2, told), 0, 1.0)
        )
        made = cls(len(features), features.shape[1], classes, seed, class_sep=sep)
        made.__dict__["_tensors"] = features, labels
        return made

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        features, labels = self.__getitems__([index])[0]
        return features, labels

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Return the records of some numbers; torch's `DataLoader` asks for a batch by this."""
        with needed("torch", "a record of tensors"):
            import torch

        numbers = [self._number(index) for index in indices]
        features, labels = (
            torch.from_numpy(part if part.flags.writeable else part.copy()) for part in self.rows(numbers)
        )
        return list(zip(features, labels, strict=True))

    def _number(self, index: int) -> int:
        if not -self.num_samples <= index < self.num_samples:
            raise IndexError(f"record {index} is out of range: the dataset has {self.num_samples}")
        return int(index) % self.num_samples

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

    @cached_property
    def _made(self) -> _core.ClassificationRecords:
        shape = {
            **asdict(self._shape),
            "weights": list(self.weights or ()),
            "n_informative": self.n_informative,
        }
        return _core.ClassificationRecords(
            self.seed, num_features=self.num_features, num_classes=self.num_classes, **shape
        )

    def rows(
        self, numbers: Sequence[int] | npt.NDArray[np.uint64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return features (n, F) and labels (n,) of some records, made anew; the arrays are read-only.

        Args:
            numbers: Their numbers, in any order, from 0.
        """
        if "_tensors" in self.__dict__:
            wanted = np.asarray(numbers, np.int64)
            features, labels = (part[wanted].detach().cpu().numpy() for part in self._tensors)
            return features, labels
        return self._arrays(self._made.rows(np.ascontiguousarray(numbers, np.uint64)))

    def materialize(self) -> SyntheticClassificationDataset:
        """Return a dataset that holds the records in memory, whatever this one makes them of."""
        return SyntheticClassificationDataset.from_tensors(self.features, self.labels, like=self)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the native maker of records out, which another process plans for itself."""
        return {name: value for name, value in self.__dict__.items() if name != "_made"}

    def _arrays(self, made: _core.ArrowBatch) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        import pyarrow as pa

        batch = pa.record_batch(made)
        # From their buffers: `to_numpy` would first import pandas, where it is installed.
        features = np.frombuffer(batch["features"].values.buffers()[1], np.float32)
        labels = np.frombuffer(batch["label"].buffers()[1], np.int64)
        return features.reshape(-1, self.num_features), labels

    def blocks(self) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
        """Yield (features, labels) of consecutive records, without holding the whole."""
        if "_tensors" in self.__dict__:
            yield self.features.detach().cpu().numpy(), self.labels.detach().cpu().numpy()
            return
        for first in range(0, self.num_samples, _BLOCK_ROWS):
            yield self._arrays(self._made.range(first, min(_BLOCK_ROWS, self.num_samples - first)))

    def row_source(self) -> RowSource:
        """Return the records as a stream of Arrow record batches."""
        import pyarrow as pa

        from nexa_data.datasets.rows import RowBatch, RowSource, column_array

        def batch(features: npt.NDArray[Any], labels: npt.NDArray[Any]) -> pa.RecordBatch:
            columns = [column_array(features, "synthetic.features"), column_array(labels, "synthetic.label")]
            return pa.record_batch(columns, ["features", "label"])

        def batches() -> Iterator[RowBatch]:
            first = 0
            for features, labels in self.blocks():
                yield RowBatch("synthetic", first, batch(features, labels))
                first += len(labels)

        return RowSource(batch(*self.rows([0])).schema, batches, "dataset 'synthetic'")


def build(data: DataConfig) -> Any:
    """Return the synthetic dataset that `preprocessing` describes."""
    from nexa_data.datasets.corrupted import corrupted

    wanted = data.preprocessing
    made = SyntheticClassificationDataset(
        wanted.num_samples,
        wanted.num_features,
        wanted.num_classes or DEFAULT_CLASSES,
        wanted.seed,
        class_sep=wanted.class_sep,
        n_informative=wanted.n_informative,
        n_redundant=wanted.n_redundant,
        n_clusters_per_class=wanted.n_clusters_per_class,
        weights=wanted.weights,
        flip_y=wanted.flip_y,
    )
    if wanted.corrupt is None:
        return made
    return corrupted(made, seed=wanted.seed, split=data.split.shares(), **wanted.corrupt.model_dump())
