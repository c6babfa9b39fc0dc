"""Both ways to send put the same request on the wire: what the official client would send."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import openai
import pytest
from fault_proxy import EchoUpstream
from nexa_distill.collect_teacher import TeacherRequest, TeacherSettings, collect_teacher_async

if TYPE_CHECKING:
    from pathlib import Path

    from fault_proxy import Call

MAY_DIFFER = {"host", "content-length", "connection", "accept-encoding", "x-stainless-raw-response"}
"""Headers of the connection, and the one by which the official client tells itself to hand the response on unread."""

MESSAGES = [
    [{"role": "user", "content": "plain"}],
    [{"role": "system", "content": "be brief"}, {"role": "user", "content": 'ünïcödé \U0001f600 "quoted"\n'}],
]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
SETTINGS: list[dict[str, Any]] = [
    {},
    {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "seed": 3,
        "n": 2,
        "response_format": {"type": "json_object"},
    },
    {
        "labels": ("A", "B"),
        "extra_body": {"max_completion_tokens": 1, "tools": TOOLS, "guided_choice": ["A", "B"]},
    },
]


def recorded(folder: Path, asked: dict[str, Any], *, own_http: bool) -> list[Call]:
    """Return what arrives; a client with an HTTP client of its own is one that the collector asks through."""
    upstream = EchoUpstream()
    settings = TeacherSettings(model="teacher", concurrency=1, **asked)

    async def collect() -> None:
        async with openai.AsyncOpenAI(
            base_url=upstream.url,
            api_key="sk-test-0123456789abcdefghijklmnop",
            organization="org-1",
            project="proj-1",
            default_headers={"x-own": "header"},
            default_query={"version": "2"},
            http_client=openai.DefaultAsyncHttpxClient() if own_http else None,
        ) as client:
            requests = (TeacherRequest(row, messages) for row, messages in enumerate(MESSAGES))
            await collect_teacher_async(requests, folder, client=client, settings=settings)

    try:
        asyncio.run(collect())
    finally:
        upstream.stop()
    return upstream.calls


@pytest.mark.parametrize("asked", SETTINGS)
def test_path_headers_and_body_are_the_same_whoever_sends_them(tmp_path: Path, asked: dict[str, Any]) -> None:
    direct = recorded(tmp_path / "direct", asked, own_http=False)
    official = recorded(tmp_path / "official", asked, own_http=True)
    assert len(direct) == len(official) == len(MESSAGES)
    for ours, theirs in zip(direct, official, strict=True):
        assert ours.head.split(b"\r\n")[0] == theirs.head.split(b"\r\n")[0]
        assert json.loads(ours.body) == json.loads(theirs.body)
        mine, wanted = ours.headers, theirs.headers
        differing = {name for name in mine.keys() | wanted.keys() if mine.get(name) != wanted.get(name)}
        assert differing <= MAY_DIFFER
        assert wanted["authorization"] == "Bearer sk-test-0123456789abcdefghijklmnop"
