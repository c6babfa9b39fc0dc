"""Sends what has no answer yet, a bounded number at once, and keeps each answer the moment it arrives."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nexa_data.errors import TeacherError

from nexa_distill.answer import Answer, parse_answer
from nexa_distill.classify import Action, Verdict, classify, redact
from nexa_distill.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai import AsyncOpenAI

    from nexa_distill.journal import AnswerJournal
    from nexa_distill.plan import Plan, PlannedRequest
    from nexa_distill.progress import ProgressCallback
    from nexa_distill.settings import TeacherSettings

__all__ = ["Failure", "Outcome", "ask_all"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a row has no answer, and after how many attempts."""

    error: str
    attempt: int


@dataclass(slots=True)
class Outcome:
    """What one run of asking did.

    Args:
        ok: Rows answered in this run.
        reused: Rows whose answer was there before.
        requests: Attempts sent.
        lost: Attempts that may have been answered, and paid for, without an answer reaching us.
        prompt_tokens: Prompt tokens of this run's answers.
        completion_tokens: Answered tokens of this run's answers.
        failures: Failed rows by index.
        wall_s: Seconds from the first to the last request.
    """

    ok: int = 0
    reused: int = 0
    requests: int = 0
    lost: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    failures: dict[int, Failure] = field(default_factory=dict)
    wall_s: float = 0.0


async def ask_all(
    client: AsyncOpenAI,
    plan: Plan,
    journal: AnswerJournal,
    settings: TeacherSettings,
    progress: ProgressCallback | None = None,
) -> Outcome:
    """Ask for every planned row that the journal has no answer to.

    Args:
        client: Client to ask with; its own retries are switched off, because they send again what was
            answered and paid for.
        plan: The rows.
        journal: Where answers are kept.
        settings: What to ask, how many at once, how patiently.
        progress: Called after each row that is finished.

    Returns:
        What was done; rows that failed are in it, they raise nothing.

    Raises:
        TeacherError: The endpoint refuses the key, the quota is used up, or it asks for too long a pause.
            What was in flight is answered and kept first; the next run resumes.
    """
    asker = _Asker(client.with_options(max_retries=0), plan, journal, settings, progress)
    started = time.monotonic()
    prompts = plan.prompts()
    workers = [asyncio.create_task(asker.work(prompts)) for _ in range(min(settings.concurrency, plan.rows))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        journal.sync()
    asker.outcome.wall_s = time.monotonic() - started
    if asker.stopped is not None:
        kept = asker.outcome.ok + asker.outcome.reused
        raise TeacherError(
            f"the run stopped after {kept} of {plan.rows} rows: {asker.stopped.reason}",
            remedy=f"{asker.stopped.remedy}: what was answered is kept and not asked again",
        )
    return asker.outcome


class _Asker:
    """The state that the workers of one run share."""

    def __init__(
        self,
        client: AsyncOpenAI,
        plan: Plan,
        journal: AnswerJournal,
        settings: TeacherSettings,
        progress: ProgressCallback | None,
    ) -> None:
        self.outcome = Outcome()
        self.stopped: Verdict | None = None
        self._stop = asyncio.Event()
        self._client = client
        self._plan = plan
        self._journal = journal
        self._settings = settings
        self._progress = progress
        key = client.api_key
        self._secrets = [key] if isinstance(key, str) else []
        self._arguments = _create_arguments(settings)

    async def work(self, prompts: Iterator[PlannedRequest]) -> None:
        """Take rows from the shared iterator until it ends or the run stops."""
        for prompt in prompts:
            if prompt.key in self._journal:
                self.outcome.reused += 1
            else:
                await self._settle(prompt)
            if self._stop.is_set():
                return
            self._report()

    async def _settle(self, prompt: PlannedRequest) -> None:
        """Ask for one row until it is answered, has failed, or the run stops."""
        for attempt in range(1, self._settings.max_attempts + 1):
            try:
                answer = await self._attempt(prompt, attempt)
            except Exception as error:
                verdict = classify(error)
                if verdict is None:
                    raise
            else:
                self._keep(prompt, answer)
                return
            self.outcome.lost += verdict.lost
            verdict = self._final(verdict)
            if verdict.action is Action.STOP_RUN:
                self.stopped = self.stopped or verdict
                self._stop.set()
                return
            if verdict.action is Action.FAIL_ROW or attempt == self._settings.max_attempts:
                self.outcome.failures[prompt.index] = Failure(verdict.reason, attempt)
                return
            if await self._stopped_during(_wait_s(verdict, attempt, self._settings)):
                return

    async def _attempt(self, prompt: PlannedRequest, attempt: int) -> Answer:
        self.outcome.requests += 1
        started = time.perf_counter()
        # The SDK's timeout is per read; this one bounds an answer that trickles in.
        async with asyncio.timeout(self._settings.timeout_s):
            response = await self._client.chat.completions.with_raw_response.create(
                messages=prompt.messages, **self._arguments
            )
        return parse_answer(
            response.content, latency_ms=(time.perf_counter() - started) * 1000, attempt=attempt
        )

    def _keep(self, prompt: PlannedRequest, answer: Answer) -> None:
        self._journal.append(prompt.key, answer.as_dict())
        self.outcome.ok += 1
        self.outcome.prompt_tokens += answer.prompt_tokens or 0
        self.outcome.completion_tokens += answer.completion_tokens or 0

    def _final(self, verdict: Verdict) -> Verdict:
        """Hide secrets in the reason, and turn a pause that nobody would wait for into a stop."""
        reason = redact(verdict.reason, self._secrets)
        if (verdict.retry_after_s or 0.0) > self._settings.retry_after_max_s:
            reason = f"{reason} (it asks to wait {verdict.retry_after_s:.0f} s)"
            return Verdict(
                Action.STOP_RUN, reason, remedy="run again after that time, or raise retry_after_max_s"
            )
        return Verdict(verdict.action, reason, verdict.retry_after_s, verdict.lost, verdict.remedy)

    async def _stopped_during(self, wait_s: float) -> bool:
        try:
            await asyncio.wait_for(self._stop.wait(), wait_s)
        except TimeoutError:
            return False
        return True

    def _report(self) -> None:
        if self._progress is None:
            return
        done = self.outcome
        ok, failed = done.ok + done.reused, len(done.failures)
        self._progress(
            Progress(ok + failed, ok, failed, self._plan.rows, done.prompt_tokens, done.completion_tokens)
        )


def _create_arguments(settings: TeacherSettings) -> dict[str, Any]:
    extra = dict(settings.extra_body)
    named = {name: value for name, value in settings.parameters().items() if name not in extra}
    return {"model": settings.model, **named, "extra_body": extra or None, "timeout": settings.timeout_s}


def _wait_s(verdict: Verdict, attempt: int, settings: TeacherSettings) -> float:
    """Return the wait before the next attempt: what is asked for, else doubling; with jitter."""
    jitter = random.random()  # noqa: S311 (spreads retries, guards nothing)
    if verdict.retry_after_s is not None:
        return verdict.retry_after_s * (1 + 0.1 * jitter)
    return float(min(settings.retry_max_s, settings.retry_base_s * 2 ** (attempt - 1)) * (0.5 + 0.5 * jitter))
