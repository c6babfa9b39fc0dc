"""Sends what has no answer yet, as fast as endpoint and budget allow, and keeps each answer before it is read."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from nexa_data.errors import TeacherError

from nexa_distill.breaker import Breaker
from nexa_distill.classify import (
    Action,
    Verdict,
    broken,
    classify_error,
    classify_reply,
    redact,
    without_echo,
    without_keys,
)
from nexa_distill.concurrency import Concurrency
from nexa_distill.keeper import Keeper, Kind, State
from nexa_distill.outcome import Outcome
from nexa_distill.progress import Progress
from nexa_distill.rate_limits import RateLimits
from nexa_distill.rows import Rows
from nexa_distill.transport import TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nexa_data._core import TeacherJournal

    from nexa_distill.budget import Bounds, Ledger
    from nexa_distill.plan import Plan, PlannedRequest
    from nexa_distill.progress import ProgressCallback
    from nexa_distill.rows import Turn
    from nexa_distill.settings import TeacherSettings
    from nexa_distill.transport import Reply, Transport

__all__ = ["CollectionStoppedError", "ask_all", "unknown_rows"]

_GRACE_S = 1.0
_BYTES_PER_TOKEN = 4
_LIKELY_ANSWER_TOKENS = 256
_TELL_S = 0.2
_DONE = frozenset({State.ANSWERED})
_UNKNOWN = frozenset({State.OPEN, State.LOST, State.PURGED})


class CollectionStoppedError(TeacherError):
    """A run that stopped before its end for a reason that time or the user can take away; it is resumable."""


def unknown_rows(plan: Plan, journal: TeacherJournal) -> int:
    """Return how many rows were sent and have no answer."""
    return sum(state in _UNKNOWN for state in journal.states(bytes(plan.keys)))


async def ask_all(
    transport: Transport,
    plan: Plan,
    journal: TeacherJournal,
    ledger: Ledger,
    settings: TeacherSettings,
    *,
    resend: bool,
    secrets: Sequence[str] = (),
    progress: ProgressCallback | None = None,
) -> Outcome:
    """Ask for every planned row that the journal has no answer to.

    Args:
        transport: How requests are sent.
        plan: The rows.
        journal: Where intents and answers are kept.
        ledger: What may be spent.
        settings: How many at once, how patiently.
        resend: Ask again for what was sent and has no answer, of earlier sessions and of this one.
        secrets: Values that no text may show.
        progress: Called after each row that is finished, and while nothing is sent.

    Returns:
        What was done; rows that failed are in it, they raise nothing.

    Raises:
        TeacherError: The endpoint refuses the key, or the quota is used up. What was in flight is answered and
            kept first; the next run resumes.
        CollectionStoppedError: The budget is used up, the endpoint is down or asks for too long a pause.
        ArtifactError: The journal can't be written.
    """
    async with Keeper(journal) as keeper:
        asker = _Asker(
            transport,
            plan,
            journal,
            keeper,
            ledger,
            settings,
            resend=resend,
            secrets=secrets,
            progress=progress,
        )
        started = time.monotonic()
        try:
            await asker.run()
        finally:
            asker.outcome.wall_s = time.monotonic() - started
    if asker.stopped is not None:
        kept = asker.outcome.ok + asker.outcome.reused
        raise asker.stopped_error(f"the run stopped after {kept} of {plan.rows} rows")
    return asker.outcome


class _Asker:
    """The state that the requests of one session share."""

    def __init__(  # noqa: PLR0913 (its one caller's arguments)
        self,
        transport: Transport,
        plan: Plan,
        journal: TeacherJournal,
        keeper: Keeper,
        ledger: Ledger,
        settings: TeacherSettings,
        *,
        resend: bool,
        secrets: Sequence[str],
        progress: ProgressCallback | None,
    ) -> None:
        now = time.monotonic()
        self.outcome = Outcome()
        self.stopped: Verdict | None = None
        self._transport = transport
        self._plan = plan
        self._journal = journal
        self._keeper = keeper
        self._ledger = ledger
        self._settings = settings
        self._resend = resend
        self._secrets = secrets
        self._progress = progress
        self._concurrency = Concurrency(settings.concurrency)
        self._limits = RateLimits(settings.requests_per_minute, settings.tokens_per_minute, now=now)
        most_waiting = 4 * settings.concurrency
        self._breaker = Breaker(min(settings.breaker_failures, most_waiting), settings.outage_s)
        self._rows = Rows(self._fresh(), most_waiting)
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._started = now
        self._paused_until = 0.0
        self._why_paused: str | None = None
        self._error: BaseException | None = None

    def stopped_error(self, how_far: str) -> TeacherError:
        """Return the error that says why the run stopped."""
        assert self.stopped is not None  # noqa: S101 (its caller asked)
        kind = TeacherError if self.stopped.status else CollectionStoppedError
        return kind(
            f"{how_far}: {self.stopped.reason}",
            remedy=f"{self.stopped.remedy}: what was answered is kept and not asked again",
        )

    async def run(self) -> None:
        """Send until nothing is left or the run stops; then wait for what is in flight."""
        try:
            await self._send_all()
            while self._tasks:
                await asyncio.wait(self._tasks)
        except asyncio.CancelledError:
            if self._tasks:  # answers that are nearly here are worth a moment
                await asyncio.wait(self._tasks, timeout=_GRACE_S)
            raise
        finally:
            await self._cancel_rest()
        if self._error is not None:
            raise self._error

    async def _cancel_rest(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send_all(self) -> None:
        self._report()
        while self.stopped is None and self._error is None:
            now = time.monotonic()
            self._stop_when_down(now)
            turn = self._rows.peek(now, prefer_fresh=self._breaker.failing)
            if turn is None and not self._tasks and self._rows.empty:
                return
            wait_s = self._wait_s(turn, now)
            if wait_s == 0.0 and turn is not None:
                self._rows.take(turn)
                self._start(turn, now)
            elif self.stopped is None:
                await self._woken(wait_s)

    def _fresh(self) -> Iterator[int]:
        for index, state in enumerate(self._journal.states(bytes(self._plan.keys))):
            if state in _DONE:
                self.outcome.reused += 1
            elif state in _UNKNOWN and not self._resend:
                self.outcome.unknown += 1
            else:
                yield index

    def _wait_s(self, turn: Turn | None, now: float) -> float | None:
        """Return how long the next request has to wait: 0 to go, None until something comes back."""
        if turn is None:
            return self._rows.wait_s(now)
        if not self._concurrency.free:
            return None
        bounds = self._bounds(turn.index)
        held_s = self._held_s(bounds, now)
        if held_s != 0.0:
            return held_s
        if self._ledger.reserve(bounds):
            return 0.0
        if not self._tasks:
            self.stopped = Verdict(
                Action.STOP_RUN,
                "the budget doesn't cover the worst case of another request",
                remedy="raise the budget, then run again",
            )
        return None

    def _held_s(self, bounds: Bounds, now: float) -> float | None:
        """Return how long the endpoint's word or state holds a request back; None while a probe is out."""
        if self._paused_until > now:
            return self._paused_until - now
        probe_s = self._breaker.wait_s(now, self._concurrency.in_flight)
        if probe_s != 0.0:
            self._why_paused = "the endpoint is down"
            return probe_s
        wait_s = self._limits.wait_s(self._likely_tokens(bounds), now)
        self._why_paused = "rate limit" if wait_s > 0.0 else None
        return wait_s

    def _stop_when_down(self, now: float) -> None:
        why = self._breaker.gave_up(now)
        if why is not None:
            first = f"; the first: {self.outcome.first_error}" if self.outcome.first_error else ""
            self.stopped = Verdict(
                Action.STOP_RUN, why + first, remedy="check the endpoint's address and state, then run again"
            )

    async def _woken(self, wait_s: float | None) -> None:
        self._wake.clear()
        self._report()
        try:
            # A long wait is cut: the display goes on, and an outage ends the run in time.
            await asyncio.wait_for(self._wake.wait(), 1.0 if wait_s is None else min(1.0, wait_s))
        except TimeoutError:
            return

    def _start(self, turn: Turn, now: float) -> None:
        self.outcome.requests += 1
        bounds = self._bounds(turn.index)
        self._limits.take(self._likely_tokens(bounds), now)
        sent_at = self._concurrency.send(now)
        task = asyncio.create_task(self._attempt(turn, bounds, sent_at))
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._error = self._error or task.exception()
        self._wake.set()

    async def _attempt(self, turn: Turn, bounds: Bounds, sent_at: float) -> None:
        """Make one attempt of a row: intent, request, answer, each durable before the next."""
        request = self._plan.request(turn.index)
        verdict: Verdict | None
        attempt = self._journal.attempt(request.key) + 1
        sent = False
        try:
            await self._keeper.keep(Kind.INTENT, request.key, attempt, bounds.packed())
            sent = True
            started = time.perf_counter()
            reply = await self._transport.send(request.asked)
            latency_us = int((time.perf_counter() - started) * 1e6)
        except TransportError as error:
            verdict = classify_error(error)
        except asyncio.CancelledError:
            self._abandon(request, attempt, bounds, sent=sent)
            raise
        else:
            self._limits.hear(reply.headers, time.monotonic())
            verdict = classify_reply(reply)
        finally:
            self._concurrency.done()
            self._wake.set()
        if verdict is None:
            verdict = await self._keep(request, attempt, bounds, latency_us, reply)
            if verdict is None:
                self._breaker.success(sent_at)
                self._concurrency.success()
                self._report()
                return
        else:
            self._write_down(request, attempt, bounds, verdict)
        self._judge(turn, request, verdict, sent_at)

    def _abandon(self, request: PlannedRequest, attempt: int, bounds: Bounds, *, sent: bool) -> None:
        if sent:
            self._keeper.append(Kind.LOST, request.key, attempt, 0, b"interrupted")
            self._ledger.lose(bounds)
            self.outcome.lost += 1
        else:
            self._keeper.append(Kind.REFUSED, request.key, attempt, 0, b"interrupted before it was sent")
            self._ledger.settle(bounds, 0, 0)

    async def _keep(
        self, request: PlannedRequest, attempt: int, bounds: Bounds, latency_us: int, reply: Reply
    ) -> Verdict | None:
        """Keep an answer; returns what is wrong with it, or None. A cancellation waits until it is kept."""
        body = without_keys(reply.body, self._secrets)
        keeping = self._keeper.keep_answer(request.key, attempt, latency_us, body)
        try:
            answer = await asyncio.shield(keeping)
        except asyncio.CancelledError:
            await asyncio.wait([keeping])
            raise
        if answer.error is not None:
            self._ledger.lose(bounds)
            self.outcome.lost += 1
            return broken(answer.error)
        prompt = bounds.prompt_tokens if answer.prompt_tokens < 0 else answer.prompt_tokens
        completion = bounds.completion_tokens if answer.completion_tokens < 0 else answer.completion_tokens
        self._ledger.settle(bounds, prompt, completion)
        likely = self._likely_tokens(bounds)
        self._limits.settle(likely - prompt - completion, time.monotonic())
        self.outcome.ok += 1
        self.outcome.prompt_tokens += prompt
        self.outcome.completion_tokens += completion
        return None

    def _write_down(self, request: PlannedRequest, attempt: int, bounds: Bounds, verdict: Verdict) -> None:
        reason = self._shown(verdict.reason, request).encode()
        if verdict.lost:
            self._keeper.append(Kind.LOST, request.key, attempt, verdict.status, reason)
            self._ledger.lose(bounds)
            self.outcome.lost += 1
        else:
            self._keeper.append(Kind.REFUSED, request.key, attempt, verdict.status, reason)
            self._ledger.settle(bounds, 0, 0)

    def _judge(self, turn: Turn, request: PlannedRequest, verdict: Verdict, sent_at: float) -> None:
        """Draw the conclusions of a failed attempt: for the pace, and for the row."""
        now = time.monotonic()
        probing = self._breaker.open
        if not verdict.outage:
            self._breaker.success(sent_at)
        elif probing or verdict.unsent or not turn.tries:
            # A row that fails again may be at fault itself: only that different rows fail speaks for an outage.
            self._breaker.failure(now)
        if verdict.throttled:
            self._concurrency.complaint(sent_at, now)
        reason = self._shown(verdict.reason, request)
        self.outcome.first_error = self.outcome.first_error or reason
        tries = turn.tries + (not probing and not verdict.unsent)
        again = verdict.action is Action.RETRY or (verdict.action is Action.UNKNOWN and self._resend)
        self._pause(verdict, reason, now)
        if verdict.action is Action.STOP_RUN:
            self.stopped = self.stopped or replace(verdict, reason=reason)
        elif again and tries < self._settings.max_attempts:
            self._rows.again(turn.index, tries, now + self._backoff_s(verdict, tries))
        elif verdict.lost:
            self.outcome.unknown += 1
        else:
            self.outcome.failed += 1
        self._report()

    def _pause(self, verdict: Verdict, reason: str, now: float) -> None:
        """Send nothing for as long as the endpoint asks, whatever becomes of the row that was told so."""
        asked_s = verdict.retry_after_s
        if asked_s is None:
            return
        if asked_s > self._settings.retry_after_max_s:
            self.stopped = self.stopped or Verdict(
                Action.STOP_RUN,
                f"{reason} (it asks to wait {asked_s:.0f} s)",
                remedy="run again after that time, or raise retry_after_max_s",
            )
        self._paused_until = max(self._paused_until, now + asked_s)
        self._why_paused = "the endpoint asks to wait"

    def _backoff_s(self, verdict: Verdict, tries: int) -> float:
        jitter = random.random()  # noqa: S311 (spreads retries, guards nothing)
        if verdict.retry_after_s is not None:
            return verdict.retry_after_s * (1 + 0.1 * jitter)
        doubled_s = self._settings.retry_base_s * 2.0 ** max(0, tries - 1)
        return min(self._settings.retry_max_s, doubled_s) * (0.5 + 0.5 * jitter)

    def _shown(self, reason: str, request: PlannedRequest) -> str:
        """Return a reason without secrets, and without the prompt if the endpoint echoes it."""
        return without_echo(redact(reason, self._secrets), _texts(request.asked))

    def _bounds(self, index: int) -> Bounds:
        return self._settings.bounds(self._plan.body_bytes(index))

    def _likely_tokens(self, bounds: Bounds) -> float:
        answer = bounds.completion_tokens or _LIKELY_ANSWER_TOKENS * self._settings.n
        return bounds.prompt_tokens / _BYTES_PER_TOKEN + answer

    def _report(self) -> None:
        if self._progress is None:
            return
        done = self.outcome
        now = time.monotonic()
        self._progress(
            Progress(
                done=done.done,
                ok=done.ok + done.reused,
                failed=done.failed,
                total=self._plan.rows,
                prompt_tokens=done.prompt_tokens,
                completion_tokens=done.completion_tokens,
                unknown=done.unknown,
                reused=done.reused,
                requests=done.requests,
                in_flight=self._concurrency.in_flight,
                concurrency=self._concurrency.limit,
                elapsed_s=now - self._started,
                cost=self._ledger.cost,
                waiting=self._why_paused,
            )
        )


def _texts(asked: bytes) -> list[str]:
    import orjson

    found: list[str] = []
    for message in orjson.loads(asked)["messages"]:
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"text": content}]
        found += [
            part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)
        ]
    return found
