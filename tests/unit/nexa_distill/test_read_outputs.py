"""Soft targets are what the collector's file says, and what fell on no label is dealt with as asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from nexa_data.distill_materialize import materialize_distilled_dataset
from nexa_data.errors import ConfigError, RecordError, ShardNotFoundError
from nexa_distill.read_outputs import SoftTargets, read_soft_targets
from teacher_files import row, write

if TYPE_CHECKING:
    from pathlib import Path

RAW = [[0.6, 0.2], [0.1, 0.3], [0.0, 0.9]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three rows with raw probabilities, one without a label, one that failed, one that was rejected."""
    rows = [row(probs, truth="BAB"[at], number=at % 2) for at, probs in enumerate(RAW)]
    rows += [row([0.0, 0.0], truth="A", number=0), row(None, truth="A", number=0)]
    rows += [row(None, status="rejected", error="too long", truth="A", number=0)]
    return write(tmp_path / "out" / "teacher_outputs.parquet", rows)


@pytest.mark.parametrize(
    ("residual", "expected"),
    [
        ("renormalize", [[0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]),
        ("class", [[0.6, 0.2, 0.2], [0.1, 0.3, 0.6], [0.0, 0.9, 0.1]]),
    ],
)
def test_the_residual_mass_is_scaled_away_or_a_class_of_its_own(
    file: Path, residual: Any, expected: list[list[float]]
) -> None:
    probabilities, targets = read_soft_targets(file.parent, missing="skip", residual=residual)
    found = torch.stack(list(probabilities))
    assert found.dtype == torch.float32
    assert torch.allclose(found, torch.tensor(expected))
    assert torch.allclose(found.sum(1), torch.ones(3))
    classes = list(targets)
    assert [int(each) for each in classes] == [0, 1, 1]
    assert (classes[0].dtype, classes[0].shape) == (torch.int64, ())


def test_a_residual_mass_above_the_tolerance_is_an_error_with_its_row(tmp_path: Path) -> None:
    file = write(tmp_path / "x.parquet", [row([0.9995, 0.0]), row([0.5, 0.4])])
    probabilities, _ = read_soft_targets(file, residual="error")
    with pytest.raises(RecordError, match=r"row 1: a probability of 0\.1 fell on no label.*renormalize"):
        list(probabilities)
    probabilities, _ = read_soft_targets(file, residual="error", residual_tolerance=0.2)
    assert torch.allclose(torch.stack(list(probabilities)).sum(1), torch.ones(2))


@pytest.mark.parametrize(("column", "expected"), [("truth", [1, 0, 1]), ("number", [0, 1, 0])])
@pytest.mark.parametrize("residual", ["renormalize", "class"])
def test_targets_are_a_columns_index_or_label(
    file: Path, column: str, expected: list[int], residual: Any
) -> None:
    _, targets = read_soft_targets(file, label_column=column, missing="skip", residual=residual)
    assert [int(target) for target in targets] == expected


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([row(None)], "row 0 is failed, not ok: 500"),
        ([row([1.0, 0.0]), row(None, status="rejected", error=None)], "row 1 is rejected"),
        ([row([0.5, 0.5], status="unknown")], "row 0 is unknown"),
        ([row([0.0, 0.0])], "row 0 has no label among"),
    ],
)
def test_a_row_without_a_soft_target_is_named_unless_told_to_skip_it(
    tmp_path: Path, rows: list[dict[str, Any]], says: str
) -> None:
    file = write(tmp_path / "x.parquet", [*rows, row([0.5, 0.25])])
    probabilities, targets = read_soft_targets(file)
    with pytest.raises(RecordError, match=f"{says}.*missing='skip'"):
        list(probabilities)
    with pytest.raises(RecordError, match=says):
        list(targets)
    found = SoftTargets.open(file, missing="skip")
    kept = sum(len(batch.targets) for batch in found.batches())
    assert kept + sum(found.skipped.values()) == found.rows


def test_a_file_without_status_says_missing_by_null(tmp_path: Path) -> None:
    table = pa.table({"label_probs": [[0.25, 0.75], None]}).replace_schema_metadata(
        {b"nexa.labels": b'["A", "B"]'}
    )
    pq.write_table(table, tmp_path / "x.parquet")
    probabilities, _ = read_soft_targets(tmp_path / "x.parquet")
    with pytest.raises(RecordError, match="row 1 failed"):
        list(probabilities)


def test_a_label_outside_the_set_is_refused_with_its_row(tmp_path: Path) -> None:
    file = write(tmp_path / "x.parquet", [row([0.5, 0.25], truth="Z", number=2)])
    for column in ("truth", "number"):
        _, targets = read_soft_targets(file, label_column=column, residual="class")
        with pytest.raises(RecordError, match=f"row 0: {column}.*which is no label"):
            list(targets)


def test_what_is_not_there_is_said_before_any_row_is_read(tmp_path: Path, file: Path) -> None:
    with pytest.raises(RecordError, match=r"no column 'answer'.*label_probs"):
        read_soft_targets(file, label_column="answer")
    with pytest.raises(ShardNotFoundError):
        read_soft_targets(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="known: renormalize, class, error"):
        read_soft_targets(file, residual="spread")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="known: error, skip"):
        read_soft_targets(file, missing="leave")  # type: ignore[arg-type]
    with pytest.raises(RecordError, match="collect with `labels`"):
        read_soft_targets(write(tmp_path / "plain.parquet", [{"id": "a", "status": "ok"}], labels=()))
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(RecordError, match="not a Parquet"):
        read_soft_targets(tmp_path / "x.parquet")


def test_damaged_probabilities_are_refused_with_their_row(tmp_path: Path) -> None:
    for probs, says in (([0.5], "has 1 probabilities, and the label set 2"), ([0.5, -0.5], "damaged")):
        file = write(tmp_path / "x.parquet", [row([0.5, 0.5]), row(probs)])
        with pytest.raises(RecordError, match=f"row 1 has.*{says}|row 1 {says}"):
            list(read_soft_targets(file)[0])


@given(
    st.lists(
        st.lists(st.floats(0, 0.25, width=32), min_size=4, max_size=4).filter(lambda row: sum(row) > 1e-6),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 9),
)
@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30
)
def test_whatever_was_collected_is_a_distribution_that_can_be_materialized(
    tmp_path: Path, raw: list[list[float]], group: int
) -> None:
    file = write(tmp_path / "x.parquet", [row(probs) for probs in raw], labels="ABCD", row_group_size=group)
    for residual in ("renormalize", "class"):
        probabilities, targets = read_soft_targets(file, residual=residual)  # type: ignore[arg-type]
        path = materialize_distilled_dataset(probabilities, targets, tmp_path / "out")
        read = json.loads(path.read_text())
        assert [each["target"] for each in read] == [int(np.argmax(probs)) for probs in raw]
        for each, probs in zip(read, raw, strict=True):
            whole = [*probs, max(0.0, 1 - sum(probs))] if residual == "class" else probs
            assert each["teacher_probs"] == pytest.approx([p / sum(whole) for p in whole], abs=1e-6)


def test_features_and_columns_travel_along(tmp_path: Path) -> None:
    rows = [row([0.5, 0.25], id=f"r{at}", vector=[at, at + 1], number=at) for at in range(5)]
    rows[2] = row(None, id="r2", vector=[0, 0], number=0)
    file = write(tmp_path / "x.parquet", rows)
    found = SoftTargets.open(file, missing="skip", features=("vector", "number"), carry=("id",))
    (batch,) = found.batches()
    assert batch.columns is not None
    assert batch.columns.column("features").to_numpy_ndarray().tolist() == [
        [0, 1, 0],
        [1, 2, 1],
        [3, 4, 3],
        [4, 5, 4],
    ]
    assert batch.columns.column("id").to_pylist() == ["r0", "r1", "r3", "r4"]
    assert found.skipped == {"failed": 1}


@pytest.mark.parametrize(
    ("rows", "options", "says"),
    [
        (
            [{"vector": [1.0]}, {"vector": [1.0, 2.0]}],
            {"features": ("vector",)},
            "row 1: column 'vector' has 2",
        ),
        ([{"id": "a"}, {"id": None}], {"carry": ("id",)}, "row 1: column 'id' is null"),
        ([{"id": "a"}], {"features": ("id",)}, "not numbers"),
        ([{"id": "a"}], {"carry": ("x",)}, "no column 'x'"),
    ],
)
def test_columns_that_dont_fit_are_refused(
    tmp_path: Path, rows: list[dict[str, Any]], options: dict[str, Any], says: str
) -> None:
    file = write(tmp_path / "x.parquet", [row([0.5, 0.5], **values) for values in rows])
    with pytest.raises(RecordError, match=says):
        list(SoftTargets.open(file, **options).batches())


def test_a_long_file_is_read_in_bounded_memory(tmp_path: Path) -> None:
    kind = pa.list_(pa.float32())
    schema = pa.schema([("label_probs", kind), ("vector", kind)], metadata={"nexa.labels": '["A", "B"]'})
    probs = pa.array([[0.5, 0.25]] * 1000, kind)
    random = np.random.default_rng(1)
    with pq.ParquetWriter(tmp_path / "x.parquet", schema) as writer:
        for _ in range(40):
            vector = pa.array(list(random.random((1000, 256), np.float32)), kind)
            writer.write_batch(pa.record_batch([probs, vector], schema=schema))
    del probs, vector
    before, most = pa.total_allocated_bytes(), 0
    for batch in SoftTargets.open(tmp_path / "x.parquet", carry=("vector",)).batches():
        most = max(most, pa.total_allocated_bytes() - before)
        assert batch.columns is not None
    assert (tmp_path / "x.parquet").stat().st_size > 30_000_000
    assert most < 10_000_000
