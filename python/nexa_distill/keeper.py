"""Group commit for an event loop: many wait for one `fdatasync`, and hear what the answers in it were."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Self

from nexa_data.errors import ArtifactError

if TYPE_CHECKING:
    from types import TracebackType

    from nexa_data._core import TeacherJournal

__all__ = ["Keeper", "Kind", "Settled", "State"]


class Kind(IntEnum):
    """What a frame of the journal says."""

    INTENT = 1
    ANSWER = 2
    REFUSED = 3
    LOST = 4
    SETTLED = 5
    DIGEST = 6
    ADOPTED = 7


class State(IntEnum):
    """Where a request stands."""

    NOTHING = 0
    OPEN = 1
    ANSWERED = 2
    REFUSED = 3
    LOST = 4
    PURGED = 5


@dataclass(frozen=True, slots=True)
class Settled:
    """What a durable answer is.

    Args:
        error: Why it is none, or None.
        prompt_tokens: As the endpoint counts; -1 where it doesn't say.
        completion_tokens: As above.
    """

    error: str | None
    prompt_tokens: int
    completion_tokens: int


class Keeper:
    """Appends to a journal, and lets each caller wait until what it appended survives a power cut.

    One sync runs at a time, in a thread; what is appended meanwhile shares the next one.

    Args:
        journal: The journal; it stays open.
    """

    def __init__(self, journal: TeacherJournal) -> None:
        self._journal = journal
        self._waiting: list[asyncio.Future[None]] = []
        self._answers: dict[tuple[bytes, int], asyncio.Future[Settled]] = {}
        self._flushing: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nexa-journal")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._flushing is not None:
            await asyncio.gather(self._flushing, return_exceptions=True)
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._journal.sync)
        except ArtifactError as late:
            raise self._failure or late from None
        finally:
            self._thread.shutdown()

    def append(self, kind: Kind, key: bytes, attempt: int, value: int = 0, body: bytes | None = None) -> None:
        """Append a frame that nobody waits for: it is durable with the next one that somebody does."""
        try:
            self._journal.append(kind, key, attempt, value, body)
        except ArtifactError as late:
            # After a write that failed the journal takes nothing more in; what tells the user is why it failed.
            raise self._failure or late from None

    async def keep(self, kind: Kind, key: bytes, attempt: int, value: int = 0) -> None:
        """Append a frame; returns once it is durable.

        Raises:
            ArtifactError: The journal can't be written.
        """
        self.append(kind, key, attempt, value)
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._flush()
        await future

    def keep_answer(self, key: bytes, attempt: int, latency_us: int, body: bytes) -> asyncio.Future[Settled]:
        """Append a body; the future says, once it is durable, what it is, or raises what `keep` does."""
        self.append(Kind.ANSWER, key, attempt, latency_us, body)
        future: asyncio.Future[Settled] = asyncio.get_running_loop().create_future()
        self._answers[key, attempt] = future
        self._flush()
        return future

    def _flush(self) -> None:
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._sync_all())

    async def _sync_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting or self._answers:
            waiting, self._waiting = self._waiting, []
            try:
                settled = await loop.run_in_executor(self._thread, self._journal.sync)
            except BaseException as error:  # noqa: BLE001 (everyone who waits hears it)
                self._fail(waiting, error)
                return
            for future in waiting:
                if not future.done():
                    future.set_result(None)
            for key, attempt, fault, _, prompt, completion, _ in settled:
                answer = self._answers.pop((key, attempt), None)
                if answer is not None and not answer.done():
                    answer.set_result(Settled(fault, prompt, completion))

    def _fail(self, waiting: list[asyncio.Future[None]], error: BaseException) -> None:
        self._failure = self._failure or error
        futures: list[asyncio.Future[Any]] = [*waiting, *self._waiting, *self._answers.values()]
        self._waiting.clear()
        self._answers.clear()
        for future in futures:
            if not future.done():
                future.set_exception(error)
