"""Nothing that was answered is asked again: after kills, stops, changes and publication."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from nexa_distill.collect_teacher import TeacherRequest
from nexa_distill.outputs import LOGPROB_COLUMNS

Collect = Callable[..., Any]
Make = Callable[..., Any]

PYTHON = Path(__file__).parents[3] / "python"
_COLLECT = """
import sys
from pathlib import Path
import openai
from nexa_distill.collect_teacher import TeacherRequest, TeacherSettings, collect_teacher
url, out, rows = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
requests = (TeacherRequest(row, [{"role": "user", "content": f"p{row}"}], {"id": row}) for row in range(rows))
settings = TeacherSettings(model="teacher", retry_base_s=0.0, concurrency=4)
def collect():
    collect_teacher(requests, out, client=openai.AsyncOpenAI(base_url=url, api_key="none"), settings=settings)
async def cell():
    collect()
if sys.argv[4] == "notebook":
    import asyncio
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(cell())
    finally:
        loop.close()
else:
    collect()
"""


def start(server: Any, out: Path, rows: int, where: str = "script") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _COLLECT, server.url, str(out), str(rows), where]
    return subprocess.Popen(command, env={"PYTHONPATH": str(PYTHON)}, stderr=subprocess.PIPE)


def outputs(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / "teacher_outputs.parquet").to_pylist()
    return rows


def test_after_kills_every_row_ends_once_and_only_what_was_in_flight_is_asked_twice(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    rows, kills = 60, (7, 23, 41)
    server.default = server.after(0.005)
    for calls in kills:
        reached = server.reached(calls)
        with start(server, tmp_path / "out", rows) as process:
            assert reached.wait(60)
            process.kill()
    collect(requests(rows), settings(resend_unknown="always"))
    assert [row["teacher_output"] for row in outputs(tmp_path / "out")] == [f"P{row}" for row in range(rows)]
    asked = Counter(server.prompts)
    assert len(asked) == rows
    assert len(server.calls) <= rows + 4 * len(kills)
    print(f"{rows} rows, {len(kills)} kills, {len(server.calls)} upstream calls")  # noqa: T201 (shown with -s)


@pytest.mark.parametrize("where", ["script", "notebook"])
def test_ctrl_c_ends_the_run_keeps_the_answers_and_the_next_run_goes_on(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path, where: str
) -> None:
    server.script.extend([server.echo] * 10)
    server.default = server.hang
    reached = server.reached(14)  # all four workers hang, so all ten answers have arrived
    with start(server, tmp_path / "out", 30, where) as process:
        assert reached.wait(60)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert b"KeyboardInterrupt" in errors
    sent = len(server.calls)
    server.default = server.echo
    collect(requests(30), settings(resend_unknown="always"))
    assert len(server.calls) == sent + 20
    assert sorted(path.name for path in tmp_path.iterdir()) == [".teacher-runs", "out"]


def test_with_everything_answered_nothing_is_sent_and_the_same_artifact_is_returned(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    first = collect(requests(5), settings())
    again = collect(requests(5), settings(concurrency=9, max_attempts=2))
    assert again == first
    assert first.labels["key"]
    assert len(server.calls) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == [".teacher-runs", "out"]


@pytest.mark.parametrize(
    "change", [{"temperature": 0.3}, {"model": "other"}, {"extra_body": {"x": 1}}, {"logprobs": True}]
)
def test_another_model_or_parameter_asks_anew(
    server: Any, collect: Collect, settings: Make, requests: Make, change: dict[str, Any]
) -> None:
    server.script.extend([server.echo] * 3)
    server.default = server.says(401)
    with pytest.raises(Exception, match="stopped after 3"):
        collect(requests(5), settings(concurrency=1))
    server.default = server.echo
    collect(requests(5), settings(**change))
    assert len(server.calls) == 4 + 5


def test_more_rows_other_columns_and_other_order_reuse_what_an_interrupted_run_answered(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    server.script.extend([server.echo] * 3)
    server.default = server.says(401)
    with pytest.raises(Exception, match="stopped after 3"):
        collect(requests(5), settings(concurrency=1))
    server.default = server.echo
    turned = [
        TeacherRequest(r.row, r.messages, {"name": f"row {r.row}"}) for r in reversed(list(requests(8)))
    ]
    collect(turned, settings())
    assert len(server.calls) == 4 + 5
    assert [row["name"] for row in outputs(tmp_path / "out")] == [f"row {row}" for row in range(7, -1, -1)]


def test_failed_rows_of_a_published_artifact_are_asked_again_and_no_others(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    server.script.append(server.says(400))
    collect(requests(5), settings(concurrency=1))
    collect(requests(5), settings(concurrency=1))
    assert server.prompts == ["p0", "p1", "p2", "p3", "p4", "p0"]
    assert {row["status"] for row in outputs(tmp_path / "out")} == {"ok"}


def test_a_published_artifact_is_extended_without_asking_for_its_rows_again(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    collect(requests(5), settings())
    collect(requests(9), settings())
    assert len(server.calls) == 9
    assert [row["teacher_output"] for row in outputs(tmp_path / "out")] == [f"P{row}" for row in range(9)]


def test_another_label_set_is_computed_from_the_answers_that_are_there(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    top = [{"token": token, "logprob": logprob} for token, logprob in [("A", -0.5), ("B", -1.5), ("C", -2.5)]]
    logprobs = {"content": [{**top[0], "top_logprobs": top}]}
    server.default = server.answers({"choices": [{"message": {"content": "A"}, "logprobs": logprobs}]})
    collect(requests(2), settings(labels=("A", "B"), top_logprobs=20))
    (before, _) = outputs(tmp_path / "out")
    collect(requests(2), settings(labels=("A", "B", "C"), top_logprobs=20))
    (after, _) = outputs(tmp_path / "out")
    assert len(server.calls) == 2
    assert len(before["label_probs"]) == 2
    assert len(after["label_probs"]) == 3
    assert [after[name] for name in LOGPROB_COLUMNS] == [before[name] for name in LOGPROB_COLUMNS]
    assert after["residual_mass"] < before["residual_mass"]


def test_the_manifest_says_what_was_asked_and_what_came_of_it(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    server.script.append(server.says(500))
    meta = collect(requests(4), settings(seed=5))
    document = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert document["endpoint"] == server.url
    assert document["model"] == "teacher"
    assert document["parameters"] == {"seed": 5}
    assert document["requests"] == meta.inputs["requests"]
    assert document["counts"]["rows"] == document["counts"]["ok"] == 4
    assert document["counts"]["prompt_tokens"] == 12
    assert document["session"]["requests"] == 5
    assert document["session"]["wall_s"] >= 0
