"""Teacher collection: requests in, Parquet of teacher outputs out, resumable at any point."""

from __future__ import annotations

import json
import logging
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from nexa_data.artifacts import FORMAT_VERSION, ArtifactWriter, digest_text, is_complete, read_meta
from nexa_data.errors import ConfigError, TeacherError
from nexa_data.optional import needed

from nexa_distill.ask import CollectionStoppedError, ask_all, unknown_rows
from nexa_distill.budget import Ledger, Spend
from nexa_distill.keeper import Kind, State
from nexa_distill.loops import in_thread, run_to_completion
from nexa_distill.outputs import (
    MANIFEST_NAME,
    OUTPUT_COLUMNS,
    counts_dict,
    counts_of,
    write_manifest,
    write_outputs,
)
from nexa_distill.plan import Plan
from nexa_distill.progress import Progress, ProgressCallback
from nexa_distill.published import published_answers
from nexa_distill.request import TeacherRequest, clean_endpoint
from nexa_distill.run_folder import JournalPolicy, RunFolder
from nexa_distill.settings import TeacherSettings
from nexa_distill.sft import write_sft
from nexa_distill.transports import open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import pyarrow as pa
    from nexa_data.artifacts import ArtifactMeta
    from openai import AsyncOpenAI

    from nexa_distill.outcome import Outcome
    from nexa_distill.transport import Transport

__all__ = [
    "KIND",
    "CollectionStoppedError",
    "JournalPolicy",
    "Progress",
    "ProgressCallback",
    "TeacherRequest",
    "TeacherSettings",
    "UnknownRows",
    "collect_teacher",
    "collect_teacher_async",
]

_log = logging.getLogger(__name__)

KIND = "teacher-outputs"
"""Kind of the artifact that a collection publishes."""


@dataclass(frozen=True, slots=True)
class UnknownRows:
    """Requests that were sent and whose answer is lost.

    Args:
        rows: How many.
        cost: What they may have cost, at most; None without a price.
    """

    rows: int
    cost: float | None


ConfirmCallback: TypeAlias = "Callable[[UnknownRows], bool]"


def collect_teacher(  # noqa: PLR0913 (all but two have a name and a default)
    requests: Iterable[TeacherRequest],
    output_dir: Path,
    *,
    client: AsyncOpenAI,
    settings: TeacherSettings,
    progress: ProgressCallback | None = None,
    column_types: pa.Schema | None = None,
    journal: JournalPolicy | None = None,
    confirm: ConfirmCallback | None = None,
    sft: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> ArtifactMeta:
    """Ask a teacher for every request and publish the answers as an artifact.

    All requests are written down before the first is sent (on disk: a million need little memory). In the run's
    folder (`.teacher-runs` beside `output_dir`) each request is durable before it is sent and each answer before it
    is read. After Ctrl-C, a crash or a stop, the same call asks only for what has no answer; so does a call with
    another output, key, label set or quality gate, or with more rows, also after the artifact was published. Another
    model, parameter, prompt or endpoint is another request and is asked anew. Failures are never kept as done: they
    are asked again. With every row answered and nothing changed, nothing is sent and the artifact that is there is
    returned.

    A request that was sent and whose answer was lost may have been paid for: it counts as spent, and is sent again
    only as `settings.resend_unknown` says.

    Rows that ask exactly the same are asked once each: they are independent samples.

    Works in a running event loop too (Jupyter): the asking then happens in a thread beside it.

    Args:
        requests: What to ask, in the output's order; any iterable, read once.
        output_dir: Folder that the artifact will be.
        client: Client of any OpenAI-compatible endpoint. Its own retries aren't used. One that was given an
            `http_client` of its own belongs to one event loop: use a new one for each call.
        settings: Model, sampling parameters, labels, pace, budget, retries, quality gate.
        progress: Called after each finished row, in the thread that asks; what it raises stops the run.
        column_types: Arrow types of carried columns, where known; the others are inferred.
        journal: Where the run's folder lies and how long answers are kept in it; default: until they are published.
        confirm: Asked whether to send again what is unknown, where `resend_unknown` is `ask`. Without it such
            rows end as `unknown` in the output.
        sft: Write `sft.jsonl` too, with a line `{"messages": […]}` for each answer that is used.
        provenance: Further entries of the artifact's `manifest.json`, such as the hashes of input files.

    Returns:
        Meta data of an artifact of kind `teacher-outputs`: `teacher_outputs.parquet` and `manifest.json`, whose
        `counts` say how many rows are ok, failed, unknown or rejected.

    Raises:
        ConfigError: The client can't be used, or a carried column has a name that the output needs.
        RecordError: There are no requests, or one can't be asked.
        CollectionStoppedError: The budget is used up, the endpoint is down or asks for too long a pause; resumable.
        TeacherError: The key is refused, the quota used up, or every row failed; it is resumable.
        ArtifactError: `output_dir` is foreign, another process collects the same, or a file can't be written.
    """
    _check_client(client)
    with _collection(
        requests, output_dir, client, settings, column_types, journal, sft=sft, provenance=provenance
    ) as run:
        existing = run.finished()
        if existing is not None:
            return existing
        run.open()
        return run.publish(run_to_completion(lambda: run.ask(client, progress, confirm)))


async def collect_teacher_async(  # noqa: PLR0913 (as above)
    requests: Iterable[TeacherRequest],
    output_dir: Path,
    *,
    client: AsyncOpenAI,
    settings: TeacherSettings,
    progress: ProgressCallback | None = None,
    column_types: pa.Schema | None = None,
    journal: JournalPolicy | None = None,
    confirm: ConfirmCallback | None = None,
    sft: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> ArtifactMeta:
    """Do what `collect_teacher` does in the running event loop, with `client` as it is.

    Planning and writing happen in a thread, where `requests` is iterated. Args, Returns and Raises are
    those of `collect_teacher`.
    """
    _check_client(client)
    stack = ExitStack()
    entered = await in_thread(
        lambda: stack.enter_context(
            _collection(
                requests, output_dir, client, settings, column_types, journal, sft=sft, provenance=provenance
            )
        )
    )
    with stack:
        existing = entered.finished()
        if existing is not None:
            return existing
        await in_thread(entered.open)
        outcome = await entered.ask(client, progress, confirm)
        return await in_thread(lambda: entered.publish(outcome))


def _check_client(client: object) -> None:
    with needed("openai", "teacher collection"):
        import openai

    if not isinstance(client, openai.AsyncOpenAI):
        raise ConfigError(
            f"client is {type(client).__name__}, not AsyncOpenAI",
            remedy="pass openai.AsyncOpenAI(...); collect_teacher runs it for you, also from plain code",
        )


@contextmanager
def _collection(
    requests: Iterable[TeacherRequest],
    output_dir: Path,
    client: AsyncOpenAI,
    settings: TeacherSettings,
    column_types: pa.Schema | None,
    journal: JournalPolicy | None,
    *,
    sft: bool,
    provenance: Mapping[str, Any] | None,
) -> Iterator[_Collection]:
    """Give a collection whose requests are written down and whose destination is locked."""
    destination = Path(output_dir)
    with Plan(
        requests,
        settings,
        clean_endpoint(str(client.base_url)),
        spool_dir=destination.absolute().parent,
        reserved=OUTPUT_COLUMNS,
        schema=column_types,
    ) as plan:
        inputs = {
            "endpoint": plan.endpoint,
            "model": settings.model,
            "parameters": settings.parameters(),
            "requests": plan.requests_hash,
            "labels": list(settings.labels),
            "gate": settings.gate.as_dict(),
            "sft": sft,
            **(provenance or {}),
        }
        shaped = json.dumps(
            [list(settings.labels), settings.gate.as_dict(), sft], default=str, sort_keys=True
        )
        key = digest_text(str(FORMAT_VERSION), KIND, plan.requests_hash, shaped)
        with ArtifactWriter(destination, kind=KIND, inputs=inputs, labels={"key": key}) as writer:
            run = _Collection(plan, writer, settings, journal or JournalPolicy(), sft=sft)
            try:
                yield run
            finally:
                run.close()


class _Collection:
    """One collection under the lock of its destination."""

    def __init__(
        self,
        plan: Plan,
        writer: ArtifactWriter,
        settings: TeacherSettings,
        policy: JournalPolicy,
        *,
        sft: bool,
    ) -> None:
        self._plan = plan
        self._writer = writer
        self._settings = settings
        self._sft = sft
        self._folder = RunFolder(plan, writer.destination, policy)
        self._opened = ExitStack()

    def close(self) -> None:
        """Close the run's folder, which stays for the next session."""
        self._opened.close()

    def finished(self) -> ArtifactMeta | None:
        """Return the artifact that is there if it is of the same requests and every row has its answer."""
        meta = self._writer.existing()
        if meta is None:
            return None
        counts = counts_of(json.loads((meta.path / MANIFEST_NAME).read_bytes()))
        if counts.failed or counts.unknown:
            return None
        self._writer.discard()
        self._folder.settle(self._writer.destination)
        _log.info("%s is complete: nothing is sent", meta.uri)
        return meta

    def open(self) -> None:
        """Open the run's folder, and take over what other runs and artifacts have answers to."""
        self._opened.enter_context(self._folder)
        journal = self._folder.journal
        if _missing(self._plan, journal):
            self._folder.adopt()
        for artifact in dict.fromkeys([self._writer.destination, *self._folder.publications()]):
            if not _missing(self._plan, journal):
                break
            if is_complete(artifact) and read_meta(artifact).kind == KIND:
                self._adopt_published(artifact)

    async def ask(
        self, client: AsyncOpenAI, progress: ProgressCallback | None, confirm: ConfirmCallback | None
    ) -> Outcome:
        """Ask for what has no answer."""
        policy = self._settings.resend_unknown
        resend = policy == "always" or (policy == "ask" and self._confirmed(confirm))
        async with open_transport(client, self._settings) as transport:
            outcome = await self._ask(transport, client, progress, resend=resend)
            if outcome.unknown and policy == "ask" and not resend and self._confirmed(confirm):
                outcome = outcome.with_second_pass(await self._ask(transport, client, progress, resend=True))
        return outcome

    async def _ask(
        self, transport: Transport, client: AsyncOpenAI, progress: ProgressCallback | None, *, resend: bool
    ) -> Outcome:
        journal = self._folder.journal
        key = client.api_key
        return await ask_all(
            transport,
            self._plan,
            journal,
            Ledger(self._settings.budget, self._settings.price, Spend.of(journal.totals())),
            self._settings,
            resend=resend,
            secrets=[key] if isinstance(key, str) else [],
            progress=progress,
        )

    def _confirmed(self, confirm: ConfirmCallback | None) -> bool:
        if confirm is None:
            return False
        rows = unknown_rows(self._plan, self._folder.journal)
        spend = Spend.of(self._folder.journal.totals())
        lost = Spend(spend.unknown_prompt_tokens, spend.unknown_completion_tokens)
        return rows > 0 and confirm(UnknownRows(rows, lost.cost(self._settings.price)))

    def publish(self, outcome: Outcome) -> ArtifactMeta:
        """Write and publish the outputs; the bodies go once they are in place, if that is wanted."""
        if outcome.failed == self._plan.rows:
            raise TeacherError(
                f"all {self._plan.rows} rows failed, nothing is published; the first: {outcome.first_error}",
                remedy="check model, endpoint and parameters, then run again",
            )
        journal = self._folder.journal
        counts = write_outputs(self._writer.path, self._plan, journal, self._settings)
        if self._sft:
            write_sft(self._writer.path, self._plan)
        write_manifest(
            self._writer.path,
            {
                **self._writer.inputs,
                "counts": counts_dict(counts),
                "spend": Spend.of(journal.totals()).as_dict(self._settings.price),
                "session": outcome.as_dict(),
                "journal": journal.digest(),
                "run": self._folder.path.name,
            },
        )
        if counts.unknown:
            _log.warning(
                "%d of %d rows were sent and their answers are lost; their status is 'unknown'",
                counts.unknown,
                counts.rows,
            )
        meta = self._writer.publish()
        self._folder.published(self._writer.destination)
        return meta

    def _adopt_published(self, artifact: Path) -> None:
        journal = self._folder.journal
        wanted = _missing(self._plan, journal)
        for key, attempt, latency_us, body in published_answers(artifact):
            if key in wanted:
                journal.append(Kind.ADOPTED, key, attempt, latency_us, body)
        journal.sync()


def _missing(plan: Plan, journal: Any) -> set[bytes]:
    """Return the keys that have no answer."""
    states = journal.states(bytes(plan.keys))
    return {plan.key(index) for index, state in enumerate(states) if state != State.ANSWERED}
