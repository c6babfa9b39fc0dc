"""A teacher's endpoint with faults, on loopback: what it asked upstream, and what it let through, is counted exactly."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping

JSON = "application/json"
_READ_BYTES = 1 << 16
_GONE = (ConnectionError, asyncio.IncompleteReadError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one call.

    Args:
        name: What it is called in counts.
        status: Status that the proxy answers by itself; None: upstream is asked.
        body: Body of such an answer.
        headers: Headers of the answer, whoever gives it.
        then: What becomes of upstream's answer, by name of a method of `FaultProxy`.
        lost: Whether upstream was asked, and paid, for an answer that can't arrive.
    """

    name: str
    status: int | None = None
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    then: str = "deliver"
    lost: bool = False


def refused(status: int, message: str = "no", *, code: str | None = None, **headers: str) -> Fault:
    """Return a fault that the proxy answers by itself, in the API's form of an error."""
    error = {"error": {"message": message, "code": code, "type": None}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(str(status), status, json.dumps(error).encode(), {"content-type": JSON, **named})


def page(status: int) -> Fault:
    """Return a fault as gateways answer: HTML."""
    return Fault(
        f"{status} page", status, b"<html><h1>Bad Gateway</h1></html>", {"content-type": "text/html"}
    )


SOUND = Fault("sound")
RESET_BEFORE = Fault("reset before", then="reset_unasked")
RESET_AFTER = Fault("reset after", then="reset", lost=True)
HANG = Fault("hang", then="hang", lost=True)
CUT_JSON = Fault("cut JSON", then="cut_json", lost=True)
SHORT_BODY = Fault("short body", then="cut_body", lost=True)
BROKEN_JSON = Fault("broken JSON", then="break_json", lost=True)
BAD_GZIP = Fault("bad gzip", headers={"content-encoding": "gzip"}, lost=True)
NO_HTTP = Fault("no HTTP", then="babble", lost=True)
HELD = Fault("held", then="hold")
TRICKLE = Fault("trickle", then="trickle")
ENDLESS_TRICKLE = Fault("endless trickle", then="trickle_without_end", lost=True)
CLOSED_UNDER_CLIENT = Fault("closed under the client", then="deliver_and_close")
BUSY = refused(429, "slow down")
DOWN = page(503)


@dataclass(slots=True)
class Call:
    """One request that arrived.

    Args:
        row: Its last message's text.
        fault: What happened to it.
        head: Request line and headers as they came.
        body: Body as it came.
        asked: Whether upstream was asked.
        delivered: Whether a whole, unchanged answer of upstream was sent on.
        usage: Tokens that upstream counted, prompt and answer.
        arrived_at: When it arrived, on a monotonic clock in seconds.
    """

    row: str
    fault: Fault
    head: bytes
    body: bytes
    asked: bool = False
    delivered: bool = False
    usage: tuple[int, int] = (0, 0)
    arrived_at: float = field(default_factory=time.monotonic)

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name
        }


Usage = Callable[[str, int], tuple[int, int]]


class Service(ABC):
    """An HTTP/1.1 server of one POST on loopback, in a thread with a loop of its own."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.most_in_flight = 0
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._port = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.listen()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def listen(self) -> None:
        """Accept connections, on the port of the first time."""
        self._run(self._listen())

    def vanish(self) -> None:
        """Refuse connections, and drop those that are open."""
        self._run(self._vanish())

    def stop(self) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @abstractmethod
    async def answer(self, head: bytes, body: bytes, client: asyncio.StreamWriter) -> bool:
        """Answer one request; returns whether the connection is kept."""

    def _run(self, work: Awaitable[None]) -> None:
        async def awaited() -> None:
            await work

        asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, limit=1 << 24)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _vanish(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _stop(self) -> None:
        await self._vanish()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await asyncio.sleep(0)  # transports close in the loop's next turn

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            while (request := await read_message(reader)) is not None:
                self.in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
                try:
                    kept = await self.answer(*request, writer)
                finally:
                    self.in_flight -= 1
                if not kept:
                    break
        except (*_GONE, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()
            self._open.discard(writer)
            self._tasks.discard(task)


class EchoUpstream(Service):
    """Answers each prompt with itself in upper case, and counts tokens as a pure function of the prompt."""

    def __init__(
        self,
        *,
        finish_reason: str = "stop",
        extra: str = "",
        usage: Usage | None = None,
        logprobs: dict[str, Any] | None = None,
    ) -> None:
        self.calls: list[Call] = []
        self._finish_reason = finish_reason
        self._extra = extra
        self._logprobs = logprobs
        self._usage = usage or usage_of
        super().__init__()

    async def answer(self, head: bytes, body: bytes, client: asyncio.StreamWriter) -> bool:
        prompt = prompt_of(body)
        self.calls.append(Call(prompt, SOUND, head, body))
        usage = self._usage(prompt, json.loads(body).get("max_tokens", 8))
        document = echoed(prompt + self._extra, usage, self._finish_reason, self._logprobs)
        client.write(message(200, document, {"content-type": JSON}))
        await client.drain()
        return True


def usage_of(prompt: str, max_tokens: int) -> tuple[int, int]:
    """Return the tokens of prompt and answer: they differ between prompts, and stay below what may be asked for."""
    return 1 + len(prompt) % 5, 1 + sum(prompt.encode()) % max_tokens


def echoed(
    prompt: str,
    tokens: tuple[int, int],
    finish_reason: str = "stop",
    logprobs: dict[str, Any] | None = None,
) -> bytes:
    """Return what the echo answers."""
    said = {"role": "assistant", "content": prompt.upper()}
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    choice = {"index": 0, "message": said, "finish_reason": finish_reason, "logprobs": logprobs}
    return json.dumps({"model": "echo-1", "choices": [choice], "usage": usage}).encode()


class FaultProxy(Service):
    """Passes calls on to upstream, and faults as told: by script, by row, by seeded chance, in this order.

    Args:
        upstream: Base URL.
        chances: Probability of each fault for a call that neither script nor row decides.
        seed: Of the chances.

    Attributes:
        most_at_once: Calls that are handled at once; beyond it they are refused as 429.
        work_s: How long each call that upstream is asked takes at least.
        gather: So many first calls are held until they are all there.
    """

    def __init__(self, upstream: str, chances: Mapping[Fault, float] | None = None, seed: int = 0) -> None:
        self.calls: list[Call] = []
        self.script: deque[Fault] = deque()
        self.rows: dict[str, deque[Fault] | Fault] = {}
        self.default = SOUND
        self.chances = dict(chances or {})
        self.most_at_once: int | None = None
        self.work_s = 0.0
        self.gather = 1
        self._random = random.Random(seed)  # noqa: S311 (no secret)
        self._upstream = urlsplit(upstream)
        self._reached: dict[int, threading.Event] = {}
        self._gathered: asyncio.Event | None = None
        self._released = asyncio.Event()
        self.most_working = 0
        self._working = 0
        super().__init__()

    @property
    def asked(self) -> int:
        """Calls that upstream was asked."""
        return sum(call.asked for call in self.calls)

    @property
    def lost(self) -> int:
        """Calls that upstream answered and the proxy lost."""
        return sum(call.asked and call.fault.lost for call in self.calls)

    @property
    def faults(self) -> Counter[str]:
        return Counter(call.fault.name for call in self.calls)

    @property
    def asked_by_row(self) -> Counter[str]:
        return Counter(call.row for call in self.calls if call.asked)

    def reached(self, calls: int) -> threading.Event:
        """Return an event that is set once so many calls have arrived."""
        event = self._reached.setdefault(calls, threading.Event())
        if len(self.calls) >= calls:
            event.set()
        return event

    async def answer(self, head: bytes, body: bytes, client: asyncio.StreamWriter) -> bool:
        row = prompt_of(body)
        call = Call(row, self._choose(row), head, body)
        self.calls.append(call)
        if (event := self._reached.get(len(self.calls))) is not None:
            event.set()
        await self._gather()
        self._working += 1
        try:
            return await self._handle(call, client)
        finally:
            self._working -= 1

    async def _handle(self, call: Call, client: asyncio.StreamWriter) -> bool:
        if self.most_at_once is not None and self._working > self.most_at_once:
            call.fault = BUSY
        else:
            self.most_working = max(self.most_working, self._working)
        fault = call.fault
        if fault.then == "reset_unasked":
            client.transport.abort()
            return False
        if fault.status is not None:
            client.write(message(fault.status, fault.body, fault.headers))
            await client.drain()
            return True
        await asyncio.sleep(self.work_s)
        status, headers, answer = await self._ask(call)
        act: Callable[..., Awaitable[bool]] = getattr(self, f"_{fault.then}")
        return await act(call, client, status, {**headers, **fault.headers}, answer)

    async def _gather(self) -> None:
        """Hold the first calls until so many are there."""
        if len(self.calls) > self.gather:
            return
        self._gathered = self._gathered or asyncio.Event()
        if len(self.calls) == self.gather:
            self._gathered.set()
        await self._gathered.wait()

    def _choose(self, row: str) -> Fault:
        if self.script:
            return self.script.popleft()
        planned = self.rows.get(row)
        if isinstance(planned, Fault):
            return planned
        if planned:
            return planned.popleft()
        at = self._random.random()
        for fault, chance in self.chances.items():
            at -= chance
            if at < 0:
                return fault
        return self.default

    async def _ask(self, call: Call) -> tuple[int, dict[str, str], bytes]:
        host, port = self._upstream.hostname, self._upstream.port
        reader, writer = await asyncio.open_connection(host, port)
        try:
            call.asked = True
            own = b"content-length: %d\r\ncontent-type: application/json\r\n" % len(call.body)
            path = f"{self._upstream.path}/chat/completions"
            writer.write(
                f"POST {path} HTTP/1.1\r\nhost: {host}:{port}\r\n".encode() + own + b"\r\n" + call.body
            )
            await writer.drain()
            answered = await read_message(reader)
            assert answered is not None
        finally:
            writer.close()
        head, body = answered
        usage = json.loads(body).get("usage") or {}
        call.usage = (usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))
        return int(head.split(b" ", 2)[1]), {"content-type": JSON}, body

    async def _deliver(
        self, call: Call, client: asyncio.StreamWriter, status: int, headers: dict[str, str], body: bytes
    ) -> bool:
        client.write(message(status, body, headers))
        await client.drain()
        call.delivered = True
        return True

    async def _deliver_and_close(self, call: Call, client: asyncio.StreamWriter, *answer: Any) -> bool:
        await self._deliver(call, client, *answer)
        return False

    async def _reset(self, _call: Call, client: asyncio.StreamWriter, *_: Any) -> bool:
        client.transport.abort()
        return False

    async def _babble(self, _call: Call, client: asyncio.StreamWriter, *_: Any) -> bool:
        client.write(b"\x00\x16\x03 this is no HTTP\r\n\r\n")
        await client.drain()
        return False

    def release(self) -> None:
        """Let the answers go that are held."""
        self._loop.call_soon_threadsafe(self._released.set)

    async def _hold(self, call: Call, client: asyncio.StreamWriter, *answer: Any) -> bool:
        await self._released.wait()
        return await self._deliver(call, client, *answer)

    async def _hang(self, _call: Call, _client: asyncio.StreamWriter, *_: Any) -> bool:
        await asyncio.Event().wait()
        return False

    async def _cut_json(
        self, _call: Call, client: asyncio.StreamWriter, status: int, headers: dict[str, str], body: bytes
    ) -> bool:
        client.write(message(status, body[: len(body) // 2], headers))
        await client.drain()
        return True

    async def _cut_body(
        self, _call: Call, client: asyncio.StreamWriter, status: int, headers: dict[str, str], body: bytes
    ) -> bool:
        client.write(message(status, body, headers)[: -len(body) // 2])
        await client.drain()
        return False

    async def _break_json(
        self, _call: Call, client: asyncio.StreamWriter, status: int, headers: dict[str, str], body: bytes
    ) -> bool:
        client.write(message(status, body.replace(b'"choices"', b'"choices', 1), headers))
        await client.drain()
        return True

    async def _trickle(
        self, call: Call, client: asyncio.StreamWriter, status: int, headers: dict[str, str], body: bytes
    ) -> bool:
        answer = message(status, body, headers)
        for start in range(0, len(answer), 16):
            client.write(answer[start : start + 16])
            await client.drain()
            await asyncio.sleep(0)
        call.delivered = True
        return True

    async def _trickle_without_end(
        self, _call: Call, client: asyncio.StreamWriter, status: int, headers: dict[str, str], _body: bytes
    ) -> bool:
        client.write(message(status, b" " * (1 << 20), headers)[:200])
        while True:
            client.write(b" ")
            await client.drain()
            await asyncio.sleep(0.05)


def prompt_of(body: bytes) -> str:
    """Return the last message of a request's body."""
    prompt: str = json.loads(body)["messages"][-1]["content"]
    return prompt


def message(status: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a response as it goes over the wire."""
    named = {"content-length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + body


async def read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes] | None:
    """Return head and body of a request or response with a content-length; None where the connection has ended."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    length = next(
        (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
    )
    return head[:-4], await reader.readexactly(length)


@contextmanager
def faulty(
    upstream: str | None = None, chances: Mapping[Fault, float] | None = None, seed: int = 0
) -> Iterator[FaultProxy]:
    """Give a proxy before `upstream`, or before an echo of its own."""
    with ExitStack() as started:
        if upstream is None:
            echo = EchoUpstream()
            started.callback(echo.stop)
            upstream = echo.url
        proxy = FaultProxy(upstream, chances, seed)
        started.callback(proxy.stop)
        yield proxy
