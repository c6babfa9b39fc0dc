"""Entry point of teacher collection: environment and manifest in, artifact and exit code out."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexa_distill.ask import CollectionStoppedError
from nexa_distill.classify import redact
from nexa_distill.endpoint import environment
from nexa_distill.job import JobReport, run_manifest

from nexa_data.collection_display import (
    CollectionBar,
    EventLines,
    confirm_on_terminal,
    plan_facts,
    show_plan,
    show_result,
)
from nexa_data.console import say, show
from nexa_data.errors import ConfigError, NexaError
from nexa_data.outcome import ExitCode, exit_code, terminate_like_interrupt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

__all__ = ["JobReport", "main", "run_manifest"]

_SHOWN_ROWS = 20


def main(*, argv: Sequence[str] | None = None) -> int:
    """Collect a teacher's answers as the environment and a manifest say.

    Reads `OPENAI_API_KEY`, `OPENAI_BASE_URL`, `OPENAI_ORG_ID`, `OPENAI_PROJECT_ID`, and the manifest's path
    from `NEXA_MANIFEST` or `--manifest`; a `.env` file only where `--env-file` names it. The result goes to stdout,
    progress and errors to stderr.

    Args:
        argv: Arguments, without the program's name; default: those of the process.

    Returns:
        0 ok, 1 the run failed, 2 usage or a bad manifest, 3 data refused, 4 stopped and resumable: interrupted, the
        budget used up, the endpoint down, or rows whose answer is lost and that nobody said to send again.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else ExitCode.USAGE
    env: Mapping[str, str] = os.environ
    try:
        env = environment(arguments.env_file)
        with terminate_like_interrupt():
            report = _run(arguments, env)
    except KeyboardInterrupt:
        say("interrupted: what was answered is kept; run the same command again to go on")
        return ExitCode.INTERRUPTED
    except Exception as error:
        if arguments.debug:
            raise
        say(f"error: {_one_line(error, env)}")
        return ExitCode.INTERRUPTED if isinstance(error, CollectionStoppedError) else exit_code(error)
    if arguments.json:
        show(json.dumps(report.as_dict(), ensure_ascii=False))
    elif report.artifact is None:
        show_plan(report)
    else:
        show_result(report)
    return _unresolved(report)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nexa_data.data_generation_job",
        description="Ask a teacher for every row of a data set and publish the answers. Resumable.",
        epilog="The environment holds OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_ORG_ID, OPENAI_PROJECT_ID.",
    )
    parser.add_argument("--manifest", metavar="PATH", help="YAML or JSON manifest (default: $NEXA_MANIFEST)")
    parser.add_argument(
        "--env-file", metavar="PATH", type=Path, help="file of NAME=value lines; none is read unasked"
    )
    parser.add_argument("--output", metavar="DIR", help="folder of the artifact, instead of the manifest's")
    parser.add_argument("--max-samples", metavar="N", type=int, help="ask about the first N rows only")
    parser.add_argument(
        "--resend-unknown",
        choices=("ask", "never", "always"),
        help="what to do with requests that were sent and whose answer is lost, instead of the manifest's",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show the plan and three prompts, send nothing"
    )
    parser.add_argument("--allow-http", action="store_true", help="allow plain http to another machine")
    parser.add_argument(
        "--json", action="store_true", help="print the result as JSON, progress as JSON lines on stderr"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _run(arguments: argparse.Namespace, env: Mapping[str, str]) -> JobReport:
    manifest = arguments.manifest or env.get("NEXA_MANIFEST")
    if not manifest:
        raise ConfigError("no manifest is named", remedy="pass --manifest PATH or set NEXA_MANIFEST")
    given = {
        "output_dir": arguments.output,
        "max_samples": arguments.max_samples,
        "resend_unknown": arguments.resend_unknown,
        "allow_http": arguments.allow_http or None,
    }
    overrides = {name: value for name, value in given.items() if value is not None}
    display: AbstractContextManager[Any] = nullcontext()
    if arguments.json:
        display = EventLines()
    elif sys.stderr.isatty():
        display = CollectionBar()
    with display as progress:
        return run_manifest(
            manifest,
            env=env,
            dry_run=arguments.dry_run,
            overrides=overrides,
            progress=progress,
            confirm=confirm_on_terminal if sys.stdin is not None and sys.stdin.isatty() else None,
            announce=None if arguments.json else _announce,
        )


def _announce(report: JobReport) -> None:
    facts = plan_facts(report)
    say(f"asking {facts['model']}: requests: {facts['requests']}; tokens: {facts['tokens']}")
    if facts["cost"]:
        say(f"cost: {facts['cost']}")


def _unresolved(report: JobReport) -> int:
    """Return the exit code, after a list of the rows that were sent, have no answer, and wait for a decision."""
    if report.artifact is None or not report.counts["unknown"] or report.resend_unknown != "ask":
        return ExitCode.OK
    import pyarrow.parquet as pq
    from nexa_distill.output_file import OUTPUTS_NAME

    statuses = (
        pq.read_table(report.artifact.path / OUTPUTS_NAME, columns=["status"]).column("status").to_pylist()
    )
    rows = [str(row) for row, status in enumerate(statuses) if status == "unknown"]
    more = f" and {len(rows) - _SHOWN_ROWS} more" if len(rows) > _SHOWN_ROWS else ""
    say(
        f"rows without an answer (from 0): {', '.join(rows[:_SHOWN_ROWS])}{more}; they were sent and may have been "
        "paid for: run again with --resend-unknown always to send them again, or never to leave them"
    )
    return ExitCode.INTERRUPTED


def _one_line(error: Exception, env: Mapping[str, str]) -> str:
    kind = "" if isinstance(error, NexaError) else f"{type(error).__name__}: "
    text = " | ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return redact(kind + text, [env.get("OPENAI_API_KEY", "").strip()])


if __name__ == "__main__":
    sys.exit(main())
