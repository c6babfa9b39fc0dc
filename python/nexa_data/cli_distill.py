"""The commands below `nexa-data distill`: a teacher's answers, and a dataset made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nexa_data.cli_materialize import materialize
from nexa_data.console import bytes_text, show_facts, show_json

__all__ = ["distill"]

distill = typer.Typer(
    help="Ask a teacher, and make a dataset of its answers.", no_args_is_help=True, rich_markup_mode=None
)

_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@distill.command("collect")
def collect(  # noqa: PLR0913 (the options of a command)
    context: typer.Context,
    manifest: Annotated[
        Path | None, typer.Option(help="YAML or JSON manifest; default: $NEXA_MANIFEST.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the artifact, instead of the manifest's.")
    ] = None,
    max_samples: Annotated[int | None, typer.Option(min=1, help="Ask about the first N rows only.")] = None,
    env_file: Annotated[
        Path | None, typer.Option(help="File of NAME=value lines; none is read unasked.", show_default=False)
    ] = None,
    resend_unknown: Annotated[
        str | None,
        typer.Option(
            metavar="ask|never|always",
            help="What to do with requests that were sent and whose answer is lost.",
        ),
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, send nothing.")] = False,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Allow plain http to another machine.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Ask a teacher for every row of a data set; resumable. The environment holds OPENAI_API_KEY and OPENAI_BASE_URL."""
    from nexa_data.data_generation_job import main as run_job

    given = {
        "--manifest": manifest,
        "--output": output,
        "--max-samples": max_samples,
        "--env-file": env_file,
        "--resend-unknown": resend_unknown,
    }
    flags = {
        "--dry-run": dry_run,
        "--allow-http": allow_http,
        "--json": as_json,
        "--debug": context.obj["debug"],
    }
    arguments = [text for name, value in given.items() if value is not None for text in (name, str(value))]
    raise typer.Exit(run_job(argv=[*arguments, *(name for name, wanted in flags.items() if wanted)]))


@distill.command("purge")
def purge(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run's folder, in .teacher-runs beside the output.")
    ],
    *,
    as_json: _Json = False,
) -> None:
    """Delete the answers that a run keeps beside its artifact; digests and spend stay, so nothing is paid for twice."""
    from nexa_distill.run_folder import purge_run

    freed = purge_run(run)
    facts = {"run": str(run.absolute()), "freed": freed}
    if as_json:
        show_json(facts)
    else:
        show_facts({**facts, "freed": bytes_text(freed)})


@distill.command("demo")
def demo(
    teacher: Annotated[
        Path,
        typer.Option(
            metavar="MODEL.gguf", help="The teacher, which llama.cpp's own server serves on loopback."
        ),
    ] = Path("tests/data/teacher/tiny.gguf"),
    output: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("runs/distill-demo"),
) -> None:
    """Ask a tiny teacher, and train one student on its probabilities and one on hard labels (needs xllamacpp)."""
    from nexa_data.distill_demo import run_distill_demo, show_distill_demo

    show_distill_demo(run_distill_demo(teacher, output))


distill.command("materialize")(materialize)
