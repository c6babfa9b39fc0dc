"""The command line: each command is a few lines over the library, and every way to end has its exit code."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nexa_data.cli_artifacts import artifacts
from nexa_data.cli_convert import READ, convert
from nexa_data.cli_distill import distill
from nexa_data.cli_report import report
from nexa_data.cli_stage import evict, stage, unstage
from nexa_data.cli_validate import validate
from nexa_data.console import (
    bytes_text,
    configure_logging,
    reuse_text,
    say,
    show,
    show_facts,
    show_json,
    silence_broken_pipe,
)
from nexa_data.errors import ConfigError, ShardNotFoundError
from nexa_data.outcome import EXIT_CODES, ExitCode, error_lines, exit_code, terminate_like_interrupt
from nexa_data.redaction import redact_text, redacted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nexa_data.config import Config

__all__ = ["app", "main"]

_ANYWHERE = ("--debug", "-v", "--verbose")
_COMPLETION = "_NEXA_DATA_COMPLETE"

app = typer.Typer(
    name="nexa-data",
    help="From raw data to torch batches: validated, versioned shards, staged to local disk.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich's own help would import half a second of packages
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(
    help="The config's schema, and whether a config is right.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(artifacts, name="artifacts")
app.add_typer(distill, name="distill")
app.add_typer(config_app, name="config")

_ConfigPath = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="YAML file of the config.", show_default=False)
]
_Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="Change a key, e.g. data.batch_size=64; may be repeated."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: Arguments, without the program's name; default: those of the process.

    Returns:
        The exit code: 0 ok, 1 failed, 2 usage or config, 3 data refused, 4 interrupted and resumable.
    """
    arguments = _hoisted(sys.argv[1:] if argv is None else argv)
    if _COMPLETION in os.environ:
        app()
    try:
        with terminate_like_interrupt():
            return _invoke(arguments)
    except KeyboardInterrupt:
        say("interrupted: nothing is half-written; run the same command again to go on")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        silence_broken_pipe()
        return ExitCode.OK
    except Exception as error:  # noqa: BLE001 (the one place where every other failure becomes a line and a code)
        if "--debug" in arguments:
            say(redact_text(traceback.format_exc().rstrip()))
        for line in error_lines(error):
            say(line)
        return exit_code(error)


def _hoisted(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the options of the whole program in front: people write them last."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    before, after = arguments[:end], arguments[end:]
    front = [each for each in before if each in _ANYWHERE]
    return [*front, *(each for each in before if each not in _ANYWHERE), *after]


def _invoke(arguments: list[str]) -> int:
    # Not `command.main`: it would turn interrupts and broken pipes into exit codes of its own.
    command: Any = typer.main.get_command(app)
    usage_error: Any = typer.BadParameter.__base__
    try:
        with command.make_context("nexa-data", [*arguments]) as context:
            code = command.invoke(context)
    except typer.Exit as stop:
        code = stop.exit_code
    except usage_error as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
        else:
            where = error.ctx.command_path if error.ctx else "nexa-data"
            say(f"error: {error.format_message().rstrip('.')}; see `{where} --help`")
        return ExitCode.USAGE
    return code if isinstance(code, int) else ExitCode.OK


def _version(*, wanted: bool) -> None:
    if wanted:
        from nexa_data import __version__

        show(f"nexa-data {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show logs on stderr.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the version.",
            is_eager=True,
            callback=lambda value: _version(wanted=value),
        ),
    ] = False,
) -> None:
    del version
    context.obj = {"debug": debug}
    configure_logging(verbose=verbose)


def _load(path: Path, changes: list[str] | None) -> Config:
    from nexa_data.config import load_config

    try:
        return load_config(path, overrides=changes or [])
    except ShardNotFoundError as error:
        raise ConfigError(error.message, remedy=error.remedy) from error


@app.command()
def prepare(
    config: _ConfigPath,
    changes: _Set = None,
    *,
    materialize_only: Annotated[
        bool, typer.Option("--materialize-only", help="Write the metadata alone: no shards, no statistics.")
    ] = False,
    allow_invalid: Annotated[
        bool,
        typer.Option("--allow-invalid", help="Publish although data.checks refuse; the artifact says so."),
    ] = False,
    as_json: _Json = False,
) -> None:
    """Build the dataset of a config, in versioned shards. A second run reuses it."""
    from nexa_data.steps import prepare

    meta, step = prepare(
        _load(config, changes), materialize_only=materialize_only, allow_invalid=allow_invalid
    )
    if as_json:
        show_json({**meta.as_dict(), "records": step.records, "reused": step.reused, "seconds": step.seconds})
        return
    records = None if step.records is None else f"{step.records:,} ({step.note})"
    show_facts(
        {
            "artifact": meta.uri,
            "kind": meta.kind,
            "hash": meta.hash,
            "records": records,
            "size": bytes_text(meta.bytes),
            "reused": reuse_text(step.seconds, reused=step.reused),
            "quality": _quality(meta.path),
        }
    )


def _quality(folder: Path) -> str | None:
    from nexa_data.quality.model import REPORT_NAME

    if not (folder / REPORT_NAME).is_file():
        return None
    from nexa_data.quality.page import verdict_text
    from nexa_data.quality.report import read_report

    said = verdict_text(read_report(folder))
    return said if said.endswith("no findings") else f"{said}: nexa-data report {folder} --open"


app.command()(stage)
app.command()(unstage)
app.command()(evict)
app.command()(convert)


app.command()(validate)
app.command()(report)


@app.command()
def inspect(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="An artifact, a catalog, a shard, source files, or a name of the hub (hf://OWNER/NAME).",
            show_default=False,
        ),
    ],
    rows: Annotated[int, typer.Option(min=0, help="Show so many first rows.")] = 5,
    *,
    wanted: Annotated[
        str | None, typer.Option("--from", help="Format of source files.", show_default="recognised")
    ] = None,
    read: READ = None,
    as_json: _Json = False,
) -> None:
    """Show schema, counts and first rows of data."""
    from nexa_data.inspection import inspect_target, show_inspection

    found = inspect_target(target, n_rows=rows, wanted=wanted, read=read)
    if as_json:
        show_json(found.as_dict())
    else:
        show_inspection(found)


@app.command()
def init(
    source: Annotated[
        list[str],
        typer.Argument(metavar="SRC...", help="Source files, folder or glob.", show_default=False),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Config to write.")] = Path("config.yaml"),
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite it.")] = False,
    as_json: _Json = False,
) -> None:
    """Write a config for files. Format, columns, label and split are inferred; read what was guessed."""
    from nexa_data.artifacts import write_atomic
    from nexa_data.scaffold import scaffold

    if output.exists() and not force:
        raise ConfigError(f"{output.absolute()} exists", remedy="name another by --output, or pass --force")
    made = scaffold(source)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(output, made.text.encode())
    for guess in made.guesses:
        say(f"guessed {guess}")
    for warning in made.warnings:
        say(f"warning: {warning}")
    if as_json:
        show_json({"config": str(output), "guesses": made.guesses, "warnings": made.warnings})
    else:
        show(str(output))
        say(f"read it, then: nexa-data run {output}")


@app.command()
def run(config: _ConfigPath, changes: _Set = None, *, as_json: _Json = False) -> None:
    """Prepare, validate and stage a config's dataset. It is staged if data.cache_dir is set; what is there is reused."""
    from nexa_data import steps

    loaded = _load(config, changes)
    meta, prepared = steps.prepare(loaded)
    done = [prepared, steps.validate(meta.path)]
    staged = None
    if loaded.data.cache_dir is not None:
        staged, copied = steps.staged_copy(loaded, meta)
        done.append(copied)
    if as_json:
        copy = None if staged is None else staged.as_dict()
        table = [step.as_dict() for step in done]
        show_json({"artifact": meta.as_dict(), "staged": copy, "steps": table, "reused": prepared.reused})
        return
    steps.show_steps(done)
    show("")
    show_facts({"artifact": meta.uri, "hash": meta.hash, "staged": staged and staged.uri})
    show(f"reused={str(prepared.reused).lower()}")


@config_app.command("schema")
def schema() -> None:
    """Print the JSON Schema of a config, for editors."""
    from nexa_data.config import config_schema

    show_json(config_schema())


@config_app.command("check")
def check(config: _ConfigPath, changes: _Set = None, *, as_json: _Json = False) -> None:
    """Check a config without touching its data. With --json it is printed, all defaults filled in."""
    from nexa_data.augment import check_augmentations
    from nexa_data.filters.columns import parse_label_filters
    from nexa_data.pipeline import DataPipeline

    loaded = _load(config, changes)
    if loaded.data.mixture is None:
        DataPipeline(loaded)
    else:
        for source in loaded.data.mixture.sources:
            parse_label_filters(source.filters)
    check_augmentations(loaded)
    if as_json:
        show_json(redacted(loaded.model_dump(mode="json", by_alias=True)))
    else:
        show(
            f"{config}: ok (dataset {loaded.data.dataset_name} {loaded.data.dataset_version}, store {loaded.store})"
        )


@app.command()
def bench(
    config: _ConfigPath,
    changes: _Set = None,
    *,
    split: Annotated[str, typer.Option(help="Split to load.")] = "train",
    batches: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many batches.", show_default="--seconds")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="Stop after so long.", show_default="5")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Run a config's loader alone and say where the time goes. The dataset is prepared first if it isn't."""
    from nexa_data.bench import run_bench, show_bench

    result = run_bench(_load(config, changes), split, batches=batches, seconds=seconds)
    if as_json:
        show_json(result.as_dict())
    else:
        show_bench(result)


@app.command()
def doctor(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where data is to be staged.")] = Path(),
    *,
    as_json: _Json = False,
) -> None:
    """Show what this installation, machine and disk can do."""
    from nexa_data.doctor import examine, show_diagnoses

    found = examine(folder)
    if as_json:
        show_json({each.name: {"value": each.value, "warning": each.warning} for each in found})
    else:
        show_diagnoses(found)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for all that it writes.")] = Path(
        "runs/demo"
    ),
    *,
    as_json: _Json = False,
) -> None:
    """Train on handwritten digits, from source to accuracy."""
    from nexa_data.demo import run_demo, show_demo

    result = run_demo(output)
    if as_json:
        show_json(result.as_dict())
    else:
        show_demo(result)


if __name__ == "__main__":
    sys.exit(main())
