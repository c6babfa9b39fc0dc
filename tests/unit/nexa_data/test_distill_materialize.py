"""The distilled dataset holds exactly what was given, or doesn't come into being."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nexa_data.artifacts import verify_artifact
from nexa_data.catalog import ShardCatalog
from nexa_data.distill_materialize import materialize_distilled_dataset
from nexa_data.errors import ArtifactError, ConfigError, RecordError

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


@pytest.mark.parametrize("targets", [torch.tensor([0, 1, 2]), torch.tensor([[0], [1], [2]]), [[0], [1], [2]]])
def test_targets_of_a_batch_may_be_a_column(tmp_path: Path, targets: Any) -> None:
    path = materialize_distilled_dataset([distributions(3, 4)], [targets], tmp_path)
    assert [row["target"] for row in rows_of(path)] == [0, 1, 2]


def test_lists_of_lists_and_arrays_are_their_rows(tmp_path: Path) -> None:
    probs = distributions(3, 4)
    given: list[tuple[Any, Any]] = [
        (probs.numpy(), np.arange(3)),
        (probs.tolist(), [0, 1, 2]),
        (probs, [torch.tensor(0), torch.tensor([1]), 2]),
        (iter(probs), iter(range(3))),
        (probs.to_sparse(), torch.arange(3)),
    ]
    written = {
        materialize_distilled_dataset(rows, targets, tmp_path / str(at)).read_bytes()
        for at, (rows, targets) in enumerate(given)
    }
    assert len(written) == 1


@pytest.mark.parametrize(
    ("probabilities", "targets", "says"),
    [
        (torch.log_softmax(torch.randn(2, 4), 1), [0, 0], "row 0.*negative.*log probabilities"),
        ([torch.tensor([0.0, float("-inf")])], [0], "row 0.*infinite.*log probabilities"),
        ([torch.tensor([30.0, 70.0])], [0], "percentages"),
        ([torch.stack([GOOD, GOOD])], [torch.eye(2).long()], r"one-hot.*argmax"),
        ([GOOD.to(torch.complex64)], [0], "dtype complex64"),
        ([torch.tensor([0.5, 0.5], dtype=torch.float64) * 1.0011], [0], "within 0.001"),
        (torch.stack([GOOD] * 3), torch.tensor([0, 1]), "row 2: targets end here"),
        (torch.stack([GOOD] * 3), torch.tensor([0, 1, 2]), "row 2: the target"),
        (torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), "no rows"),
    ],
)
def test_common_mistakes_are_named_with_their_remedy(
    tmp_path: Path, probabilities: Any, targets: Any, says: str
) -> None:
    with pytest.raises(RecordError, match=says):
        materialize_distilled_dataset(probabilities, targets, tmp_path)


def test_a_row_deep_in_a_large_tensor_is_named_by_its_number(tmp_path: Path) -> None:
    probs = torch.full((600, 2000), 1 / 2000)
    probs[571, 3] = 2.0
    targets = torch.zeros(600, dtype=torch.long)
    given: list[tuple[Any, Any]] = [
        (probs, targets),
        ([probs], [targets]),
        (probs.split(100), targets.split(100)),
        (probs.to(torch.bfloat16), iter(targets)),
    ]
    for rows, classes in given:
        with pytest.raises(RecordError, match="row 571: the sum"):
            materialize_distilled_dataset(rows, classes, tmp_path)


def test_sums_are_made_in_float64_of_what_was_given(tmp_path: Path) -> None:
    probs = torch.full((1, 1_000_000), 1e-6, dtype=torch.float64)
    probs[0, 0] += 0.0009
    materialize_distilled_dataset(probs, [0], tmp_path)
    probs[0, 0] += 0.0002
    with pytest.raises(RecordError, match=r"sum 1\.0011"):
        materialize_distilled_dataset(probs, [0], tmp_path)


def test_a_batch_of_halves_is_converted_in_bounded_memory(tmp_path: Path) -> None:
    probs = torch.full((400, 20_000), 1 / 20_000, dtype=torch.bfloat16)
    torch.ones(1).numpy()
    materialize_distilled_dataset(probs[:1], torch.zeros(1, dtype=torch.long), tmp_path)
    tracemalloc.start()
    try:
        materialize_distilled_dataset([probs], [torch.zeros(400, dtype=torch.long)], tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000


def test_options_of_shards_are_refused_for_the_json_file(tmp_path: Path) -> None:
    for options in (
        {"dtype": "float16"},
        {"top_k": 2},
        {"columns": []},
        {"split": "test"},
        {"shard_bytes": 9},
    ):
        with pytest.raises(ConfigError, match="float32 probabilities and targets alone"):
            materialize_distilled_dataset([GOOD], [0], tmp_path, **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no form"):
        materialize_distilled_dataset([GOOD], [0], tmp_path, form="csv")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_an_artifact_isnt_written_into(tmp_path: Path) -> None:
    materialize_distilled_dataset([GOOD], [0], tmp_path / "a", form="arrow")
    with pytest.raises(ArtifactError, match="is an artifact"):
        materialize_distilled_dataset([GOOD], [0], tmp_path / "a")
    verify_artifact(tmp_path / "a")


KILLED = """
import sys, time
from pathlib import Path
from nexa_data.distill_materialize import materialize_distilled_dataset

def rows():
    for _ in range(20_000):
        yield [1 / 500] * 500
    print("half", flush=True)
    time.sleep(600)

materialize_distilled_dataset(rows(), (0 for _ in range(40_000)), Path(sys.argv[1]), form=sys.argv[2])
"""


@pytest.mark.parametrize("form", ["json", "arrow"])
def test_a_kill_in_the_middle_leaves_the_old_one(tmp_path: Path, form: Any) -> None:
    path = materialize_distilled_dataset([GOOD], [1], tmp_path / "out", form=form)
    before = path.read_bytes()
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "out"), form], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"half\n"
    child.kill()
    child.wait()
    child.stdout.close()
    assert path.read_bytes() == before
    again = materialize_distilled_dataset([GOOD, GOOD], [1, 0], tmp_path / "out", form=form)
    assert again == path
    if form == "arrow":
        verify_artifact(tmp_path / "out")
        assert ShardCatalog.load(path).records() == 2
        assert not list(tmp_path.glob(".out.partial*"))
