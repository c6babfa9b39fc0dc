"""The command `convert`: any source, artifact or catalog as files of a common format."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import Annotated

import typer

from nexa_data.console import Bar, bytes_text, show_facts, show_json

__all__ = ["READ", "convert"]

READ = Annotated[
    list[str] | None,
    typer.Option(
        "--read",
        metavar="KEY=VALUE",
        help="How files are read, a key of data.read, e.g. delimiter=';' or types.id=int64; may be repeated.",
    ),
]
"""Option of each command that reads source files without a config."""


def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="Source files, a folder or glob of them, a name of the hub (hf://OWNER/NAME), an artifact or a catalog.",
            show_default=False,
        ),
    ],
    destination: Annotated[
        Path,
        typer.Argument(
            metavar="DST",
            help="A file with the format's ending, else a folder, with a file a split and --file-records records.",
            show_default=False,
        ),
    ],
    *,
    to: Annotated[str, typer.Option("--to", help="arrow, parquet, jsonl or webdataset.", show_default=False)],
    wanted: Annotated[
        str | None, typer.Option("--from", help="Format of the source.", show_default="recognised")
    ] = None,
    read: READ = None,
    file_records: Annotated[int, typer.Option(min=1, help="Records of a file in a folder.")] = 1_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write data as files of another format."""
    from nexa_data.convert import convert as run

    with Bar("converting", "records") as bar:
        written = run(
            source, destination, to, wanted=wanted, read=read, file_records=file_records, progress=bar
        )
    if as_json:
        show_json(
            {"files": list(map(str, written.files)), "records": written.records, "bytes": written.bytes}
        )
        return
    files = str(written.files[0]) if len(written.files) == 1 else f"{len(written.files)} in {destination}"
    show_facts({"files": files, "records": f"{written.records:,}", "size": bytes_text(written.bytes)})
