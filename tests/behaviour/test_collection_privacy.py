"""The key is written nowhere, prompts are shown to nobody who didn't ask, and neither goes where it wasn't meant to go."""

from __future__ import annotations

import json
import math
import stat
from typing import TYPE_CHECKING

import pytest
from collection_job import KEY, CollectionJob, prompts, run_here
from fault_proxy import SOUND, EchoUpstream, faulty, refused
from nexa_data.cli import main as cli

if TYPE_CHECKING:
    from pathlib import Path

    from fault_proxy import Fault

WORD = "swordfish-in-a-variable"
PRIVATE_PROMPT = (
    "the first line of a diary from 1999\nand a second,\tmuch more private one that nobody may see"
)


def assert_unseen(folder: Path, *shown: str, secret: str = KEY) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert [path.name for path in files if secret.encode() in path.read_bytes()] == []
    assert not [text for text in shown if secret in text]


def echoes(status: int) -> Fault:
    """Return a refusal that repeats the key and the prompt, in headers and body."""
    said = (
        f"request with key {KEY} and prompt '{PRIVATE_PROMPT}' (cut: {PRIVATE_PROMPT[:60]}…) isn't understood"
    )
    return refused(status, said, x_request_key=KEY, location=f"http://elsewhere/?key={KEY}")


@pytest.mark.parametrize("status", [400, 401, 307, 429, 500])
@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_an_endpoint_that_repeats_key_and_prompt_makes_nobody_else_see_them(
    tmp_path: Path, status: int, arguments: tuple[str, ...]
) -> None:
    with faulty() as proxy:
        proxy.script.append(SOUND)
        proxy.rows[PRIVATE_PROMPT] = echoes(status)
        job = CollectionJob(tmp_path, proxy.url, ["harmless words", PRIVATE_PROMPT, "other words"], retries=1)
        stopped = run_here(job, *arguments)
        assert_unseen(tmp_path, stopped.out, stopped.err)
        proxy.rows.clear()
        ended = run_here(job, *arguments)
        assert ended.code == 0, ended.err
        assert_unseen(tmp_path, ended.out, ended.err)
    for told in (stopped.out, stopped.err, ended.out, ended.err):
        for piece in ("diary", "first line", "second", "private", "nobody may see", "harmless words"):
            assert piece not in told


def test_prompts_of_a_run_that_fails_as_a_whole_are_not_shown(tmp_path: Path) -> None:
    with faulty() as proxy:
        proxy.default = echoes(400)
        job = CollectionJob(tmp_path, proxy.url, [PRIVATE_PROMPT])
        ended = run_here(job, "--json")
    assert ended.code == 1
    assert "isn't understood" in ended.err
    assert "diary" not in ended.err + ended.out
    assert "private" not in ended.err + ended.out
    assert_unseen(tmp_path, ended.out, ended.err)


def test_a_key_that_the_endpoint_puts_into_an_answer_is_taken_out_before_it_is_kept(tmp_path: Path) -> None:
    upstream = EchoUpstream(extra=f" {KEY.swapcase()}")  # it answers in capitals
    key = KEY.swapcase().upper()
    try:
        job = CollectionJob(
            tmp_path, upstream.url, prompts(2), journal={"retain": "forever", "bodies": "raw"}
        )
        ended = run_here(job, "--json", OPENAI_API_KEY=key)
    finally:
        upstream.stop()
    assert ended.code == 0, ended.err
    assert job.rows()[0]["teacher_output"] == "PROMPT NUMBER 0 [redacted]"
    assert b"PROMPT NUMBER 0" in (job.runs()[0] / "journal.nexa").read_bytes()
    assert_unseen(tmp_path, ended.out, ended.err, secret=key)


def test_a_short_key_may_be_a_word_and_is_left_in_answers(tmp_path: Path) -> None:
    upstream = EchoUpstream()
    try:
        job = CollectionJob(tmp_path, upstream.url, ["is anything here"])
        assert run_here(job, OPENAI_API_KEY="ANYTHING").code == 0
    finally:
        upstream.stop()
    assert job.rows()[0]["teacher_output"] == "IS ANYTHING HERE"


def test_the_runs_folder_is_its_owners_alone(tmp_path: Path) -> None:
    with faulty() as proxy:
        job = CollectionJob(tmp_path, proxy.url, prompts(2))
        assert run_here(job).code == 0
    (run,) = job.runs()
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert stat.S_IMODE((run / "journal.nexa").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "place", [{"api_key": "x"}, {"system_prompt": f"use {KEY}"}, {"extra_body": {"user": KEY}}]
)
def test_a_manifest_with_a_key_is_refused_without_showing_it(
    tmp_path: Path, place: dict[str, object]
) -> None:
    with faulty() as proxy:
        job = CollectionJob(tmp_path, proxy.url, prompts(2), **place)
        ended = run_here(job)
        assert proxy.calls == []
    assert ended.code == 2
    assert "OPENAI_API_KEY" in ended.err
    assert KEY not in ended.err + ended.out


@pytest.mark.parametrize(
    "place",
    [
        {"model": f"m-{WORD}"},
        {"system_prompt": f"the password is {WORD}"},
        {"template": f"{{prompt}} {WORD}"},
        {"extra_body": {"user": [WORD]}},
        {"extra_body": {WORD: 1}},
        {"json_schema": {"type": "object", "description": WORD}},
        {"labels": ["yes", WORD]},
        {"carry_columns": [WORD]},
        {"output_dir": f"out/{WORD}"},
        {"input": f"{WORD}.jsonl"},
    ],
    ids=lambda place: next(iter(place)),
)
def test_a_manifest_with_what_the_environment_keeps_secret_is_refused_without_showing_it(
    tmp_path: Path, place: dict[str, object]
) -> None:
    with faulty() as proxy:
        job = CollectionJob(tmp_path, proxy.url, prompts(2))
        job.settings.update(place)
        for arguments in ((), ("--dry-run",), ("--json",)):
            ended = run_here(job, *arguments, DATABASE_PASSWORD=WORD)
            assert ended.code == 2
            assert "DATABASE_PASSWORD" in ended.err
            assert WORD not in ended.err + ended.out
        assert proxy.calls == []
    (tmp_path / "manifest.json").unlink()
    assert_unseen(tmp_path, secret=WORD)


def test_an_address_with_a_password_is_refused_without_showing_it(tmp_path: Path) -> None:
    job = CollectionJob(tmp_path, f"http://me:{WORD}@127.0.0.1:9/v1", prompts(2))
    for key in (KEY, ""):
        ended = run_here(job, OPENAI_API_KEY=key)
        assert ended.code == 2
        assert "export OPENAI_API_KEY" in ended.err
        assert_unseen(tmp_path, ended.out, ended.err, secret=WORD)


def test_no_command_on_the_way_to_a_dataset_writes_a_secret(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", WORD)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    tokens = [{"token": token, "logprob": math.log(0.5), "bytes": [ord(token)]} for token in "AB"]
    upstream = EchoUpstream(logprobs={"content": [{**tokens[0], "top_logprobs": tokens}]})
    settings = {"labels": ["A", "B"], "top_logprobs": 2}
    try:
        job = CollectionJob(tmp_path, f"{upstream.url}?api_key={WORD}", prompts(20), **settings)
        for arguments in (("--dry-run",), ("--json",), ()):
            ended = run_here(job, *arguments)
            assert ended.code == 0, ended.err
            assert_unseen(tmp_path, ended.out, ended.err, secret=WORD)
    finally:
        upstream.stop()
    answers, made = str(job.output), str(tmp_path / "made")
    for command in (
        ["distill", "materialize", answers, made, "--form", "arrow"],
        ["artifacts", "list", str(tmp_path), "--json"],
        ["artifacts", "show", answers],
        ["artifacts", "lineage", made],
        ["validate", made, "--output", str(tmp_path / "report")],
        ["inspect", answers, "--json"],
    ):
        assert cli([*command]) == 0, command
    told = capfd.readouterr()
    assert str(tmp_path / "in.jsonl") in told.out
    for secret in (KEY, WORD):
        assert_unseen(tmp_path, told.out, told.err, secret=secret)


def test_plain_http_to_another_machine_is_refused_unless_it_is_allowed(tmp_path: Path) -> None:
    job = CollectionJob(tmp_path, "http://192.0.2.1:8000/v1", prompts(2))
    ended = run_here(job)
    assert ended.code == 2
    assert "--allow-http" in ended.err
    assert run_here(job, "--dry-run", "--allow-http").code == 0
    assert run_here(job.with_settings(allow_http=True), "--dry-run").code == 0


def test_an_env_file_is_read_only_where_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("OPENAI_ORG_ID=org-from-file\n")
    with faulty() as proxy:
        job = CollectionJob(tmp_path, proxy.url, prompts(1))
        assert run_here(job).code == 0
        assert "openai-organization" not in proxy.calls[0].headers
        assert run_here(job.with_settings(temperature=0.5), "--env-file", ".env").code == 0
        assert proxy.calls[1].headers["openai-organization"] == "org-from-file"


def test_progress_as_events_tells_numbers_alone(tmp_path: Path) -> None:
    with faulty() as proxy:
        job = CollectionJob(tmp_path, proxy.url, prompts(30))
        ended = run_here(job, "--json")
    events = [json.loads(line) for line in ended.err.splitlines()]
    assert events[-1]["done"] == 30
    assert {event["event"] for event in events} == {"progress"}
    texts = [value for event in events for value in event.values() if isinstance(value, str)]
    assert set(texts) == {"progress"}
