"""What a config's loader can do alone, without a model, and where its time goes."""

from __future__ import annotations

import itertools
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from nexa_data import _core
from nexa_data.console import bytes_text, rate_text, seconds_text, show_facts
from nexa_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nexa_data.config import Config

__all__ = ["LoaderBench", "run_bench", "show_bench"]

_DEFAULT_SECONDS = 5.0
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class LoaderBench:
    """What was measured.

    All but the first two times is about the batches after the first.

    Args:
        split: The split.
        split_records: Its records.
        threads: Threads of the native core.
        open_s: Time that building the loader took, with preparing and staging what was missing.
        first_batch_s: Time from `iter()` to the first batch.
        batches: Batches drawn.
        records: Records in them.
        bytes: Bytes in them.
        seconds: Time that drawing them took.
        waited_s: Of it, time in which no batch was ready.
        assembling_s: Time that threads spent assembling, summed over the threads.
    """

    split: str
    split_records: int
    threads: int
    open_s: float
    first_batch_s: float
    batches: int
    records: int
    bytes: int
    seconds: float
    waited_s: float
    assembling_s: float

    @property
    def python_s(self) -> float:
        """Time in Python and torch: sampler, tensors, the user's functions."""
        return max(self.seconds - self.waited_s, 0.0)

    @property
    def limit(self) -> str:
        """What to look at first for more speed: `assembly`, `python`, or `machine` where neither is busy."""
        if self.waited_s <= _HALF * self.seconds:
            return "python"
        return "assembly" if self.busy > _HALF else "machine"

    @property
    def busy(self) -> float:
        """Share of their time that the threads spent assembling."""
        return self.assembling_s / (self.threads * self.seconds)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, and what follows from them, as plain values for JSON."""
        return asdict(self) | {
            "busy": self.busy,
            "python_s": self.python_s,
            "python_us_per_batch": self.python_s / self.batches * 1e6,
            "records_per_s": self.records / self.seconds,
            "bytes_per_s": self.bytes / self.seconds,
            "limit": self.limit,
        }


def run_bench(
    config: Config, split: str = "train", *, batches: int | None = None, seconds: float | None = None
) -> LoaderBench:
    """Draw batches from a config's loader and drop them, epoch after epoch, until one of the bounds is reached.

    Args:
        config: The config; its dataset is prepared (and staged) first if it isn't.
        split: The split.
        batches: How many after the first.
        seconds: How long, checked after each batch; default 5.

    Raises:
        ConfigError: Both bounds are given, or there is no such split.
        NexaError: The dataset can't be prepared or read.
    """
    from nexa_data.loaders.torch_loader import build_loader

    if batches is not None and seconds is not None:
        raise ConfigError("batches and seconds exclude each other", remedy="give one of them")
    started = time.perf_counter()
    loader = build_loader(config, split)
    opened = time.perf_counter()
    drawn = itertools.chain.from_iterable(itertools.repeat(loader))
    next(drawn)
    first, before = time.perf_counter(), loader.stats()
    until = first + (_DEFAULT_SECONDS if seconds is None else seconds)
    if batches is not None:
        _draw(itertools.islice(drawn, batches), float("inf"))
    else:
        _draw(drawn, until)
    ended, after = time.perf_counter(), loader.stats()
    return LoaderBench(
        split=split,
        split_records=len(loader.dataset),  # type: ignore[arg-type]
        threads=config.data.n_threads or _core.default_threads(),
        open_s=opened - started,
        first_batch_s=first - opened,
        batches=after.batches - before.batches,
        records=after.records - before.records,
        bytes=after.bytes - before.bytes,
        seconds=ended - first,
        waited_s=after.waited_s - before.waited_s,
        assembling_s=after.assembling_s - before.assembling_s,
    )


def _draw(batches: Iterable[Any], until: float) -> None:
    for _ in batches:
        if time.perf_counter() >= until:
            return


def show_bench(result: LoaderBench) -> None:
    """Print what was measured, for a person."""
    per_batch = result.python_s / result.batches * 1e6
    show_facts(
        {
            "split": f"{result.split}: {result.split_records:,} records",
            "opened": seconds_text(result.open_s),
            "first batch": seconds_text(result.first_batch_s),
            "drawn": f"{result.batches:,} batches, {result.records:,} records, {bytes_text(result.bytes)} "
            f"in {seconds_text(result.seconds)}",
            "rate": f"{result.records / result.seconds:,.0f} records/s, {rate_text(result.bytes, result.seconds)}",
            "waiting": f"{_share(result.waited_s, result)} of the time no batch was ready",
            "python": f"{_share(result.python_s, result)} of the time, {per_batch:,.1f} µs a batch",
            "assembling": f"{result.busy:.0%} of the time of {result.threads} threads",
            "limit": _REMEDIES[result.limit],
        }
    )


_REMEDIES = {
    "assembly": "assembly: more data.threads, a faster or warmer disk, or smaller records would help",
    "machine": "the machine: neither threads nor Python are busy; other processes may use the CPUs",
    "python": "Python: larger batches, or fewer augmentations would help",
}


def _share(seconds: float, result: LoaderBench) -> str:
    return f"{seconds / result.seconds:.0%}"
