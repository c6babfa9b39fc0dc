"""Entry point of teacher collection: environment and manifest in, artifact and exit code out."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from nexa_distill.classify import redact
from nexa_distill.job import JobReport, run_manifest

from nexa_data.errors import ConfigError, NexaError
from nexa_data.outcome import ExitCode, exit_code, terminate_like_interrupt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nexa_distill.progress import Progress, ProgressCallback

__all__ = ["JobReport", "main", "run_manifest"]

_PROGRESS_EVERY_S = 0.5


def main(*, argv: Sequence[str] | None = None) -> int:
    """Collect a teacher's answers as the environment and a manifest say.

    Reads `OPENAI_API_KEY`, `OPENAI_BASE_URL`, `OPENAI_ORG_ID`, `OPENAI_PROJECT_ID`, and the manifest's path
    from `NEXA_MANIFEST` or `--manifest`. The result goes to stdout, progress and errors to stderr.

    Args:
        argv: Arguments, without the program's name; default: those of the process.

    Returns:
        0 ok, 1 the run failed, 2 usage or a bad manifest, 3 data refused, 4 interrupted and resumable.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else ExitCode.USAGE
    try:
        with terminate_like_interrupt():
            report = _run(arguments)
    except KeyboardInterrupt:
        _say("interrupted: what was answered is kept; run the same command again to go on")
        return ExitCode.INTERRUPTED
    except Exception as error:
        if arguments.debug:
            raise
        _say(f"error: {_one_line(error)}")
        return exit_code(error)
    _print(json.dumps(report.as_dict(), ensure_ascii=False) if arguments.json else _text(report))
    return ExitCode.OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nexa_data.data_generation_job",
        description="Ask a teacher for every row of a data set and publish the answers. Resumable.",
    )
    parser.add_argument("--manifest", metavar="PATH", help="YAML or JSON manifest (default: $NEXA_MANIFEST)")
    parser.add_argument("--output", metavar="DIR", help="folder of the artifact, instead of the manifest's")
    parser.add_argument("--max-samples", metavar="N", type=int, help="ask about the first N rows only")
    parser.add_argument(
        "--dry-run", action="store_true", help="show the plan and three prompts, send nothing"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _run(arguments: argparse.Namespace) -> JobReport:
    manifest = arguments.manifest or os.environ.get("NEXA_MANIFEST")
    if not manifest:
        raise ConfigError("no manifest is named", remedy="pass --manifest PATH or set NEXA_MANIFEST")
    given = {"output_dir": arguments.output, "max_samples": arguments.max_samples}
    overrides = {name: value for name, value in given.items() if value is not None}
    progress = _progress_line() if sys.stderr.isatty() else None
    try:
        return run_manifest(manifest, dry_run=arguments.dry_run, overrides=overrides, progress=progress)
    finally:
        if progress is not None:
            _say("")


def _progress_line() -> ProgressCallback:
    shown_at = 0.0

    def show(progress: Progress) -> None:
        nonlocal shown_at
        now = time.monotonic()
        if now - shown_at < _PROGRESS_EVERY_S and progress.done != progress.total:
            return
        shown_at = now
        tokens = f"{progress.prompt_tokens + progress.completion_tokens} tokens"
        sys.stderr.write(f"\r{progress.done}/{progress.total} rows, {progress.failed} failed, {tokens} ")
        sys.stderr.flush()

    return show


def _text(report: JobReport) -> str:
    if report.artifact is None:
        return "\n".join(_plan_lines(report))
    counts = report.counts
    lines = [
        f"{report.artifact.uri}",
        f"hash    {report.artifact.hash}",
        f"rows    {counts['ok']} ok ({counts['length']} cut at max_tokens), {counts['failed']} failed",
        f"tokens  {counts['prompt_tokens']} prompt, {counts['completion_tokens']} answered",
    ]
    if counts["without_label"]:
        lines.append(f"labels  {counts['without_label']} rows have no label among the teacher's alternatives")
    return "\n".join(lines)


def _plan_lines(report: JobReport) -> Iterator[str]:
    yield f"model        {report.model} at {report.endpoint}"
    yield f"key          OPENAI_API_KEY is {'set' if report.key_present else 'not set'}"
    yield f"parameters   {json.dumps(report.parameters, ensure_ascii=False)}"
    yield f"input        {', '.join(report.files)}"
    yield f"requests     {report.rows}, {report.prompt_chars} characters, {report.concurrency} at once"
    yield f"output       {report.output_dir}"
    for number, messages in enumerate(report.previews, 1):
        yield f"prompt {number}"
        for message in messages:
            yield f"  {message['role']}: {message.get('content')}"
    yield "dry run: nothing was sent"


def _one_line(error: Exception) -> str:
    kind = "" if isinstance(error, NexaError) else f"{type(error).__name__}: "
    text = " | ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return redact(kind + text, [os.environ.get("OPENAI_API_KEY", "").strip()])


def _print(text: Any) -> None:
    sys.stdout.write(f"{text}\n")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
