"""The command `report`: the page on an artifact's quality."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="ARTIFACT", help="An artifact's folder, or a quality_report.json.", show_default=False
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Page to write.")] = Path(
        "quality_report.html"
    ),
    *,
    show_it: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Write the page on an artifact's quality, from what was measured when it was prepared; no row is read."""
    from nexa_data.console import say, show
    from nexa_data.quality.page import write_page
    from nexa_data.quality.report import read_report

    found = read_report(target)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_page(found, output)
    show(str(output))
    if show_it:
        import webbrowser

        if not webbrowser.open(output.absolute().as_uri()):
            say(f"there is no browser here; open {output.absolute()} where there is one")
