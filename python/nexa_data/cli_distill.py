"""The commands below `nexa-data distill`: a teacher's answers, and a dataset made of them."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import Annotated, Any

import typer

from nexa_data.console import Bar, show_facts, show_json

__all__ = ["distill"]

distill = typer.Typer(
    help="Ask a teacher, and make a dataset of its answers.", no_args_is_help=True, rich_markup_mode=None
)

_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@distill.command("collect")
def collect(
    context: typer.Context,
    manifest: Annotated[
        Path | None, typer.Option(help="YAML or JSON manifest; default: $NEXA_MANIFEST.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the artifact, instead of the manifest's.")
    ] = None,
    max_samples: Annotated[int | None, typer.Option(min=1, help="Ask about the first N rows only.")] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, send nothing.")] = False,
    as_json: _Json = False,
) -> None:
    """Ask a teacher for every row of a data set; resumable. The environment holds OPENAI_API_KEY and OPENAI_BASE_URL."""
    from nexa_data.data_generation_job import main as run_job

    given = {"--manifest": manifest, "--output": output, "--max-samples": max_samples}
    flags = {"--dry-run": dry_run, "--json": as_json, "--debug": context.obj["debug"]}
    arguments = [text for name, value in given.items() if value is not None for text in (name, str(value))]
    raise typer.Exit(run_job(argv=[*arguments, *(name for name, wanted in flags.items() if wanted)]))


@distill.command("materialize")
def materialize(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="What `distill collect` made, or its Parquet.", show_default=False
        ),
    ],
    output_dir: Annotated[
        Path, typer.Argument(metavar="OUTPUT_DIR", help="Folder to write into.", show_default=False)
    ],
    label_column: Annotated[
        str | None, typer.Option(help="Column with the true class; default: the teacher's most probable one.")
    ] = None,
    *,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out rows without a soft target instead of stopping.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Write label probabilities as a JSON dataset. The file is distilled_dataset.json in OUTPUT_DIR."""
    from nexa_distill.soft_targets import read_soft_targets

    from nexa_data.distill_materialize import materialize_distilled_dataset

    probabilities, targets = read_soft_targets(
        source, label_column=label_column, missing="skip" if skip_missing else "error"
    )
    written = 0

    def counted() -> Any:
        nonlocal written
        for written, target in enumerate(targets, 1):
            bar(written)
            yield target

    with Bar("writing", "records") as bar:
        path = materialize_distilled_dataset(probabilities, counted(), output_dir)
    facts = {"dataset": str(path.absolute()), "records": written}
    if as_json:
        show_json(facts)
    else:
        show_facts(facts)
