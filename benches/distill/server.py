"""A teacher that answers at once, in a process of its own: bytes in, bytes that were ready out, so that it costs next to nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benches.distill import bodies

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
BODIES = {"small": bodies.small, "logprobs": bodies.logprobs}
_LENGTH = b"content-length:"


class _Answers(asyncio.Protocol):
    """Reads requests as far as their length, and answers each with the same bytes."""

    def __init__(self, response: bytes) -> None:
        self._response = response
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end].lower()
            at = head.find(_LENGTH)
            size = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._held) < end + 4 + size:
                return
            self._held = self._held[end + 4 + size :]
            self._transport.write(self._response)


async def _serve(body: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nx-request-id: req_1\r\n\r\n"
    response = head.encode() + body
    server = await asyncio.get_running_loop().create_server(
        lambda: _Answers(response), "127.0.0.1", 0, backlog=512
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def running(kind: str) -> Iterator[str]:
    """Give the base URL of a server that answers with a body of this kind."""
    with subprocess.Popen(
        [sys.executable, "-m", "benches.distill.server", kind], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(_serve(BODIES[sys.argv[1]]()))
