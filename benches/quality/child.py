"""One run of the quality benches: prints rows, seconds and the peak of memory as JSON. What is prepared before isn't timed."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from nexa_data import _core
from nexa_data.augment import feature_dropout, gaussian_noise, mixup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROWS = 2_000_000
_FEATURES = 34
_BATCH = 131_072
_AUGMENTED = 1 << 22
_SMALL, _LARGE = 1024, 16_384
_Work = tuple[int, "Callable[[], object]"]


def _table(rows: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    random = np.random.default_rng(0)
    return random.standard_normal((rows, _FEATURES), dtype=np.float32), random.integers(0, 10, rows)


def _batches(features: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> Iterator[pa.RecordBatch]:
    for first in range(0, len(labels), _BATCH):
        part = features[first : first + _BATCH]
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), _FEATURES)
        yield pa.record_batch([vectors, pa.array(labels[first : first + _BATCH])], ["features", "label"])


def _frame(rows: int) -> Any:
    import polars as pl

    features, labels = _table(rows)
    columns = {f"x{k}": np.ascontiguousarray(features[:, k]) for k in range(_FEATURES)}
    return pl.DataFrame({**columns, "label": labels})


def pass_ours(scale: float) -> _Work:
    from nexa_data.quality.measure import Described, measure_batches

    rows = int(_ROWS * scale)
    batches = list(_batches(*_table(rows)))
    described = Described(label="label", kind="class", features=("features",))
    return rows, lambda: measure_batches((("train", batch) for batch in batches), described)


def pass_polars(scale: float) -> _Work:
    import polars as pl

    rows = int(_ROWS * scale)
    frame = _frame(rows)
    features = [name for name in frame.columns if name != "label"]
    return rows, lambda: (
        frame.describe(),
        frame.select(pl.all().n_unique()),
        frame.select(features).is_duplicated().sum(),
    )


def plain_ours(scale: float) -> _Work:
    rows = int(_ROWS * scale)
    batches = list(_batches(*_table(rows)))
    seen = _core.Moments(_FEATURES)

    def add() -> None:
        for batch in batches:
            seen.add(batch)

    return rows, add


def plain_polars(scale: float) -> _Work:
    import polars as pl

    rows = int(_ROWS * scale)
    frame = _frame(rows).drop("label")
    each = pl.all()
    what = [
        each.null_count().name.suffix("-null"),
        each.is_nan().sum().name.suffix("-nan"),
        each.is_infinite().sum().name.suffix("-inf"),
        each.min().name.suffix("-min"),
        each.max().name.suffix("-max"),
        each.mean().name.suffix("-mean"),
        each.std().name.suffix("-std"),
    ]
    return rows, lambda: frame.select(what)


def duplicates_ours(scale: float) -> _Work:
    rows = int(_ROWS * scale)
    batches = list(_batches(*_table(rows)))

    def search() -> object:
        found = _core.Duplicates(folder=tempfile.gettempdir(), bound_bytes=256 << 20)
        for number, batch in enumerate(batches):
            found.add(0, number * _BATCH, batch, ["features"])
        return found.finish(1)

    return rows, search


def duplicates_polars(scale: float) -> _Work:
    rows = int(_ROWS * scale)
    frame = _frame(rows).drop("label")
    return rows, lambda: frame.is_duplicated().sum()


def _synthetic(scale: float, informative: int = 32, redundant: int = 0) -> _Work:
    from nexa_data.datasets.synthetic import SyntheticClassificationDataset

    rows = int(1_000_000 * scale)
    made = SyntheticClassificationDataset(rows, 32, 10, 0, n_informative=informative, n_redundant=redundant)
    made.rows([0])  # plans the centres
    return rows, lambda: [len(labels) for _, labels in made.blocks()]


def _sklearn(scale: float, informative: int, redundant: int) -> _Work:
    from sklearn.datasets import make_classification

    rows = int(1_000_000 * scale)
    shape = {"n_informative": informative, "n_redundant": redundant, "n_clusters_per_class": 1}
    return rows, lambda: make_classification(rows, 32, n_classes=10, random_state=0, **shape)


def _augment(change: Callable[[], object], size: int = _SMALL) -> _Work:
    change()

    def work() -> None:
        for _ in range(_AUGMENTED // size):
            change()

    return _AUGMENTED, work


def _batch(size: int = _SMALL) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    random = np.random.default_rng(0)
    return random.standard_normal((size, 32), dtype=np.float32), random.integers(0, 10, size)


def _ours(function: Callable[..., object], size: int = _SMALL) -> _Work:
    """Measure a built-in as a train batch meets it: through the chain, with the records' numbers."""
    import torch
    from nexa_data.augment_chain import Chain

    features, labels = map(torch.from_numpy, _batch(size))
    chain = Chain([("one", function)], seed=0, num_classes=10)
    rows = np.random.default_rng(1).permutation(1 << 20)[:size].astype(np.uint64)
    return _augment(lambda: chain(features, labels, epoch=0, position=0, rows=rows), size)


def noise_torch(size: int = _SMALL) -> _Work:
    import torch

    batch = torch.from_numpy(_batch(size)[0])
    return _augment(lambda: batch.add_(torch.randn(batch.shape), alpha=0.1), size)


def noise_numpy() -> _Work:
    batch, random = _batch()[0], np.random.default_rng(0)

    def add() -> None:
        noise = random.standard_normal(batch.shape, dtype=np.float32)
        noise *= np.float32(0.1)
        np.add(batch, noise, out=batch)

    return _augment(add)


def dropout_torch() -> _Work:
    import torch

    batch = torch.from_numpy(_batch()[0])
    return _augment(lambda: batch.mul_(torch.rand(batch.shape) >= 0.1))


def dropout_numpy() -> _Work:
    batch, random = _batch()[0], np.random.default_rng(0)
    return _augment(
        lambda: np.multiply(batch, random.random(batch.shape, dtype=np.float32) >= 0.1, out=batch)
    )


def mixup_torch() -> _Work:
    import torch

    batch, labels = map(torch.from_numpy, _batch())
    beta = torch.distributions.Beta(0.4, 0.4)

    def mix() -> None:
        partners, weights = torch.randperm(_SMALL), beta.sample((_SMALL, 1))
        soft = torch.nn.functional.one_hot(labels, 10).float()
        batch.lerp_(batch[partners], 1 - weights)
        soft.lerp_(soft[partners], 1 - weights)

    return _augment(mix)


def mixup_numpy() -> _Work:
    (batch, labels), random, one_hot = _batch(), np.random.default_rng(0), np.eye(10, dtype=np.float32)

    def mix() -> None:
        partners = random.permutation(_SMALL)
        weights = random.beta(0.4, 0.4, (_SMALL, 1)).astype(np.float32)
        for values in (batch, one_hot[labels]):
            other = values[partners]
            other -= values
            other *= 1 - weights
            np.add(values, other, out=values)

    return _augment(mix)


def report_ours() -> _Work:
    from nexa_data.quality.measure import Described, measure_batches
    from nexa_data.quality.model import Target
    from nexa_data.quality.page import write_page
    from nexa_data.quality.report import quality_report, read_report, write_report

    random = np.random.default_rng(0)
    rows = pa.record_batch(
        {f"x{k}": random.normal(size=5000) for k in range(49)} | {"label": random.integers(0, 4, 5000)}
    )
    found = measure_batches(
        [(split, rows) for split in ("train", "validation", "test")], Described("label", "class")
    )
    folder = Path(tempfile.mkdtemp())
    stored = folder / "quality_report.json"
    write_report(quality_report(found, [], Target(kind="dataset", uri="x")), stored)

    def render() -> None:
        write_page(read_report(stored), folder / "page.html")
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()

    return 1, render


def large_ours(scale: float) -> _Work:
    from nexa_data.quality.measure import Described, Measurement

    rows = int(100_000_000 * scale)
    batch = next(_batches(*_table(_BATCH)))
    numbers = np.arange(_BATCH * _FEATURES, dtype=np.float32)

    def run() -> object:
        seen = Measurement(Described(label="label", kind="class", features=("features",)))
        for first in range(0, rows, _BATCH):
            # Other rows each time, at the price of one addition.
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(numbers + np.float32(first)), _FEATURES)
            seen.add("train", pa.record_batch([vectors, batch["label"]], ["features", "label"]))
        return seen.statistics()

    return rows, run


RUNS: dict[str, Callable[[float], _Work]] = {
    "pass-ours": pass_ours,
    "pass-polars": pass_polars,
    "plain-ours": plain_ours,
    "plain-polars": plain_polars,
    "duplicates-ours": duplicates_ours,
    "duplicates-polars": duplicates_polars,
    "synthetic-ours": _synthetic,
    "synthetic-sklearn": lambda scale: _sklearn(scale, 32, 0),
    "mixed-ours": lambda scale: _synthetic(scale, 8, 8),
    "mixed-sklearn": lambda scale: _sklearn(scale, 8, 8),
    "noise-ours": lambda _: _ours(gaussian_noise()),
    "noise-torch": lambda _: noise_torch(),
    "noise16k-ours": lambda _: _ours(gaussian_noise(), _LARGE),
    "noise16k-torch": lambda _: noise_torch(_LARGE),
    "noise-numpy": lambda _: noise_numpy(),
    "dropout-ours": lambda _: _ours(feature_dropout()),
    "dropout-torch": lambda _: dropout_torch(),
    "dropout-numpy": lambda _: dropout_numpy(),
    "mixup-ours": lambda _: _ours(mixup(alpha=0.4)),
    "mixup-torch": lambda _: mixup_torch(),
    "mixup-numpy": lambda _: mixup_numpy(),
    "report-ours": lambda _: report_ours(),
    "large-ours": large_ours,
}


def main() -> None:
    name, scale = sys.argv[1], float(sys.argv[2])
    _core.set_threads(1)
    if name.endswith("-torch"):
        import torch

        torch.set_num_threads(1)
    rows, work = RUNS[name](scale)
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows": rows, "seconds": seconds, "mib": peak}))


if __name__ == "__main__":
    main()
