"""Proxies that the environment names: asked as the official client asks them, and nothing of `.netrc` beside the key."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import pytest
from nexa_distill.direct_transport import DirectTransport
from nexa_distill.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "Bearer the-key-of-the-client"


def head_of_a_request(url: str, prepare: Callable[[int], None]) -> str:
    """Return the head of a request that a server on this machine gets; `prepare` hears its port first."""

    async def main() -> bytes:
        heard: list[bytes] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            prepare(port)
            wire = Wire(url.format(port=port), {"Authorization": KEY}, b'{"model":"m"}')
            transport = DirectTransport(wire, timeout_s=10, connections=1)
            try:
                assert (await transport.send(b'{"messages":[]}')).status == 200
            finally:
                await transport.close()
        return heard[0]

    return asyncio.run(main()).decode()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
def test_the_environments_proxy_is_asked_with_its_own_password(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = head_of_a_request(
        "http://teacher.test/v1", lambda port: monkeypatch.setenv(name, f"http://me:pw@127.0.0.1:{port}")
    )

    assert head.startswith("POST http://teacher.test/v1 HTTP/1.1\r\n")
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'me:pw').decode()}" in head
    assert f"Authorization: {KEY}" in head


def test_an_address_that_the_environment_excepts_is_asked_without_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    assert head_of_a_request("http://127.0.0.1:{port}/v1", lambda _: None).startswith("POST /v1 HTTP/1.1\r\n")


def test_a_password_in_netrc_is_not_sent_beside_the_clients_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password pw\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    head = head_of_a_request("http://127.0.0.1:{port}/v1", lambda _: None)

    assert head.count("Authorization") == 1
    assert f"Authorization: {KEY}" in head
