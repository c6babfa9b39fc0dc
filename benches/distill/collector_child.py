"""One contestant that asks for so many rows, in a process of its own: `python -m benches.distill.collector_child NAME KIND URL ROWS FOLDER`."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import openai
import orjson
from nexa_distill.collect_teacher import JournalPolicy, TeacherRequest, TeacherSettings, collect_teacher

from benches.distill.bodies import ALTERNATIVES, TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable

CONCURRENCY = 64
MODEL = "teacher-1"
_KEY = "no-key-is-needed-on-loopback"
_WARM_ROWS = CONCURRENCY

OURS, LOOP = "nexa-data", "AsyncOpenAI loop"
BARE, UNREAD = "bare aiohttp + orjson", "bare aiohttp, nothing parsed"


def messages(row: int) -> list[dict[str, Any]]:
    """Return what is asked for a row."""
    return [
        {"role": "system", "content": "Answer in one short sentence."},
        {"role": "user", "content": f"What is known about item {row:07d}, and why does it matter?"},
    ]


def _parameters(kind: str) -> dict[str, Any]:
    more = {"logprobs": True, "top_logprobs": ALTERNATIVES} if kind == "logprobs" else {}
    return {"max_tokens": TOKENS, "temperature": 0.7, **more}


def ours(kind: str, url: str, rows: int, folder: Path) -> dict[str, float]:
    """Collect: planned, journaled, asked, published."""
    client = openai.AsyncOpenAI(base_url=url, api_key=_KEY)
    settings = TeacherSettings(model=MODEL, concurrency=CONCURRENCY, **_parameters(kind))
    meta = collect_teacher(
        (TeacherRequest(row, messages(row), {"id": row}) for row in range(rows)),
        folder / "out",
        client=client,
        settings=settings,
        journal=JournalPolicy(folder / "runs"),
    )
    told = json.loads((meta.path / "manifest.json").read_bytes())
    assert told["counts"]["ok"] == rows
    return {"asking_s": told["session"]["wall_s"]}


def loop(kind: str, url: str, rows: int, _folder: Path) -> dict[str, float]:
    """Ask as most scripts do: the official client, a semaphore, gather, answers read as objects."""
    parameters = _parameters(kind)

    async def main() -> None:
        semaphore = asyncio.Semaphore(CONCURRENCY)
        async with openai.AsyncOpenAI(base_url=url, api_key=_KEY) as client:

            async def ask(row: int) -> dict[str, Any]:
                async with semaphore:
                    answer = await client.chat.completions.create(
                        model=MODEL,
                        messages=cast("Any", messages(row)),
                        **parameters,
                    )
                choice = answer.choices[0]
                found: dict[str, Any] = {"id": row, "text": choice.message.content}
                if choice.logprobs is not None:
                    tokens = choice.logprobs.content or []
                    found["top"] = [
                        [(top.token, top.logprob) for top in token.top_logprobs] for token in tokens
                    ]
                return found

            found = await asyncio.gather(*(ask(row) for row in range(rows)))
        assert len(found) == rows
        assert all(each["text"] for each in found)

    asyncio.run(main())
    return {}


def bare(kind: str, url: str, rows: int, *, parsed: bool) -> dict[str, float]:
    """Post, parse if that is wanted, nothing else: what client and server can do here."""
    parameters = {"model": MODEL, **_parameters(kind)}

    async def main() -> None:
        waiting = iter(range(rows))
        connector = aiohttp.TCPConnector(limit=CONCURRENCY)
        async with aiohttp.ClientSession(
            connector=connector, headers={"content-type": "application/json"}
        ) as session:

            async def work() -> None:
                for row in waiting:
                    body = orjson.dumps({"messages": messages(row), **parameters})
                    async with session.post(f"{url}/chat/completions", data=body) as response:
                        answer = await response.read()
                    assert not parsed or orjson.loads(answer)["choices"][0]["message"]["content"]

            await asyncio.gather(*(work() for _ in range(CONCURRENCY)))

    asyncio.run(main())
    return {}


CONTESTANTS: dict[str, Callable[[str, str, int, Path], dict[str, float]]] = {
    OURS: ours,
    LOOP: loop,
    BARE: lambda kind, url, rows, _: bare(kind, url, rows, parsed=True),
    UNREAD: lambda kind, url, rows, _: bare(kind, url, rows, parsed=False),
}


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run once to have everything loaded, then take time."""
    name, kind, url, rows, folder = sys.argv[1:]
    run = CONTESTANTS[name]
    run(kind, url, _WARM_ROWS, Path(folder) / "warm")
    begun, before = time.perf_counter(), _cpu_s()
    told = run(kind, url, int(rows), Path(folder) / "run")
    print(json.dumps({"seconds": time.perf_counter() - begun, "cpu_s": _cpu_s() - before, **told}))


if __name__ == "__main__":
    main()
