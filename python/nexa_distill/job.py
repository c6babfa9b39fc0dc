"""From manifest and environment to a published collection, all of it checked before the first request."""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nexa_data.errors import ConfigError
from nexa_data.optional import needed

from nexa_distill.collect_teacher import TeacherRequest, collect_teacher
from nexa_distill.inputs import Inputs
from nexa_distill.outputs import MANIFEST_NAME, OUTPUT_COLUMNS
from nexa_distill.prompts import PromptRenderer
from nexa_distill.request import clean_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from nexa_data.artifacts import ArtifactMeta
    from openai import AsyncOpenAI

    from nexa_distill.manifest import CollectionManifest
    from nexa_distill.progress import ProgressCallback

__all__ = ["JobReport", "run_manifest"]

_DEFAULT_BASE_URL = "https://api.openai.com/v1"
_NO_KEY = "no-key"
_PREVIEWS = 3


@dataclass(frozen=True, slots=True)
class JobReport:
    """What a job will do (dry run) or did.

    Args:
        model: The teacher.
        endpoint: Base URL without credentials.
        key_present: Whether `OPENAI_API_KEY` is set; the key itself is nowhere in the report.
        files: Input files.
        parameters: Request parameters beside model and messages.
        concurrency: Requests in flight at once.
        output_dir: Where the artifact is, or will be.
        rows: Rows that are asked about.
        prompt_chars: Characters in all messages; 0 unless it was a dry run.
        previews: First rendered messages; only in a dry run.
        artifact: The published artifact; None in a dry run.
        counts: Rows, answers, failures and tokens in the artifact.
    """

    model: str
    endpoint: str
    key_present: bool
    files: tuple[str, ...]
    parameters: dict[str, Any]
    concurrency: int
    output_dir: str
    rows: int = 0
    prompt_chars: int = 0
    previews: tuple[list[dict[str, Any]], ...] = ()
    artifact: ArtifactMeta | None = None
    counts: dict[str, int] = field(default_factory=dict)

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
) -> JobReport:
    """Check a manifest, then collect what it asks for.

    Args:
        manifest: Path of a YAML or JSON manifest, or its content.
        env: Environment with `OPENAI_API_KEY`, `OPENAI_BASE_URL`, `OPENAI_ORG_ID`, `OPENAI_PROJECT_ID`;
            default: that of the process. A loopback endpoint needs no key.
        dry_run: Render every prompt and say what would be done, but send and write nothing.
        overrides: Values that replace those of the manifest, such as `{"max_samples": 10}`.
        progress: Called after each finished row.

    Returns:
        The plan with the first rendered prompts, or the artifact with its counts.

    Raises:
        ConfigError: Manifest, environment, files, columns or template don't go together, or there is no key.
        RecordError: A row has no prompt; nothing was sent.
        TeacherError: The collection had to stop; it is resumable.
        ArtifactError: The output folder is foreign or can't be written.
    """
    job = _prepare(manifest, os.environ if env is None else env, overrides)
    return _plan(job) if dry_run else _collect(job, progress)


@dataclass(frozen=True, slots=True)
class _Job:
    """A manifest whose files, columns, template and environment go together."""

    manifest: CollectionManifest
    inputs: Inputs
    renderer: PromptRenderer
    base_url: str
    env: Mapping[str, str]

    def carried(self) -> tuple[str, ...] | None:
        return None if self.manifest.carry_columns is None else tuple(self.manifest.carry_columns)

    def requests(self) -> Iterator[TeacherRequest]:
        carried = self.carried()
        text_columns = [name for name in self.renderer.columns if name in self.inputs.columns]
        rows = islice(self.inputs.rows(text_columns), self.manifest.max_samples)
        for number, row in enumerate(rows):
            names = row.values if carried is None else carried
            columns = {name: row.values.get(name) for name in names}
            yield TeacherRequest(number, self.renderer.messages(row), columns)


def _prepare(manifest: Any, env: Mapping[str, str], overrides: Mapping[str, Any] | None) -> _Job:
    from nexa_distill.manifest import load_manifest

    checked = load_manifest(manifest, overrides=overrides, secret=_setting(env, "OPENAI_API_KEY"))
    checked.settings()
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
    return _Job(checked, inputs, renderer, _base_url(env), env)


def _plan(job: _Job) -> JobReport:
    previews: list[list[dict[str, Any]]] = []
    rows = chars = 0
    for request in job.requests():
        rows += 1
        chars += sum(len(str(message.get("content") or "")) for message in request.messages)
        if len(previews) < _PREVIEWS:
            previews.append([dict(message) for message in request.messages])
    return replace(_report(job), rows=rows, prompt_chars=chars, previews=tuple(previews))


def _collect(job: _Job, progress: ProgressCallback | None) -> JobReport:
    meta = collect_teacher(
        job.requests(),
        job.manifest.output_dir,
        client=_client(job),
        settings=job.manifest.settings(),
        progress=progress,
        column_types=job.inputs.column_types(),
    )
    counts = json.loads((meta.path / MANIFEST_NAME).read_bytes())["counts"]
    return replace(_report(job), rows=counts["rows"], artifact=meta, counts=counts)


def _report(job: _Job) -> JobReport:
    settings = job.manifest.settings()
    return JobReport(
        model=settings.model,
        endpoint=clean_endpoint(job.base_url),
        key_present=_setting(job.env, "OPENAI_API_KEY") is not None,
        files=tuple(str(file.path) for file in job.inputs.files),
        parameters=settings.parameters(),
        concurrency=settings.concurrency,
        output_dir=str(job.manifest.output_dir.absolute()),
    )


def _client(job: _Job) -> AsyncOpenAI:
    with needed("openai", "teacher collection"):
        import openai

    key = _setting(job.env, "OPENAI_API_KEY")
    if key is None and not _is_loopback(job.base_url):
        raise ConfigError(
            f"OPENAI_API_KEY is not set, and {clean_endpoint(job.base_url)} is not on this machine",
            remedy="export OPENAI_API_KEY, or point OPENAI_BASE_URL to a local server",
        )
    return openai.AsyncOpenAI(
        api_key=key or _NO_KEY,
        base_url=job.base_url,
        organization=_setting(job.env, "OPENAI_ORG_ID"),
        project=_setting(job.env, "OPENAI_PROJECT_ID"),
        max_retries=0,
    )


def _setting(env: Mapping[str, str], name: str) -> str | None:
    return env.get(name, "").strip() or None


def _base_url(env: Mapping[str, str]) -> str:
    url = _setting(env, "OPENAI_BASE_URL") or _DEFAULT_BASE_URL
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(
            f"OPENAI_BASE_URL {clean_endpoint(url)!r} is no web address",
            remedy="for example http://127.0.0.1:8000/v1",
        )
    return url


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
