"""However a loader ends, is shared or is copied: no hang, no leak, and every record where it belongs."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from nexa_data.loaders.torch_loader import build_loader
from nexa_data.prepare import prepare_from_config

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDS, BATCH = 3000, 25

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture(
    scope="module",
    params=[{}, {"order": {"mode": "block", "block": 150, "window": 4, "direct": True}}],
    ids=["mapped", "direct"],
)
def config(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return a config of numbered records wide enough that a batch takes its time."""
    folder = tmp_path_factory.mktemp("lifetime")
    made = {
        "data": {
            "dataset_name": "synthetic",
            "batch_size": BATCH,
            "split": {"train": 1, "validation": 0, "test": 0},
            "preprocessing": {"num_samples": RECORDS, "num_features": 2000},
            "shards": {"rows": 400},
            **request.param,
        },
        "experiment": {"output_dir": str(folder)},
    }
    prepare_from_config(made)
    return made


def marks(batches: Any) -> list[float]:
    """Return what tells the records apart: their first feature."""
    return [value for features, _ in batches for value in features[:, 0].tolist()]


@pytest.fixture(scope="module")
def epoch(config: dict[str, Any]) -> list[float]:
    found = marks(build_loader(config, "train"))
    assert len(set(found)) == RECORDS
    return found


def settle(loader: Any) -> None:
    """Wait until no thread assembles for the loader any more, and assert that all its buffers are back."""
    until = time.monotonic() + 60
    gc.collect()
    while (loader.stats().live_buffers or loader.stats().ahead) and time.monotonic() < until:
        os.sched_yield()
    found = loader.stats()
    assert (found.ahead, found.live_buffers) == (0, 0)


def reading() -> bool:
    """Say whether a thread that reads ahead is at work: it ends by itself."""
    return any(name.read_text() == "nexa-read\n" for name in Path("/proc/self/task").glob("*/comm"))


def standing() -> tuple[int, int]:
    """Return how many threads and descriptors this process has, once nothing is read ahead any more."""
    until = time.monotonic() + 60
    while reading() and time.monotonic() < until:
        os.sched_yield()
    threads, descriptors = (len(list(Path("/proc/self", each).iterdir())) for each in ("task", "fd"))
    return threads, descriptors


def in_a_fork(work: Callable[[], bool]) -> bool:
    """Return what `work` says in a forked child, in which a hang is a death."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        right = False
        try:
            right = work()
        finally:
            os._exit(0 if right else 1)
    return os.waitpid(child, 0)[1] == 0


def test_a_child_goes_on_with_an_epoch_that_it_inherits_and_so_does_the_parent(
    config: dict[str, Any], epoch: list[float]
) -> None:
    loader = build_loader(config, "train")
    drawing = iter(loader)
    seen: list[float] = []
    for _ in range(20):
        seen += marks(islice(drawing, 2))
        assert in_a_fork(lambda: seen + marks(drawing) == epoch)  # noqa: B023 (called at once)
    assert seen + marks(drawing) == epoch
    settle(loader)


def test_forks_while_other_threads_load_neither_hang_nor_harm(
    config: dict[str, Any], epoch: list[float]
) -> None:
    over = threading.Event()
    found: list[bool] = []

    def load() -> None:
        while not over.is_set():
            own = build_loader(config, "train")
            found.append(marks(own) == epoch)

    loader = build_loader(config, "train")
    next(iter(loader))
    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for at in range(20):
            assert in_a_fork(lambda: len(loader.dataset[list(range(at, at + 9))][0]) == 9)  # noqa: B023
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    assert found
    assert all(found)


def _spawned(parts: Any, answer: Any) -> None:
    dataset, sampler = parts
    answer.put(marks(dataset[request] for request in sampler))


def test_a_spawned_process_goes_on_with_the_parts(config: dict[str, Any], epoch: list[float]) -> None:
    loader: Any = build_loader(config, "train")
    seen = marks(islice(loader, 7))
    fresh: Any = build_loader(config, "train")
    fresh.load_state_dict(loader.state_dict())
    context: Any = multiprocessing.get_context("spawn")
    answer = context.SimpleQueue()
    child = context.Process(target=_spawned, args=((fresh.dataset, fresh.sampler), answer))
    child.start()
    rest = answer.get()
    child.join(60)
    assert child.exitcode == 0
    assert seen + rest == epoch


def test_two_loaders_at_once_do_not_touch_each_other(config: dict[str, Any], epoch: list[float]) -> None:
    one, two = build_loader(config, "train"), build_loader(config, "train")
    two.set_epoch(1)
    pairs = list(zip(one, two, strict=True))
    assert marks(first for first, _ in pairs) == epoch
    alone = build_loader(config, "train")
    alone.set_epoch(1)
    assert marks(second for _, second in pairs) == marks(alone)


def in_threads(work: Callable[[], list[float]], n: int) -> list[list[float]]:
    found: list[list[float]] = []
    threads = [threading.Thread(target=lambda: found.append(work()), daemon=True) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(found) == n, "a thread failed or hung"
    return found


def test_threads_that_draw_from_one_iterator_part_the_epoch(
    config: dict[str, Any], epoch: list[float]
) -> None:
    loader = build_loader(config, "train")
    drawing = iter(loader)
    parts = in_threads(lambda: marks(drawing), 4)
    assert sorted(chain.from_iterable(parts)) == sorted(epoch)
    assert loader.state_dict()["consumed"] == RECORDS
    settle(loader)


def test_threads_that_iterate_over_one_loader_each_get_whole_epochs(
    config: dict[str, Any], epoch: list[float]
) -> None:
    loader = build_loader(config, "train")
    everything = sorted(epoch)
    assert all(sorted(found) == everything for found in in_threads(lambda: marks(loader), 3))


def test_after_a_break_all_comes_back_and_nothing_is_left(config: dict[str, Any]) -> None:
    loader = build_loader(config, "train")
    for batch in loader:
        assert len(batch[1]) == BATCH
        break
    del batch
    settle(loader)
    before = standing()
    for _ in range(20):
        marks(islice(loader, 3))
    settle(loader)
    assert standing() == before


def test_after_an_exception_all_comes_back_and_nothing_is_left(config: dict[str, Any]) -> None:
    def failing(_: Any) -> Any:
        raise ArithmeticError

    loader = build_loader(config, "train", transform=failing)
    before = None
    for _ in range(20):
        with pytest.raises(ArithmeticError):
            list(loader)
        settle(loader)
        before = before or standing()
    assert standing() == before


def test_an_iterator_in_a_cycle_is_collected_with_its_batches(config: dict[str, Any]) -> None:
    loader = build_loader(config, "train")
    cycle: list[Any] = [iter(loader)]
    cycle += [next(cycle[0]), cycle]
    del cycle
    settle(loader)


def test_dropped_loaders_leave_no_thread_and_no_descriptor(config: dict[str, Any]) -> None:
    marks(build_loader(config, "train"))
    gc.collect()
    before = standing()
    kept = [next(iter(build_loader(config, "train"))) for _ in range(30)]
    gc.collect()
    assert standing() == before
    assert len(marks(kept)) == 30 * BATCH


EXITS = {
    "the end of the script": "kept = next(drawing)",
    "sys.exit in the loop": "next(drawing); sys.exit()",
    "a thread that draws": "import threading; threading.Thread(target=lambda: list(drawing)).start()",
    "an iterator in a module": "sys.modules['kept'] = (drawing, next(drawing))",
}


@pytest.mark.parametrize("how", EXITS)
def test_an_interpreter_ends_with_batches_in_flight(config: dict[str, Any], tmp_path: Path, how: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import json, sys\nfrom nexa_data import build_loader\n"
        f"drawing = iter(build_loader(json.loads(sys.argv[1]), 'train'))\n{EXITS[how]}\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", script, json.dumps(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert (done.returncode, done.stderr) == (0, "")
