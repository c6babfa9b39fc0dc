"""Teacher collection: requests in, Parquet of teacher outputs out, resumable at any point."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nexa_data.artifacts import FORMAT_VERSION, ArtifactWriter, digest_text, is_complete, read_meta
from nexa_data.errors import ConfigError, TeacherError
from nexa_data.optional import needed

from nexa_distill.ask import ask_all
from nexa_distill.journal import AnswerJournal
from nexa_distill.loops import client_for_own_loop, in_thread, run_to_completion
from nexa_distill.outputs import (
    MANIFEST_NAME,
    OUTPUT_COLUMNS,
    published_answers,
    write_manifest,
    write_outputs,
)
from nexa_distill.plan import Plan
from nexa_distill.progress import Progress, ProgressCallback
from nexa_distill.request import TeacherRequest, clean_endpoint
from nexa_distill.settings import TeacherSettings
from nexa_distill.soft_targets import OUTPUTS_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa
    from nexa_data.artifacts import ArtifactMeta
    from openai import AsyncOpenAI

    from nexa_distill.ask import Outcome

__all__ = [
    "KIND",
    "Progress",
    "ProgressCallback",
    "TeacherRequest",
    "TeacherSettings",
    "collect_teacher",
    "collect_teacher_async",
]

_log = logging.getLogger(__name__)

KIND = "teacher-outputs"
"""Kind of the artifact that a collection publishes."""


def collect_teacher(
    requests: Iterable[TeacherRequest],
    output_dir: Path,
    *,
    client: AsyncOpenAI,
    settings: TeacherSettings,
    progress: ProgressCallback | None = None,
    column_types: pa.Schema | None = None,
) -> ArtifactMeta:
    """Ask a teacher for every request and publish the answers as an artifact.

    All requests are written down before the first is sent (on disk: a million need little memory). Each
    answer is kept in `.NAME.answers.jsonl` beside `output_dir` the moment it arrives. After Ctrl-C, a crash
    or a stop, the same call asks only for what has no answer; so does a call with more rows, other carried
    columns or another label set, also after the artifact was published. Another model, parameter, prompt or
    endpoint is another request and is asked anew. Failures are never kept: they are asked again. With every
    row answered and nothing changed, nothing is sent and the artifact that is there is returned.

    Rows that ask exactly the same are asked once each: they are independent samples.

    Works in a running event loop too (Jupyter): the asking then happens in a thread beside it.

    Args:
        requests: What to ask, in the output's order; any iterable, read once.
        output_dir: Folder that the artifact will be.
        client: Client of any OpenAI-compatible endpoint. Its own retries aren't used. One that was given an
            `http_client` of its own belongs to one event loop: use a new one for each call.
        settings: Model, sampling parameters, labels, concurrency, retries.
        progress: Called after each finished row, in the thread that asks; what it raises stops the run.
        column_types: Arrow types of carried columns, where known; the others are inferred.

    Returns:
        Meta data of an artifact of kind `teacher-outputs`: `teacher_outputs.parquet` and `manifest.json`.

    Raises:
        ConfigError: The client can't be used, or a carried column has a name that the output needs.
        RecordError: There are no requests, or one can't be asked.
        TeacherError: The run had to stop (key refused, quota used up) or every row failed; it is resumable.
        ArtifactError: `output_dir` is foreign, or can't be written.
    """
    _check_client(client)
    with (
        _plan(requests, Path(output_dir), client, settings, column_types) as plan,
        _run(plan, Path(output_dir), client, settings) as run,
    ):
        existing = run.finished()
        if existing is not None:
            return existing
        run.open_journal()

        async def ask() -> Outcome:
            async with client_for_own_loop(client) as own:
                return await ask_all(own, plan, run.journal, settings, progress)

        return run.publish(run_to_completion(ask))


async def collect_teacher_async(
    requests: Iterable[TeacherRequest],
    output_dir: Path,
    *,
    client: AsyncOpenAI,
    settings: TeacherSettings,
    progress: ProgressCallback | None = None,
    column_types: pa.Schema | None = None,
) -> ArtifactMeta:
    """Do what `collect_teacher` does in the running event loop, with `client` as it is.

    Planning and writing happen in a thread, where `requests` is iterated. Args, Returns and Raises are
    those of `collect_teacher`.
    """
    _check_client(client)
    plan = await in_thread(lambda: _plan(requests, Path(output_dir), client, settings, column_types))
    with plan, _run(plan, Path(output_dir), client, settings) as run:
        existing = run.finished()
        if existing is not None:
            return existing
        await in_thread(run.open_journal)
        outcome = await ask_all(client, plan, run.journal, settings, progress)
        return await in_thread(lambda: run.publish(outcome))


def _check_client(client: object) -> None:
    with needed("openai", "teacher collection"):
        import openai

    if not isinstance(client, openai.AsyncOpenAI):
        raise ConfigError(
            f"client is {type(client).__name__}, not AsyncOpenAI",
            remedy="pass openai.AsyncOpenAI(...); collect_teacher runs it for you, also from plain code",
        )


def _plan(
    requests: Iterable[TeacherRequest],
    output_dir: Path,
    client: AsyncOpenAI,
    settings: TeacherSettings,
    column_types: pa.Schema | None,
) -> Plan:
    return Plan(
        requests,
        settings,
        clean_endpoint(str(client.base_url)),
        spool_dir=output_dir.absolute().parent,
        reserved=OUTPUT_COLUMNS,
        schema=column_types,
    )


@contextmanager
def _run(plan: Plan, output_dir: Path, client: AsyncOpenAI, settings: TeacherSettings) -> Iterator[_Run]:
    inputs = {
        "endpoint": clean_endpoint(str(client.base_url)),
        "model": settings.model,
        "parameters": settings.parameters(),
        "requests": plan.requests_hash,
        "labels": list(settings.labels),
    }
    key = digest_text(str(FORMAT_VERSION), KIND, plan.requests_hash, json.dumps(settings.labels))
    with ArtifactWriter(output_dir, kind=KIND, inputs=inputs, labels={"key": key}) as writer:
        run = _Run(plan, writer, settings)
        try:
            yield run
        finally:
            run.close()


class _Run:
    """One collection under the lock of its destination."""

    journal: AnswerJournal

    def __init__(self, plan: Plan, writer: ArtifactWriter, settings: TeacherSettings) -> None:
        self._plan = plan
        self._writer = writer
        self._settings = settings
        self._journal_path = writer.destination.parent / f".{writer.destination.name}.answers.jsonl"

    def close(self) -> None:
        """Close the journal, which stays for the next run."""
        if hasattr(self, "journal"):
            self.journal.close()

    def finished(self) -> ArtifactMeta | None:
        """Return the artifact that is there if it is of the same requests and no row of it failed."""
        meta = self._writer.existing()
        if meta is None or json.loads((meta.path / MANIFEST_NAME).read_bytes())["counts"]["failed"]:
            return None
        self._writer.discard()
        self._journal_path.unlink(missing_ok=True)
        _log.info("%s is complete: nothing is sent", meta.uri)
        return meta

    def open_journal(self) -> None:
        """Open the journal and take over what an earlier artifact at the destination has answers to."""
        self.journal = AnswerJournal(self._journal_path)
        destination = self._writer.destination
        if is_complete(destination) and read_meta(destination).kind == KIND:
            self.journal.append_all(published_answers(destination / OUTPUTS_NAME))

    def publish(self, outcome: Outcome) -> ArtifactMeta:
        """Write and publish the outputs; the journal goes once they are in place."""
        if len(outcome.failures) == self._plan.rows:
            first = next(iter(outcome.failures.values()))
            raise TeacherError(
                f"all {self._plan.rows} rows failed, nothing is published; the first: {first.error}",
                remedy="check model, endpoint and parameters, then run again",
            )
        counts = write_outputs(self._writer.path, self._plan, self.journal, outcome, self._settings)
        write_manifest(self._writer.path, self._writer.inputs, outcome, counts)
        meta = self._writer.publish()
        self.journal.remove()
        return meta
