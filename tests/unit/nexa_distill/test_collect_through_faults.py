"""Each fault of an endpoint has its consequence, and a count of what was sent."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import openai
import pyarrow.parquet as pq
import pytest
from nexa_data.errors import ArtifactError, ConfigError, RecordError, TeacherError
from nexa_distill.collect_teacher import Progress, TeacherRequest, collect_teacher, collect_teacher_async

if TYPE_CHECKING:
    from pathlib import Path

Collect = Callable[..., Any]
Make = Callable[..., Any]

QUOTA = json.dumps(
    {"error": {"message": "You exceeded your quota", "code": "insufficient_quota", "type": "t"}}
)
REFUSED = json.dumps({"error": {"message": "Incorrect API key", "code": "invalid_api_key", "type": "t"}})
TOO_LONG = json.dumps({"error": {"message": "context too long", "code": "context_length_exceeded"}})


def rows_of(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / "teacher_outputs.parquet").to_pylist()
    return rows


def session_of(folder: Path) -> dict[str, int]:
    session: dict[str, int] = json.loads((folder / "manifest.json").read_text())["session"]
    return session


def test_rows_come_out_in_the_order_of_the_requests(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    server.script.extend([server.after(0.05), server.after(0.02), server.echo])
    collect(requests(20), settings())
    rows = rows_of(tmp_path / "out")
    assert [row["id"] for row in rows] == list(range(20))
    assert [row["teacher_output"] for row in rows] == [f"P{row}" for row in range(20)]
    assert len(server.calls) == 20
    assert {row["system_fingerprint"] for row in rows} == {"fp-1"}


def test_no_more_requests_are_in_flight_than_the_setting_says(
    server: Any, collect: Collect, settings: Make, requests: Make
) -> None:
    server.default = server.after(0.005)
    collect(requests(40), settings(concurrency=3))
    assert server.most_in_flight == 3


@pytest.mark.parametrize(
    "fault",
    [
        lambda s: s.says(429, "{}", retry_after="0"),
        lambda s: s.says(429, "{}", retry_after_ms="1"),
        lambda s: s.says(429, "{}", retry_after="Wed, 21 Oct 2015 07:28:00 GMT"),
        lambda s: s.says(429, "not json"),
        lambda s: s.says(500, "<html>oops</html>"),
        lambda s: s.says(503),
        lambda s: s.says(408),
    ],
)
def test_a_passing_fault_that_costs_nothing_is_asked_again_once(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path, fault: Make
) -> None:
    server.script.append(fault(server))
    collect(requests(1), settings())
    (row,) = rows_of(tmp_path / "out")
    assert (row["status"], row["teacher_output"], row["attempt"]) == ("ok", "P0", 2)
    assert len(server.calls) == 2
    session = session_of(tmp_path / "out")
    assert (session["requests"], session["lost"]) == (2, 0)


LOSSES: list[Callable[[Any], Any]] = [
    lambda s: s.says(200, '{"choices": [{"mess'),
    lambda s: s.says(200, "<html>gateway</html>"),
    lambda s: s.says(200, '{"error": {"message": "upstream"}}'),
    lambda s: s.answers({"choices": []}),
    lambda s: s.reset,
    lambda s: s.truncated,
]


@pytest.mark.parametrize("fault", LOSSES)
def test_a_request_whose_answer_is_lost_is_sent_again_if_the_user_says_so(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path, fault: Make
) -> None:
    server.script.append(fault(server))
    collect(requests(1), settings(resend_unknown="always"))
    (row,) = rows_of(tmp_path / "out")
    assert (row["status"], row["teacher_output"], row["attempt"]) == ("ok", "P0", 2)
    assert len(server.calls) == 2
    session = session_of(tmp_path / "out")
    assert (session["requests"], session["lost"]) == (2, 1)


@pytest.mark.parametrize("fault", LOSSES)
@pytest.mark.parametrize("policy", ["ask", "never"])
def test_a_request_whose_answer_is_lost_is_unknown_and_counts_as_spent_until_somebody_decides(
    server: Any,
    collect: Collect,
    settings: Make,
    requests: Make,
    tmp_path: Path,
    fault: Make,
    policy: str,
) -> None:
    server.script.append(fault(server))
    for _ in range(2):
        collect(requests(2), settings(resend_unknown=policy, concurrency=1, max_tokens=5))
        rows = rows_of(tmp_path / "out")
        assert [row["status"] for row in rows] == ["unknown", "ok"]
        assert rows[0]["error"]
        assert rows[0]["teacher_output"] is None
        manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
        assert manifest["counts"]["unknown"] == 1
        assert manifest["spend"]["unknown_completion_tokens"] == 5
        assert len(server.calls) == 2
    asked = []
    collect(requests(2), settings(max_tokens=5), confirm=lambda unknown: bool(asked.append(unknown)) or True)
    assert [row["teacher_output"] for row in rows_of(tmp_path / "out")] == ["P0", "P1"]
    assert [unknown.rows for unknown in asked] == [1]
    assert len(server.calls) == 3


def test_what_is_lost_in_this_session_is_asked_about_at_its_end(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    server.script.append(server.reset)
    collect(requests(3), settings(concurrency=1), confirm=lambda unknown: unknown.rows == 1)
    assert [row["teacher_output"] for row in rows_of(tmp_path / "out")] == ["P0", "P1", "P2"]
    assert len(server.calls) == 4
    session = session_of(tmp_path / "out")
    assert (session["ok"], session["unknown"], session["requests"], session["lost"]) == (3, 0, 4, 1)


def test_a_hanging_request_is_given_up_after_the_timeout_and_asked_again(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    server.script.append(server.hang)
    collect(requests(1), settings(timeout_s=0.3))
    assert rows_of(tmp_path / "out")[0]["attempt"] == 2
    assert session_of(tmp_path / "out")["lost"] == 1


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_request_that_the_endpoint_rejects_fails_its_row_and_no_other(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path, status: int
) -> None:
    server.script.append(server.says(status, TOO_LONG))
    collect(requests(5), settings(concurrency=1))
    rows = rows_of(tmp_path / "out")
    assert [row["status"] for row in rows] == ["failed", "ok", "ok", "ok", "ok"]
    assert "context too long" in rows[0]["error"]
    assert rows[0]["teacher_output"] is None
    assert rows[0]["attempt"] == 1
    assert len(server.calls) == 5


def test_a_row_fails_after_the_last_attempt(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    # While the endpoint fails, rows that weren't asked yet go first.
    server.script.extend([server.says(500), server.echo, server.says(500), server.says(500)])
    collect(requests(2), settings(concurrency=1, max_attempts=3))
    assert [(row["status"], row["attempt"]) for row in rows_of(tmp_path / "out")] == [
        ("failed", 3),
        ("ok", 1),
    ]


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [(401, REFUSED, "OPENAI_API_KEY"), (403, "{}", "OPENAI_API_KEY"), (429, QUOTA, "quota")],
)
def test_quota_and_auth_stop_the_run_at_once_and_the_next_run_goes_on(
    server: Any,
    collect: Collect,
    settings: Make,
    requests: Make,
    tmp_path: Path,
    status: int,
    body: str,
    says: str,
) -> None:
    server.script.extend([server.echo] * 3)
    server.default = server.says(status, body)
    with pytest.raises(TeacherError, match=says) as stopped:
        collect(requests(50), settings(concurrency=1))
    assert "3 of 50" in str(stopped.value)
    assert len(server.calls) == 4
    assert not (tmp_path / "out").exists()
    server.default = server.echo
    collect(requests(50), settings(concurrency=1))
    assert len(server.calls) == 4 + 47
    assert session_of(tmp_path / "out")["reused"] == 3


def test_what_is_in_flight_when_the_run_stops_is_still_kept(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    server.script.extend([server.after(0.3), server.after(0.3), server.says(401)])
    server.default = server.says(401)
    with pytest.raises(TeacherError):
        collect(requests(30), settings(concurrency=3))
    sent = len(server.calls)
    server.default = server.echo
    collect(requests(30), settings())
    assert session_of(tmp_path / "out")["reused"] == 2
    assert len(server.calls) == sent + 28


def test_a_pause_that_is_too_long_stops_the_run_instead_of_hanging_it(
    server: Any, collect: Collect, settings: Make, requests: Make
) -> None:
    server.default = server.says(429, "{}", retry_after="86400")
    with pytest.raises(TeacherError, match="86400"):
        collect(requests(2), settings())


def test_nothing_is_published_when_every_row_failed(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    server.default = server.says(404, '{"error": {"message": "no such model"}}')
    with pytest.raises(TeacherError, match=r"all 3 rows failed.*no such model"):
        collect(requests(3), settings())
    assert not (tmp_path / "out").exists()


def test_an_endpoint_that_is_not_there_stops_the_run_without_counting_its_rows_as_spent(
    settings: Make, requests: Make, tmp_path: Path
) -> None:
    client = openai.AsyncOpenAI(base_url="http://127.0.0.1:9/v1", api_key="none")
    with pytest.raises(TeacherError, match=r"connection failed \(Connection refused\)"):
        collect_teacher(
            requests(2), tmp_path / "out", client=client, settings=settings(max_attempts=2, outage_s=1)
        )


def test_an_answer_cut_at_max_tokens_is_kept_and_flagged(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    document = {"choices": [{"message": {"content": "half an ans"}, "finish_reason": "length"}]}
    server.default = server.answers(document)
    collect(requests(1), settings(max_tokens=3))
    (row,) = rows_of(tmp_path / "out")
    assert (row["status"], row["teacher_output"], row["finish_reason"]) == ("ok", "half an ans", "length")
    assert row["prompt_tokens"] is None
    assert len(server.calls) == 1


def test_the_body_sent_is_what_the_settings_say_and_nothing_else(
    server: Any, collect: Collect, settings: Make, requests: Make
) -> None:
    extra = {"response_format": {"type": "json_object"}}
    collect(requests(1), settings(temperature=0.5, top_p=0.9, max_tokens=7, seed=3, extra_body=extra))
    assert server.calls == [
        {
            "model": "teacher",
            "messages": [{"role": "user", "content": "p0"}],
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 7,
            "seed": 3,
            "response_format": {"type": "json_object"},
        }
    ]


def test_rows_that_ask_the_same_are_sampled_independently(
    server: Any, collect: Collect, settings: Make, tmp_path: Path
) -> None:
    same = [TeacherRequest(row, [{"role": "user", "content": "again"}]) for row in range(3)]
    server.script.extend(server.answers({"choices": [{"message": {"content": str(n)}}]}) for n in range(3))
    collect(same, settings(concurrency=1))
    rows = rows_of(tmp_path / "out")
    assert [row["teacher_output"] for row in rows] == ["0", "1", "2"]
    assert len({row["request_key"] for row in rows}) == 3
    collect(same, settings())
    assert len(server.calls) == 3


def test_progress_counts_to_the_end(server: Any, collect: Collect, settings: Make, requests: Make) -> None:
    server.script.append(server.says(400))
    seen: list[Progress] = []
    collect(requests(6), settings(concurrency=1), progress=seen.append)
    done = [progress.done for progress in seen]
    assert done == sorted(done)
    assert set(done) == {0, 1, 2, 3, 4, 5, 6}
    last = seen[-1]
    assert (last.ok, last.failed, last.unknown, last.total, last.requests) == (5, 1, 0, 6, 6)
    assert (last.prompt_tokens, last.completion_tokens, last.cost) == (15, 5, None)


def test_an_error_in_the_callers_progress_stops_the_run_and_keeps_the_answers(
    server: Any, collect: Collect, settings: Make, requests: Make
) -> None:
    def explode(progress: Progress) -> None:
        if progress.done == 3:
            raise RuntimeError("from the caller")

    with pytest.raises(RuntimeError, match="from the caller"):
        collect(requests(9), settings(concurrency=1), progress=explode)
    collect(requests(9), settings(concurrency=1))
    assert len(server.calls) == 9


def test_no_request_is_sent_when_one_of_them_is_unfit(server: Any, collect: Collect, settings: Make) -> None:
    with pytest.raises(RecordError, match="row 3: messages"):
        collect(
            (TeacherRequest(n, [] if n == 3 else [{"role": "user", "content": "x"}]) for n in range(9)),
            settings(),
        )
    with pytest.raises(RecordError, match="there are no requests"):
        collect([], settings())
    with pytest.raises(ConfigError, match="error"):
        collect([TeacherRequest(0, [{"role": "user", "content": "x"}], {"error": 1})], settings())
    mixed = [
        TeacherRequest(n, [{"role": "user", "content": "x"}], {"c": value})
        for n, value in enumerate([1, "a"])
    ]
    with pytest.raises(RecordError, match="column 'c'"):
        collect(mixed, settings())
    assert server.calls == []


def test_a_foreign_folder_is_refused_before_anything_is_sent(
    server: Any, collect: Collect, settings: Make, requests: Make, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match="not an artifact"):
        collect(requests(2), settings())
    assert server.calls == []
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"


def test_a_client_of_the_wrong_kind_is_refused(settings: Make, requests: Make, tmp_path: Path) -> None:
    with (
        openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="none") as client,
        pytest.raises(ConfigError),
    ):
        collect_teacher(requests(1), tmp_path / "out", client=client, settings=settings())  # type: ignore[arg-type]


def test_the_async_twin_stops_and_resumes_like_the_plain_one(
    server: Any, settings: Make, requests: Make, tmp_path: Path
) -> None:
    async def run() -> None:
        async with openai.AsyncOpenAI(base_url=server.url, api_key="none") as client:
            await collect_teacher_async(
                requests(10), tmp_path / "out", client=client, settings=settings(concurrency=1)
            )

    server.script.extend([server.echo] * 4)
    server.default = server.says(401)
    with pytest.raises(TeacherError):
        asyncio.run(run())
    server.default = server.echo
    asyncio.run(run())
    assert len(server.calls) == 5 + 6


def test_the_key_is_in_no_file_log_or_error_even_if_the_endpoint_echoes_it(
    server: Any,
    collect: Collect,
    settings: Make,
    requests: Make,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="nexa_distill")
    caplog.set_level(logging.DEBUG, logger="nexa_data")
    server.script.append(server.echo)
    collect(requests(1, start=100), settings(), output_dir=tmp_path / "first")
    secret = server.headers[0]["Authorization"].removeprefix("Bearer ")
    assert secret.startswith("sk-")
    echo = json.dumps({"error": {"message": f"{'x' * 400} bad request with key {secret}"}})
    server.script.extend([server.says(400, echo), server.echo, server.says(401, echo)])
    with pytest.raises(TeacherError) as stopped:
        collect(requests(3), settings(concurrency=1))
    server.script.append(server.says(400, echo))
    collect(requests(3), settings(concurrency=1))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "teacher_outputs.parquet" for path in files)
    assert "[redacted]" in rows_of(tmp_path / "out")[0]["error"]
    assert all(secret.encode() not in path.read_bytes() for path in files)
    assert secret not in str(stopped.value)
    assert secret not in caplog.text
