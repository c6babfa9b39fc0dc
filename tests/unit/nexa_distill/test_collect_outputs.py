"""What a collection leaves behind: rows for several answers, chats, rejected answers, a private folder that can be purged."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from nexa_data import _core
from nexa_data.errors import ArtifactError, ConfigError
from nexa_distill.budget import Budget, Price
from nexa_distill.collect_teacher import CollectionStoppedError, JournalPolicy, TeacherRequest
from nexa_distill.gate import Gate
from nexa_distill.run_folder import RUNS_NAME, purge_run

if TYPE_CHECKING:
    from pathlib import Path

Collect = Callable[..., Any]
Make = Callable[..., Any]


def rows_of(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / "teacher_outputs.parquet").to_pylist()
    return rows


def manifest_of(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return document


def runs_of(folder: Path) -> list[Path]:
    return sorted((folder / RUNS_NAME).iterdir())


def choices(*texts: str, **message: Any) -> dict[str, Any]:
    listed = [
        {"index": index, "message": {"content": text, **message}, "finish_reason": "stop"}
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 3, "completion_tokens": len(texts), "total_tokens": 3 + len(texts)}
    return {"model": "teacher-1", "choices": listed[::-1], "usage": usage}


def test_several_answers_to_a_prompt_are_rows_of_their_own_and_one_request(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    server.script.extend([server.answers(choices("a", "b", "c")), server.answers(choices("d", "e"))])
    collect(requests(2), settings(n=3, concurrency=1))
    assert [call["n"] for call in server.calls] == [3, 3]
    rows = rows_of(tmp_path / "out")
    assert [(row["id"], row["sample"], row["teacher_output"]) for row in rows] == [
        (0, 0, "a"),
        (0, 1, "b"),
        (0, 2, "c"),
        (1, 0, "d"),
        (1, 1, "e"),
        (1, 2, None),
    ]
    assert rows[5]["status"] == "failed"
    assert "fewer answers" in rows[5]["error"]
    counts = manifest_of(tmp_path / "out")["counts"]
    assert (counts["rows"], counts["ok"], counts["failed"], counts["prompt_tokens"]) == (6, 5, 1, 6)


def test_chats_to_fine_tune_on_hold_the_whole_turn_and_only_what_is_used(
    server: Any, collect: Collect, settings: Make, tmp_path: Path
) -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    tools = [{"type": "function", "function": {"name": "f"}}]
    asked = [
        TeacherRequest(
            0, [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}], tools=tools
        ),
        TeacherRequest(1, [{"role": "user", "content": "b"}]),
    ]
    server.script.extend(
        [server.answers(choices("x", tool_calls=calls, reasoning_content="why")), server.says(400)]
    )
    collect(asked, settings(concurrency=1), sft=True)
    assert server.calls[0]["tools"] == tools
    assert "tools" not in server.calls[1]
    lines = (tmp_path / "out" / "sft.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "x", "reasoning_content": "why", "tool_calls": calls},
            ],
            "tools": tools,
        }
    ]
    row = rows_of(tmp_path / "out")[0]
    assert (row["reasoning"], json.loads(row["tool_calls"])) == ("why", calls)


def test_rejected_answers_are_kept_with_the_reason_and_another_gate_asks_nothing_again(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    texts = ["fine", "I'm sorry, I can't help.", "fine", "x"]
    server.script.extend(server.answers(choices(text)) for text in texts)
    gate = Gate(refuse_refusals=True, unique=True, min_chars=2)
    collect(requests(4), settings(concurrency=1, gate=gate))
    rows = rows_of(tmp_path / "out")
    assert [row["status"] for row in rows] == ["ok", "rejected", "rejected", "rejected"]
    assert [row["teacher_output"] for row in rows] == texts
    assert [row["error"] for row in rows][1:3] == ["refusal", "duplicate of an earlier answer"]
    document = manifest_of(tmp_path / "out")
    assert document["counts"]["rejected"] == 3
    assert document["gate"]["min_chars"] == 2
    collect(requests(4), settings())
    assert [row["status"] for row in rows_of(tmp_path / "out")] == ["ok"] * 4
    assert len(server.calls) == 4


def test_the_runs_folder_is_private_and_holds_no_answers_once_they_are_published(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    collect(
        requests(5),
        settings(),
        output_dir=tmp_path / "kept",
        journal=JournalPolicy(retain="forever", bodies="raw"),
    )
    (run,) = runs_of(tmp_path)
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert stat.S_IMODE((run / "journal.nexa").stat().st_mode) == 0o600
    assert b'"P3"' in (run / "journal.nexa").read_bytes()
    assert purge_run(run) > 0
    assert b'"P3"' not in (run / "journal.nexa").read_bytes()
    before = manifest_of(tmp_path / "kept")["journal"]
    journal = _core.TeacherJournal(run / "journal.nexa", read_only=True)
    assert journal.digest() == before
    journal.close()
    collect(requests(7), settings(), output_dir=tmp_path / "more")
    assert len(server.calls) == 7
    assert [row["teacher_output"] for row in rows_of(tmp_path / "more")] == [f"P{n}" for n in range(7)]
    assert all(b'"P3"' not in (folder / "journal.nexa").read_bytes() for folder in runs_of(tmp_path))


def test_without_the_artifact_a_purged_answer_is_unknown_and_not_paid_for_again_unasked(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    import shutil

    collect(requests(3), settings())
    shutil.rmtree(tmp_path / "out")
    collect(requests(3), settings())
    assert len(server.calls) == 3
    assert {row["status"] for row in rows_of(tmp_path / "out")} == {"unknown"}
    assert "purged" in rows_of(tmp_path / "out")[0]["error"]
    collect(requests(3), settings(resend_unknown="always"))
    assert len(server.calls) == 6
    assert {row["status"] for row in rows_of(tmp_path / "out")} == {"ok"}


def test_purging_says_where_runs_are_if_it_is_shown_something_else(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    collect(requests(1), settings())
    with pytest.raises(ConfigError, match=rf"is no run.*{runs_of(tmp_path)[0].name}"):
        purge_run(tmp_path)
    assert len(server.calls) == 1


def test_two_collections_of_the_same_requests_do_not_run_at_once(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    def second(_progress: Any) -> None:
        with pytest.raises(ArtifactError, match="another collection of the same requests"):
            collect(requests(2), settings(), output_dir=tmp_path / "second")
        raise KeyError

    with pytest.raises(KeyError):
        collect(requests(2), settings(), progress=second)
    assert len(server.calls) <= 2


def test_a_budget_stops_the_run_before_it_is_overshot_and_a_larger_one_goes_on(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    price = Price(prompt=1000.0, completion=1000.0)  # the server counts 3 + 1 tokens: 0.004 a row
    asked = {"max_tokens": 10, "concurrency": 2, "price": price}
    with pytest.raises(CollectionStoppedError, match="budget"):
        collect(requests(50), settings(**asked, budget=Budget(max_cost=0.2)))
    sent = len(server.calls)
    assert 0 < sent * 0.004 <= 0.2
    with pytest.raises(CollectionStoppedError, match="budget"):
        collect(requests(50), settings(**asked, budget=Budget(max_cost=0.2)))
    assert len(server.calls) == sent
    collect(requests(50), settings(**asked, budget=Budget(max_cost=2.0)))
    assert len(server.calls) == 50
    assert manifest_of(tmp_path / "out")["spend"]["cost"] == pytest.approx(0.2)


def test_changing_what_is_asked_starts_a_new_run_beside_the_old(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    collect(requests(2), settings())
    collect(requests(2), settings(labels=("A", "B"), top_logprobs=None), output_dir=tmp_path / "b")
    assert len(runs_of(tmp_path)) == 2
    collect(requests(2), settings(gate=Gate(unique=True)), output_dir=tmp_path / "c")
    assert len(runs_of(tmp_path)) == 2
    assert len(server.calls) == 4


def test_a_journal_that_is_damaged_in_its_middle_asks_again_only_for_what_was_hit(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    server.script.extend([server.echo] * 5)
    server.default = server.says(401)
    with pytest.raises(Exception, match="stopped after 5"):
        collect(requests(8), settings(concurrency=1))
    (run,) = runs_of(tmp_path)
    file = run / "journal.nexa"
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    file.write_bytes(damaged)
    server.default = server.echo
    sent = len(server.calls)
    collect(requests(8), settings(resend_unknown="always"))
    assert len(server.calls) - sent in {3, 4}
    assert [row["teacher_output"] for row in rows_of(tmp_path / "out")] == [f"P{n}" for n in range(8)]
