"""The distilled dataset holds exactly what was given, or doesn't come into being."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nexa_data.distill_materialize import materialize_distilled_dataset
from nexa_data.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def rows_of(path: Path) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(path.read_text())
    return loaded


def distributions(count: int, classes: int, seed: int = 0) -> torch.Tensor:
    return torch.softmax(torch.randn(count, classes, generator=torch.Generator().manual_seed(seed)), dim=1)


@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(1, 5), st.integers(2, 9)), elements=st.floats(0, 1, width=32)
    )
)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_float32_probabilities_come_back_bit_for_bit(tmp_path: Path, weights: np.ndarray[Any, Any]) -> None:
    weights[:, 0] += np.float32(0.1)
    probs = weights / weights.sum(axis=1, keepdims=True)
    path = materialize_distilled_dataset(
        torch.from_numpy(probs), torch.zeros(len(probs), dtype=torch.long), tmp_path
    )
    read = np.array([row["teacher_probs"] for row in rows_of(path)], dtype=np.float32)
    assert read.tobytes() == probs.tobytes()


def test_the_file_has_the_shortest_digits_of_float32(tmp_path: Path) -> None:
    path = materialize_distilled_dataset(
        [torch.tensor([0.1, 0.9])], [torch.tensor(1)], tmp_path / "made" / "here"
    )
    assert path == tmp_path / "made" / "here" / "distilled_dataset.json"
    assert '{"teacher_probs":[0.1,0.9],"target":1}' in path.read_text()
    assert rows_of(path) == [{"teacher_probs": [0.1, 0.9], "target": 1}]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_every_float_dtype_is_taken_batched_or_not(tmp_path: Path, dtype: torch.dtype) -> None:
    probs, targets = distributions(7, 5).to(dtype), torch.arange(7) % 5
    one = materialize_distilled_dataset(probs, targets, tmp_path / "one").read_bytes()
    batched = materialize_distilled_dataset(probs.split(3), targets.split(3), tmp_path / "two").read_bytes()
    assert one == batched
    read = torch.tensor([row["teacher_probs"] for row in json.loads(one)])
    assert torch.equal(read, probs.to(torch.float32))


def test_lists_arrays_gradients_and_strided_views_are_taken(tmp_path: Path) -> None:
    wide = distributions(3, 8).t().contiguous().t()
    given: list[Any] = [
        [0.5, 0.5],
        np.array([0.25, 0.75], np.float16),
        torch.tensor([1.0, 0.0], requires_grad=True),
    ]
    path = materialize_distilled_dataset(
        given, [0, np.int32(1), torch.tensor([0], dtype=torch.uint8)], tmp_path / "a"
    )
    assert [row["teacher_probs"] for row in rows_of(path)] == [[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]]
    path = materialize_distilled_dataset([wide], [torch.tensor([0, 1, 2])], tmp_path / "b")
    assert rows_of(path)[2]["teacher_probs"] == pytest.approx(wide[2].tolist())


def test_generators_are_read_row_by_row_in_bounded_memory(tmp_path: Path) -> None:
    torch.ones(1).numpy()
    one = np.full(4000, 1 / 4000, np.float32)

    def probabilities() -> Iterator[np.ndarray[Any, Any]]:
        for _ in range(400):
            yield one.copy()

    tracemalloc.start()
    try:
        path = materialize_distilled_dataset(probabilities(), (n % 4000 for n in range(400)), tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 10_000_000
    assert peak < 1_000_000


GOOD = torch.tensor([0.25, 0.75])


@pytest.mark.parametrize(
    ("probabilities", "targets", "says"),
    [
        ([], [], "no rows"),
        ([torch.zeros(0, 2)], [torch.zeros(0, dtype=torch.long)], "no rows"),
        ([GOOD, GOOD], [0], "row 1: targets end here"),
        ([GOOD], [0, 1], "row 1: probabilities end here"),
        ([GOOD, torch.tensor([float("nan"), 1.0])], [0, 0], "row 1: a probability is NaN"),
        ([torch.tensor([float("inf"), 0.0])], [0], "row 0: a probability is NaN or infinite"),
        ([GOOD, GOOD, torch.tensor([-0.1, 1.1])], [0, 0, 0], "row 2: a probability is negative.*softmax"),
        ([torch.tensor([0.5, 0.502])], [0], "row 0: the sum isn't 1 within 0.001"),
        ([torch.tensor([0.5, 0.52], dtype=torch.float16)], [0], "row 0: the sum isn't 1 within 0.01"),
        ([torch.stack([GOOD, GOOD * 2])], [torch.tensor([0, 0])], "row 1: the sum"),
        ([GOOD, torch.tensor([0.2, 0.3, 0.5])], [0, 0], "row 1: 3 probabilities, but the rows before have 2"),
        ([GOOD], [2], "row 0: the target isn't one of 2 classes"),
        ([GOOD], [-1], "row 0: the target"),
        ([GOOD], [torch.tensor(1.0)], "row 0: the target is float32, not an integer"),
        ([GOOD], [True], "row 0: the target is bool"),
        ([torch.stack([GOOD, GOOD])], [torch.tensor(0)], "row 0: 2 rows of probabilities, but targets"),
        ([torch.tensor(0.5)], [0], r"row 0: probabilities have shape \(\)"),
        ([GOOD.bool()], [0], "dtype bool"),
        ([[[0.5, 0.5], [1.0]]], [0], "row 0: probabilities are ragged"),
        ([["a", "b"]], [0], "row 0: probabilities have shape"),
    ],
)
def test_what_is_wrong_is_refused_with_its_row_and_leaves_an_older_file_alone(
    tmp_path: Path, probabilities: list[Any], targets: list[Any], says: str
) -> None:
    with pytest.raises(RecordError, match=says):
        materialize_distilled_dataset(iter(probabilities), iter(targets), tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    older = materialize_distilled_dataset([GOOD], [1], tmp_path / "old")
    before = older.read_bytes()
    with pytest.raises(RecordError):
        materialize_distilled_dataset(iter(probabilities), iter(targets), tmp_path / "old")
    assert older.read_bytes() == before
    assert list((tmp_path / "old").iterdir()) == [older]


def test_sums_within_the_tolerance_of_their_dtype_are_taken(tmp_path: Path) -> None:
    half = torch.tensor([0.5, 0.508], dtype=torch.bfloat16)
    path = materialize_distilled_dataset([half, torch.tensor([0.5, 0.5009])], [0, 0], tmp_path)
    assert len(rows_of(path)) == 2


def test_an_error_in_the_callers_generator_leaves_no_file(tmp_path: Path) -> None:
    def broken() -> Iterator[torch.Tensor]:
        yield GOOD
        raise KeyError("from the caller")

    with pytest.raises(KeyError, match="from the caller"):
        materialize_distilled_dataset(broken(), iter([torch.tensor(0), torch.tensor(1)]), tmp_path)
    assert list(tmp_path.iterdir()) == []
