"""The whole journey with a real model behind a real server."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import openai
import pyarrow.parquet as pq
import pytest
from nexa_data.artifacts import read_meta, verify_artifact
from nexa_data.distill_materialize import materialize_distilled_dataset
from nexa_distill.collect_teacher import (
    TeacherRequest,
    TeacherSettings,
    collect_teacher,
    collect_teacher_async,
)
from nexa_distill.read_outputs import read_soft_targets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LABELS = ("A", "B")


def asked(reference: list[dict[str, Any]]) -> Iterator[TeacherRequest]:
    for row, item in enumerate(reference):
        truth = "A" if item["p_A_true"] > 0.5 else "B"
        columns = {"text": item["input"], "truth": truth}
        yield TeacherRequest(row, [{"role": "user", "content": item["input"]}], columns)


def test_label_probabilities_over_http_equal_the_models_own(
    teacher_url: str, reference: list[dict[str, Any]], tmp_path: Path
) -> None:
    settings = TeacherSettings(model="tiny", max_tokens=1, temperature=1.0, labels=LABELS, concurrency=8)
    client = openai.AsyncOpenAI(base_url=teacher_url, api_key="none")
    meta = collect_teacher(asked(reference), tmp_path / "out", client=client, settings=settings)

    table = pq.read_table(tmp_path / "out" / "teacher_outputs.parquet")
    assert table.column("text").to_pylist() == [item["input"] for item in reference]
    assert set(table.column("status").to_pylist()) == {"ok"}
    assert set(table.column("finish_reason").to_pylist()) == {"length"}
    assert set(table.column("teacher_output").to_pylist()) <= {"A", "B"}
    for item, row in zip(reference, table.to_pylist(), strict=True):
        assert row["label_probs"] == pytest.approx([item["p_A_model"], item["p_B_model"]], abs=1e-3)
        assert row["residual_mass"] == pytest.approx(1 - sum(row["label_probs"]), abs=1e-6)
        assert row["total_tokens"] == row["prompt_tokens"] + row["completion_tokens"]
        assert row["completion_tokens"] == 1
        assert row["latency_ms"] > 0
        assert row["attempt"] == 1
        assert row["error"] is None
        assert len(row["token_logprobs"]) == len(row["top_bytes"]) == 1
        assert len(row["top_bytes"][0]) == len(row["top_ids"][0]) == len(row["top_logprobs"][0]) == 20
        assert row["token_bytes"] == [row["teacher_output"].encode()]
    assert verify_artifact(tmp_path / "out") == read_meta(tmp_path / "out") == meta
    assert meta.kind == "teacher-outputs"
    counts = json.loads((tmp_path / "out" / "manifest.json").read_text())["counts"]
    assert counts["ok"] == counts["length"] == len(reference)


def test_collected_outputs_become_a_distilled_dataset(
    teacher_url: str, reference: list[dict[str, Any]], tmp_path: Path
) -> None:
    settings = TeacherSettings(model="tiny", max_tokens=1, labels=LABELS)
    client = openai.AsyncOpenAI(base_url=teacher_url, api_key="none")
    collect_teacher(asked(reference), tmp_path / "out", client=client, settings=settings)
    path = materialize_distilled_dataset(
        *read_soft_targets(tmp_path / "out", label_column="truth"), tmp_path / "set"
    )
    rows = json.loads(path.read_text())
    assert [row["target"] for row in rows] == [0 if item["p_A_true"] > 0.5 else 1 for item in reference]
    for item, row in zip(reference, rows, strict=True):
        expected = item["p_A_model"] / (item["p_A_model"] + item["p_B_model"])
        assert row["teacher_probs"] == pytest.approx([expected, 1 - expected], abs=1e-3)


def test_text_answers_come_back_for_every_row_of_many(teacher_url: str, tmp_path: Path) -> None:
    prompts = (TeacherRequest(row, [{"role": "user", "content": "ab" * (row % 7 + 1)}]) for row in range(200))
    settings = TeacherSettings(model="tiny", max_tokens=1, concurrency=32)
    client = openai.AsyncOpenAI(base_url=teacher_url, api_key="none")
    collect_teacher(prompts, tmp_path / "out", client=client, settings=settings)
    table = pq.read_table(tmp_path / "out" / "teacher_outputs.parquet")
    assert table.num_rows == 200
    assert "logprobs" not in table.column_names
    assert set(table.column("status").to_pylist()) == {"ok"}


def test_the_async_twin_collects_in_the_callers_loop_with_the_callers_connections(
    teacher_url: str, reference: list[dict[str, Any]], tmp_path: Path
) -> None:
    async def main() -> int:
        async with openai.AsyncOpenAI(base_url=teacher_url, api_key="none") as client:
            settings = TeacherSettings(model="tiny", max_tokens=1)
            first = await collect_teacher_async(
                asked(reference), tmp_path / "one", client=client, settings=settings
            )
            second = await collect_teacher_async(
                asked(reference), tmp_path / "two", client=client, settings=settings
            )
            return first.bytes + second.bytes

    assert asyncio.run(main()) > 0


def test_plain_collection_works_inside_a_running_loop_as_in_jupyter(
    teacher_url: str, reference: list[dict[str, Any]], tmp_path: Path
) -> None:
    async def cell() -> str:
        client = openai.AsyncOpenAI(base_url=teacher_url, api_key="none")
        settings = TeacherSettings(model="tiny", max_tokens=1)
        return collect_teacher(asked(reference), tmp_path / "out", client=client, settings=settings).kind

    assert asyncio.run(cell()) == "teacher-outputs"
