"""From manifest and environment to a published collection, all of it checked before the first request."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from nexa_data.errors import ConfigError

from nexa_distill.collect_teacher import TeacherRequest, collect_teacher
from nexa_distill.endpoint import Endpoint
from nexa_distill.inputs import Inputs
from nexa_distill.outputs import MANIFEST_NAME, OUTPUT_COLUMNS
from nexa_distill.prompts import PromptRenderer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from nexa_data.artifacts import ArtifactMeta

    from nexa_distill.collect_teacher import ConfirmCallback
    from nexa_distill.manifest import CollectionManifest
    from nexa_distill.progress import ProgressCallback

__all__ = ["Estimate", "JobReport", "run_manifest"]

_PREVIEWS = 3
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job would ask for, if nothing were answered yet.

    Args:
        requests: Rows that are asked about.
        prompt_bytes: Bytes of all that is asked, as JSON.
        prompt_tokens: About so many tokens: a fourth of the bytes.
        completion_tokens: The most that the answers can have; None where nothing bounds them.
        cost: Of these tokens; None without a price, or without a bound.
        worst_cost: If each byte were a token: what a budget in money reserves.
    """

    requests: int = 0
    prompt_bytes: int = 0
    prompt_tokens: int = 0
    completion_tokens: int | None = None
    cost: float | None = None
    worst_cost: float | None = None


@dataclass(frozen=True, slots=True)
class JobReport:
    """What a job will do (dry run) or did.

    Args:
        model: The teacher.
        endpoint: Base URL without credentials.
        key_present: Whether `OPENAI_API_KEY` is set; the key itself is nowhere in the report.
        files: Input files.
        parameters: Request parameters beside model and messages.
        concurrency: Most requests in flight at once.
        output_dir: Where the artifact is, or will be.
        rows: Rows that are asked about.
        estimate: Requests, tokens and cost.
        previews: First rendered messages; only in a dry run.
        artifact: The published artifact; None in a dry run.
        counts: Rows, answers, failures and tokens in the artifact.
        spend: What the run spent over all its sessions.
        session: What this session did; all zeros where nothing was left to ask.
        resend_unknown: What the manifest says of requests whose answer is lost.
    """

    model: str
    endpoint: str
    key_present: bool
    files: tuple[str, ...]
    parameters: dict[str, Any]
    concurrency: int
    output_dir: str
    rows: int = 0
    estimate: Estimate = field(default_factory=Estimate)
    previews: tuple[list[dict[str, Any]], ...] = ()
    artifact: ArtifactMeta | None = None
    counts: dict[str, int] = field(default_factory=dict)
    spend: dict[str, Any] = field(default_factory=dict)
    session: dict[str, Any] = field(default_factory=dict)
    resend_unknown: str = "ask"

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        return asdict(self)


def run_manifest(
    manifest: CollectionManifest | Mapping[str, Any] | Path | str,
    *,
    env: Mapping[str, str] | None = None,
    dry_run: bool = False,
    overrides: Mapping[str, Any] | None = None,
    progress: ProgressCallback | None = None,
    confirm: ConfirmCallback | None = None,
    announce: Callable[[JobReport], object] | None = None,
) -> JobReport:
    """Check a manifest, then collect what it asks for.

    Args:
        manifest: Path of a YAML or JSON manifest, or its content.
        env: Environment with `OPENAI_API_KEY`, `OPENAI_BASE_URL`, `OPENAI_ORG_ID`, `OPENAI_PROJECT_ID`;
            default: that of the process. A loopback endpoint needs no key.
        dry_run: Render every prompt and say what would be done, but send and write nothing.
        overrides: Values that replace those of the manifest, such as `{"max_samples": 10}`.
        progress: Called after each finished row.
        confirm: Asked whether to send again what was sent and has no answer, where the manifest says `ask`.
        announce: Called with the report of the plan before anything is sent.

    Returns:
        The plan with the first rendered prompts, or the artifact with its counts.

    Raises:
        ConfigError: Manifest, environment, files, columns or template don't go together, or there is no key.
        RecordError: A row has no prompt; nothing was sent.
        CollectionStoppedError: The budget is used up, or the endpoint is down; it is resumable.
        TeacherError: The collection had to stop; it is resumable.
        ArtifactError: The output folder is foreign or can't be written.
    """
    job = _prepare(manifest, os.environ if env is None else env, overrides)
    planned = _plan(job)
    if dry_run:
        return planned
    job.endpoint.check_key()
    if announce is not None:
        announce(planned)
    return _collect(job, replace(planned, previews=()), progress, confirm)


@dataclass(frozen=True, slots=True)
class _Job:
    """A manifest whose files, columns, template and environment go together."""

    manifest: CollectionManifest
    inputs: Inputs
    renderer: PromptRenderer
    endpoint: Endpoint

    def carried(self) -> tuple[str, ...] | None:
        return None if self.manifest.carry_columns is None else tuple(self.manifest.carry_columns)

    def requests(self) -> Iterator[TeacherRequest]:
        carried = self.carried()
        text_columns = [name for name in self.renderer.columns if name in self.inputs.columns]
        rows = islice(self.inputs.rows(text_columns), self.manifest.max_samples)
        for number, row in enumerate(rows):
            names = row.values if carried is None else carried
            columns = {name: row.values.get(name) for name in names}
            yield TeacherRequest(number, self.renderer.messages(row), columns, tools=self.renderer.tools(row))


def _prepare(manifest: Any, env: Mapping[str, str], overrides: Mapping[str, Any] | None) -> _Job:
    from nexa_distill.manifest import load_manifest

    secret = env.get("OPENAI_API_KEY", "").strip() or None
    checked = load_manifest(manifest, overrides=overrides, secret=secret)
    checked.settings()
    endpoint = Endpoint.of(env, allow_http=checked.allow_http)
    renderer = PromptRenderer.of(checked)
    inputs = Inputs.find(checked.input)
    inputs.check_columns(renderer.columns, renderer.source)
    inputs.check_columns(checked.carry_columns or (), "carry_columns")
    taken = sorted(OUTPUT_COLUMNS.intersection(checked.carry_columns or inputs.columns))
    if taken:
        raise ConfigError(
            f"input columns {taken} have names that the output needs",
            remedy="rename them, or name the others in carry_columns",
        )
    return _Job(checked, inputs, renderer, endpoint)


def _plan(job: _Job) -> JobReport:
    """Render every prompt: what can't be asked is found before anything is paid for."""
    import orjson

    settings = job.manifest.settings()
    shared = len(orjson.dumps({"model": settings.model, **settings.parameters()}))
    previews: list[list[dict[str, Any]]] = []
    rows = size = 0
    for request in job.requests():
        rows += 1
        size += len(orjson.dumps(request.asked()))
        if len(previews) < _PREVIEWS:
            previews.append([dict(message) for message in request.messages])
    worst = settings.bounds(size + rows * shared)
    answers = worst.completion_tokens * rows or None
    price = settings.price
    priced = price is not None and answers is not None
    estimate = Estimate(
        requests=rows,
        prompt_bytes=size,
        prompt_tokens=size // _BYTES_PER_TOKEN,
        completion_tokens=answers,
        cost=price.of(size // _BYTES_PER_TOKEN, answers or 0) if priced and price else None,
        worst_cost=price.of(worst.prompt_tokens, answers or 0) if priced and price else None,
    )
    return JobReport(
        model=settings.model,
        endpoint=job.endpoint.shown,
        key_present=job.endpoint.key is not None,
        files=tuple(str(file.path) for file in job.inputs.files),
        parameters=settings.parameters(),
        concurrency=settings.concurrency,
        output_dir=str(job.manifest.output_dir.absolute()),
        rows=rows,
        estimate=estimate,
        previews=tuple(previews),
        resend_unknown=settings.resend_unknown,
    )


def _collect(
    job: _Job, planned: JobReport, progress: ProgressCallback | None, confirm: ConfirmCallback | None
) -> JobReport:
    sent = 0

    def watch(told: Any) -> None:
        nonlocal sent
        sent = told.requests
        if progress is not None:
            progress(told)

    meta = collect_teacher(
        job.requests(),
        job.manifest.output_dir,
        client=job.endpoint.client(),
        settings=job.manifest.settings(),
        progress=watch,
        column_types=job.inputs.column_types(),
        journal=job.manifest.journal.policy(),
        confirm=confirm,
        sft=job.manifest.sft,
        provenance={"files": job.inputs.digests()},
    )
    told = json.loads((meta.path / MANIFEST_NAME).read_bytes())
    session = {**told["session"], "requests": sent} if sent else dict.fromkeys(told["session"], 0)
    return replace(
        planned,
        rows=told["counts"]["rows"],
        artifact=meta,
        counts=told["counts"],
        spend=told["spend"],
        session=session,
    )
