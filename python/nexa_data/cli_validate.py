"""The command `validate`: is a catalog or artifact what it says, and is its data fit?"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from nexa_data.cli_convert import READ  # noqa: TC001 (typer reads annotations)
from nexa_data.findings import Severity
from nexa_data.outcome import ExitCode

if TYPE_CHECKING:
    from nexa_data.quality.model import QualityReport

__all__ = ["validate"]


def validate(  # noqa: PLR0913 (one for each option)
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="An artifact, a catalog, a folder of either, or source files.",
            show_default=False,
        ),
    ],
    *,
    full: Annotated[
        bool, typer.Option("--full", help="Read all contents: compare the digests, measure the data anew.")
    ] = False,
    rules: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Rules as in a config's data.checks, YAML or JSON.", show_default="none"
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="TARGET", help="Data to measure drift from: an artifact, or source files."),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="Column of the label of source files.", show_default="label, if there is one"),
    ] = None,
    wanted: Annotated[
        str | None, typer.Option("--from", help="Format of source files.", show_default="recognised")
    ] = None,
    read: READ = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Write quality_report.json and .html there."),
    ] = None,
    fail_on: Annotated[Severity, typer.Option(help="Exit with 3 from this severity on.")] = Severity.ERROR,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check a catalog or an artifact against its shards, and data against rules."""
    from nexa_data.console import show_json
    from nexa_data.findings import findings_report, refuses
    from nexa_data.quality.checks import parse_checks
    from nexa_data.read_options import read_options
    from nexa_data.validation import Asked, read_rules, validate_target
    from nexa_data.verification import show_verification

    given = [] if rules is None else read_rules(rules)
    asked = Asked(
        full=full,
        checks=parse_checks(given, place="checks" if rules is None else str(rules)),
        reference=reference,
        label=label,
        wanted=wanted,
        read=read_options(read),
        report=output is not None,
        fail_on=fail_on,
    )
    found, report = validate_target(target, asked)
    if output is not None and report is not None:
        _write(report, output)
    if as_json:
        show_json(findings_report(found.findings, fail_on))
    else:
        show_verification(found)
    if refuses(found.findings, fail_on):
        raise typer.Exit(ExitCode.REFUSED)


def _write(report: QualityReport, output: Path) -> None:
    from nexa_data.console import say
    from nexa_data.quality.model import REPORT_NAME, REPORT_PAGE_NAME
    from nexa_data.quality.page import write_page
    from nexa_data.quality.report import write_report

    output.mkdir(parents=True, exist_ok=True)
    write_report(report, output / REPORT_NAME)
    write_page(report, output / REPORT_PAGE_NAME)
    say(f"wrote {output / REPORT_NAME} and {output / REPORT_PAGE_NAME}")
