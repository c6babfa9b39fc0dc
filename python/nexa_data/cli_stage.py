"""The commands `stage`, `unstage` and `evict`: shards on local disk, and off it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nexa_data.console import bytes_text, rate_text, reuse_text, show_facts, show_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nexa_data.staging.cache import Freed

__all__ = ["evict", "stage", "unstage"]

_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_Folder = Annotated[
    Path, typer.Argument(metavar="DESTINATION", help="Folder of the staged copy.", show_default=False)
]


def stage(  # noqa: PLR0913 (one for each option)
    catalog: Annotated[
        Path,
        typer.Argument(metavar="CATALOG", help="A catalog, or the folder that holds it.", show_default=False),
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DESTINATION", help="Folder that the copy will be.", show_default=False)
    ],
    *,
    algorithm: Annotated[
        str, typer.Option(help="Digest where the catalog has none: sha256, blake3, xxh3 or crc32c.")
    ] = "sha256",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads that move blocks.", show_default="automatic")
    ] = None,
    direct: Annotated[
        bool, typer.Option("--direct/--no-direct", help="Copy past the page cache where possible.")
    ] = True,
    engine: Annotated[str, typer.Option(help="Who copies: auto, io_uring or threads.")] = "auto",
    block_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Bytes per read and write, e.g. 4MiB.", show_default="automatic"),
    ] = None,
    max_memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Bound of the buffers.", show_default="automatic")
    ] = None,
    max_bandwidth: Annotated[
        str | None, typer.Option(metavar="RATE", help="Bound of the rate, e.g. 200MB/s.", show_default="none")
    ] = None,
    read_back: Annotated[
        bool, typer.Option("--readback", help="Read each copy again from the disk and compare.")
    ] = False,
    reuse: Annotated[
        bool,
        typer.Option(
            "--reuse/--no-reuse", help="Link shards that were staged before, and keep these for later."
        ),
    ] = True,
    evict: Annotated[
        str | None, typer.Option(metavar="lru", help="Remove older copies where --max-bytes asks for it.")
    ] = None,
    max_bytes: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Bound of all staged copies beside this one, e.g. 500GB or 64GiB."),
    ] = None,
    trust_uid: Annotated[
        list[int] | None,
        typer.Option(min=0, metavar="UID", help="Whose files count as proven beside yours; may be repeated."),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Copy a catalog's shards to local disk, verified. A second run copies nothing."""
    from nexa_data.staging import read_report
    from nexa_data.steps import stage

    meta, step = stage(
        catalog,
        destination,
        algorithm=algorithm,
        threads=threads,
        direct=direct,
        engine=engine,
        block_bytes=block_size,
        max_memory=max_memory,
        max_bandwidth=max_bandwidth,
        read_back=read_back,
        reuse=reuse,
        evict=evict,
        max_bytes=max_bytes,
        trusted_uids=trust_uid or (),
    )
    report = read_report(meta.path)
    if as_json:
        found = {"records": step.records, "reused": step.reused, "seconds": step.seconds, "report": report}
        show_json({**meta.as_dict(), **found})
        return
    show_facts(
        {
            "staged": meta.uri,
            "hash": meta.hash,
            "size": bytes_text(meta.bytes),
            "reused": reuse_text(step.seconds, reused=step.reused),
            **({} if step.reused else _told(report)),
        }
    )


def _told(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a person wants to know of a staging that has just ended."""
    if not report:
        return {}
    rate = rate_text(report["copied_bytes"] or None, report["seconds"])
    modes = ", ".join(f"{count} {mode}" for mode, count in report["modes"].items())
    reasons = [f"{count} because {reason}" for reason, count in report["reasons"].items()]
    engine = ": ".join(filter(None, (report["engine"], report["engine_reason"])))
    evicted = report["evicted"]
    store = report["store"]
    return {
        "copied": ", ".join(filter(None, (_count(report, "copied"), rate, modes))),
        "not direct": "\n".join(reasons) or None,
        "linked": _count(report, "linked") if report["linked_shards"] else None,
        "resumed": _count(report, "resumed") if report["resumed_shards"] else None,
        "not linked": None if store == "used" else store,
        "engine": engine or None,
        "retries": report["retries"] or None,
        "verified": f"while copying, {'and read back' if report['read_back'] else 'not read back'}",
        "from, to": "{source}, {destination}".format(**report["filesystems"]),
        "processor": f"{report['cpu_seconds']:.2f} s",
        "evicted": _gone(evicted) if evicted["entries"] or evicted["artifacts"] else None,
    }


def _count(report: Mapping[str, Any], way: str) -> str:
    return f"{report[f'{way}_shards']:,} shards ({bytes_text(report[f'{way}_bytes'])})"


def _gone(freed: Mapping[str, Any]) -> str:
    first = f"{len(freed['artifacts'])} artifacts, {freed['entries']} files of the store ({bytes_text(freed['bytes'])})"
    return "\n".join([first, *freed["artifacts"]])


def unstage(
    destination: _Folder,
    *,
    force: Annotated[bool, typer.Option("--force", help="Also if a process reads it.")] = False,
    keep_store: Annotated[
        bool, typer.Option("--keep-store", help="Keep its shards in the store, for the next catalog.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Remove a staged copy, and what nothing else links of it."""
    from nexa_data.staging import unstage

    _show_freed(unstage(destination, force=force, keep_store=keep_store), as_json=as_json)


def evict(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Folder that the staged copies lie in.", show_default=False),
    ],
    max_bytes: Annotated[
        str,
        typer.Option(metavar="SIZE", help="Bound of all of them, e.g. 500GB or 64GiB.", show_default=False),
    ],
    *,
    as_json: _Json = False,
) -> None:
    """Remove staged copies until a bound is kept. Least recently used first, and none that is being read."""
    from nexa_data.staging import evict

    _show_freed(evict(folder, max_bytes), as_json=as_json)


def _show_freed(freed: Freed, *, as_json: bool) -> None:
    found = freed.as_dict()
    if as_json:
        show_json(found)
    else:
        show_facts({"freed": bytes_text(freed.bytes), "removed": _gone(found)})
