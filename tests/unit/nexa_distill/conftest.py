"""A server with faults, on loopback."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import openai
import pytest
from aiohttp import web
from nexa_distill.collect_teacher import TeacherRequest, TeacherSettings, collect_teacher

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "sk-test-0123456789abcdefghijklmnop"  # noqa: S105 (a test looks for it everywhere)

Reply = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


def completion(text: str, top: dict[str, float] | None = None, finish_reason: str = "stop") -> dict[str, Any]:
    logprobs = None
    if top is not None:
        ranked = [{"token": token, "logprob": logprob} for token, logprob in top.items()]
        logprobs = {"content": [{**ranked[0], "top_logprobs": ranked}]}
    message = {"role": "assistant", "content": text}
    return {
        "model": "teacher-1",
        "system_fingerprint": "fp-1",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": logprobs}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    }


class FaultServer:
    """Answers every prompt with itself, upper case, unless the script says otherwise for this call."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.script: deque[Reply] = deque()
        self.default: Reply = self.echo
        self.in_flight = 0
        self.most_in_flight = 0
        self.url = ""
        self._reached: dict[int, threading.Event] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()

    @property
    def prompts(self) -> list[str]:
        """Last message of every call, in the order of arrival."""
        return [call["messages"][-1]["content"] for call in self.calls]

    def reached(self, calls: int) -> threading.Event:
        """Return an event that is set once so many calls have arrived."""
        return self._reached.setdefault(calls, threading.Event())

    @staticmethod
    async def echo(_request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response(completion(body["messages"][-1]["content"].upper()))

    @staticmethod
    def answers(document: dict[str, Any]) -> Reply:
        async def reply(_request: web.Request, _body: dict[str, Any]) -> web.StreamResponse:
            return web.json_response(document)

        return reply

    @staticmethod
    def says(status: int, body: str = "{}", **headers: str) -> Reply:
        async def reply(_request: web.Request, _body: dict[str, Any]) -> web.StreamResponse:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            kind = "application/json" if body.startswith("{") else "text/html"
            return web.Response(status=status, text=body, headers=named, content_type=kind)

        return reply

    @staticmethod
    async def reset(request: web.Request, _body: dict[str, Any]) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    @staticmethod
    async def truncated(request: web.Request, _body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "500", "content-type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"choices": [{"mess')
        assert request.transport is not None
        request.transport.close()
        return response

    @staticmethod
    async def hang(_request: web.Request, _body: dict[str, Any]) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    @staticmethod
    def after(delay_s: float) -> Reply:
        async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
            await asyncio.sleep(delay_s)
            return await FaultServer.echo(request, body)

        return reply

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.calls.append(body)
        self.headers.append(dict(request.headers))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if (event := self._reached.get(len(self.calls))) is not None:
            event.set()
        reply = self.script.popleft() if self.script else self.default
        try:
            return await reply(request, body)
        finally:
            self.in_flight -= 1

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._main())
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _main(self) -> None:
        self._done = asyncio.Event()
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/v1"
        self._ready.set()
        await self._done.wait()
        await runner.cleanup()


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Loopback server that counts calls and fails as told."""
    running = FaultServer()
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def settings() -> Callable[..., TeacherSettings]:
    """Settings that retry at once."""

    def make(**changes: Any) -> TeacherSettings:
        return TeacherSettings(**{"model": "teacher", "retry_base_s": 0.0, "concurrency": 4, **changes})

    return make


@pytest.fixture
def requests() -> Callable[..., Iterator[TeacherRequest]]:
    """Requests `p0`, `p1`, … as a generator, each with its number as a column."""

    def make(count: int, start: int = 0) -> Iterator[TeacherRequest]:
        for row in range(start, start + count):
            yield TeacherRequest(row, [{"role": "user", "content": f"p{row}"}], {"id": row})

    return make


@pytest.fixture
def collect(server: FaultServer, tmp_path: Path) -> Callable[..., Any]:
    """Collect from the server with faults into `tmp_path/out`."""

    def run(requests: Any, settings: TeacherSettings, **more: Any) -> Any:
        client = openai.AsyncOpenAI(base_url=server.url, api_key=SECRET)
        return collect_teacher(
            requests, more.pop("output_dir", tmp_path / "out"), client=client, settings=settings, **more
        )

    return run
