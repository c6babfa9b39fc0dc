"""Distributions over labels are what the alternatives say, no more."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nexa_data.errors import RecordError, ShardNotFoundError
from nexa_distill.collect_teacher import TeacherRequest
from nexa_distill.soft_targets import label_distribution, read_soft_targets

if TYPE_CHECKING:
    from pathlib import Path

Make = Callable[..., Any]


@given(st.lists(st.floats(-30, 0), min_size=2, max_size=20))
def test_probabilities_sum_to_one_and_give_back_the_raw_mass(logprobs: list[float]) -> None:
    total = math.fsum(math.exp(value) for value in logprobs)
    scaled = [value - max(0.0, math.log(total)) for value in logprobs]
    labels = [f"L{n}" for n in range(len(scaled))]
    found = label_distribution(zip(labels, scaled, strict=True), labels)
    assert math.fsum(found.probabilities) == pytest.approx(1.0)
    for p, logprob in zip(found.probabilities, scaled, strict=True):
        assert p * (1 - found.residual_mass) == pytest.approx(math.exp(logprob), abs=1e-12, rel=1e-6)


def test_a_label_is_matched_with_or_without_a_leading_space_and_both_add_up() -> None:
    found = label_distribution(
        [("yes", math.log(0.3)), (" yes", math.log(0.3)), ("no", math.log(0.2))], ["yes", " no"]
    )
    assert found.probabilities == pytest.approx((0.75, 0.25))
    assert found.residual_mass == pytest.approx(0.2)


def test_a_label_outside_the_alternatives_has_no_mass() -> None:
    assert label_distribution([("A", -0.1), ("a", -4.0)], ["A", "B"]).probabilities == (1.0, 0.0)


def test_where_no_label_was_seen_the_row_is_nan_and_flagged() -> None:
    found = label_distribution([("x", -0.1), ("A.", -1.0)], ["A", "B"])
    assert all(math.isnan(p) for p in found.probabilities)
    assert found.residual_mass == 1.0
    assert not found.seen


def top_reply(server: Any, **mass: float) -> Any:
    top = [{"token": token, "logprob": math.log(value)} for token, value in mass.items()]
    logprobs = {"content": [{**top[0], "top_logprobs": top}]}
    return server.answers({"choices": [{"message": {"content": "A"}, "logprobs": logprobs}]})


@pytest.fixture
def folder(server: Any, collect: Make, settings: Make, tmp_path: Path) -> Path:
    """Four rows: A, B, without a label, failed."""
    server.script.extend([top_reply(server, A=0.75, B=0.25), top_reply(server, B=0.5, A=0.25)])
    server.script.extend([top_reply(server, x=1.0), server.says(400)])
    columns: list[dict[str, Any]] = [{"t": t, "name": n} for t, n in zip([1, 0, 1, 0], "BAAA", strict=True)]
    asked = [
        TeacherRequest(row, [{"role": "user", "content": str(row)}], value)
        for row, value in enumerate(columns)
    ]
    collect(asked, settings(labels=("A", "B"), concurrency=1))
    return tmp_path / "out"


@pytest.mark.parametrize(("column", "expected"), [(None, [0, 1]), ("t", [1, 0]), ("name", [1, 0])])
def test_targets_are_the_teachers_choice_or_a_columns_index_or_label(
    folder: Path, column: str | None, expected: list[int]
) -> None:
    probabilities, targets = read_soft_targets(folder, label_column=column, missing="skip")
    rows = list(probabilities)
    assert torch.stack(rows).flatten().tolist() == pytest.approx([0.75, 0.25, 1 / 3, 2 / 3])
    assert rows[0].dtype == torch.float32
    found = list(targets)
    assert [int(target) for target in found] == expected
    assert found[0].dtype == torch.int64
    assert found[0].shape == ()


def test_a_row_without_a_soft_target_is_named_unless_told_to_skip_it(folder: Path) -> None:
    probabilities, targets = read_soft_targets(folder / "teacher_outputs.parquet")
    with pytest.raises(RecordError, match=r"row 2 has no label.*missing='skip'"):
        list(probabilities)
    with pytest.raises(RecordError, match="row 2"):
        list(targets)


@pytest.mark.usefixtures("server")
def test_what_is_not_there_is_said_before_any_row_is_read(
    collect: Make, settings: Make, requests: Make, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecordError, match=r"no column 'truth'.*label_probs"):
        read_soft_targets(folder, label_column="truth")
    with pytest.raises(ShardNotFoundError):
        read_soft_targets(tmp_path / "nowhere")
    collect(requests(1), settings(), output_dir=tmp_path / "plain")
    with pytest.raises(RecordError, match="labels"):
        read_soft_targets(tmp_path / "plain")
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(RecordError, match="not a Parquet"):
        read_soft_targets(tmp_path / "x.parquet")


def test_a_label_outside_the_set_is_refused_with_its_row(
    server: Any, collect: Make, settings: Make, tmp_path: Path
) -> None:
    server.default = top_reply(server, A=0.75, B=0.25)
    asked = [
        TeacherRequest(n, [{"role": "user", "content": "x"}], {"t": "Z", "u": 2, "v": True}) for n in range(2)
    ]
    collect(asked, settings(labels=("A", "B")))
    for column in ("t", "u", "v"):
        _, targets = read_soft_targets(tmp_path / "out", label_column=column)
        with pytest.raises(RecordError, match=r"row 0.*which is no label"):
            list(targets)
