"""The commands `artifacts …`: what a store holds, where it comes from, how two versions differ, and what may go."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["artifacts"]

artifacts = typer.Typer(
    help="The artifacts of a store: list, show, lineage, diff, gc.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Store = Annotated[Path, typer.Argument(metavar="[STORE]", help="experiment.output_dir, or any folder.")]
_Artifact = Annotated[
    Path, typer.Argument(metavar="ARTIFACT", help="Folder of an artifact.", show_default=False)
]
_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@artifacts.command("list")
def list_(
    store: _Store = Path("runs"),
    *,
    kind: Annotated[str | None, typer.Option(help="Only of this kind.", show_default="all")] = None,
    as_json: _Json = False,
) -> None:
    """List the artifacts in and below a folder."""
    from nexa_data.console import bytes_text, show, show_json, show_table
    from nexa_data.store_view import find_artifacts

    found = [each for each in find_artifacts(store) if kind is None or (each.meta and each.meta.kind == kind)]
    if as_json:
        show_json([each.as_dict() for each in found])
        return
    if not found:
        show(f"there is no artifact below {store}")
        return
    rows = []
    for each in found:
        meta = each.meta
        note = "latest" if each.latest else "" if each.state == "complete" else each.state
        created = "" if meta is None else meta.created_at[:19].replace("T", " ")
        size = "" if meta is None else bytes_text(meta.bytes)
        rows.append((str(each.path), meta and meta.kind, f"{each.records:,}", size, created, note))
    show_table(("artifact", "kind", ">records", ">size", "made (UTC)", ""), rows)


@artifacts.command()
def show(artifact: _Artifact, *, as_json: _Json = False) -> None:
    """Show what an artifact says of itself."""
    from nexa_data.artifact_facts import ArtifactFacts
    from nexa_data.artifacts import read_meta
    from nexa_data.console import bytes_text, show_facts, show_json
    from nexa_data.redaction import redacted

    meta = read_meta(artifact)
    facts = ArtifactFacts.of(meta.path, meta.kind, meta.labels, meta.path.name)
    splits = {
        name: {"records": each.records, "shards": len(each.files), "bytes": each.bytes}
        for name, each in facts.splits.items()
    }
    if as_json:
        verdict = (
            None if facts.verdict is None else {"verdict": facts.verdict[0], "findings": facts.verdict[1]}
        )
        show_json({**meta.as_dict(), "splits": splits, "quality": verdict})
        return
    show_facts(
        {
            "artifact": meta.uri,
            "kind": meta.kind,
            "hash": meta.hash,
            "made": meta.created_at,
            "size": bytes_text(meta.bytes),
            "splits": ", ".join(f"{name} {each['records']:,}" for name, each in splits.items()) or None,
            "columns": ", ".join(
                f"{each.name} {each.dtype}{list(each.shape) or ''}" for each in facts.columns
            )
            or None,
            "quality": facts.verdict and f"{facts.verdict[0]}, {facts.verdict[1]} findings",
            **{f"label {name}": value for name, value in meta.labels.items()},
            **{f"input {name}": value for name, value in redacted(meta.inputs).items() if value},
        }
    )


@artifacts.command()
def lineage(artifact: _Artifact, *, as_json: _Json = False) -> None:
    """Show where an artifact comes from, back to its sources."""
    from nexa_data.console import show, show_json
    from nexa_data.store_view import lineage as found

    origin = found(artifact)
    if as_json:
        show_json(origin.as_dict())
    else:
        for line in origin.lines():
            show(line)


@artifacts.command()
def diff(
    first: _Artifact,
    second: _Artifact,
    *,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 if they differ.")] = False,
    as_json: _Json = False,
) -> None:
    """Show how two artifacts differ: columns, records, config, statistics."""
    from nexa_data.artifact_diff import compare_artifacts
    from nexa_data.console import show, show_json

    found = compare_artifacts(first, second)
    if as_json:
        show_json(found)
    elif not any(found.values()):
        show("they are the same")
    else:
        for part, lines in found.items():
            if lines:
                show(f"{part}:")
                for line in lines:
                    show(f"  {line}")
    if exit_code and any(found.values()):
        raise typer.Exit(1)


@artifacts.command()
def gc(
    store: _Store = Path("runs"),
    *,
    keep: Annotated[int, typer.Option(min=0, help="Versions of each dataset to keep.")] = 1,
    older_than: Annotated[str, typer.Option(metavar="AGE", help="Only what is older: 12h, 7d, 4w.")] = "0s",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: _Json = False,
) -> None:
    """Remove older versions and what stopped runs have left; what is latest, referenced or in use stays."""
    from nexa_data.console import bytes_text, say, show, show_json, show_table
    from nexa_data.errors import ConfigError
    from nexa_data.store_view import collect_garbage, find_garbage

    found = find_garbage(store, keep=keep, older_than_s=_seconds(older_than))
    total = bytes_text(sum(each.bytes for each in found))
    if found and not as_json:
        show_table(
            ("folder", "why", ">size"), [(str(each.path), each.why, bytes_text(each.bytes)) for each in found]
        )
    if found and not dry_run and not yes:
        if not sys.stdin.isatty():
            raise ConfigError(
                f"{len(found)} folders ({total}) would be removed",
                remedy="say so with --yes, or look with --dry-run",
            )
        say(f"remove these {len(found)} folders ({total})? [y/N]")
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            return
    gone = [] if dry_run else collect_garbage(found)
    if as_json:
        listed: list[Any] = [{"path": str(each.path), "why": each.why, "bytes": each.bytes} for each in found]
        show_json({"found": listed, "removed": [str(each.path) for each in gone]})
    elif dry_run or not found:
        show(
            f"{len(found)} folders, {total}"
            + (" would be removed" if found else ": there is nothing to remove")
        )
    else:
        kept = f"; {len(found) - len(gone)} are in use and stay" if len(gone) < len(found) else ""
        show(f"removed {len(gone)} folders, {bytes_text(sum(each.bytes for each in gone))}{kept}")


def _seconds(age: str) -> float:
    from nexa_data.errors import ConfigError

    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", age.strip())
    if parts is None:
        raise ConfigError(f"--older-than {age!r} is no age", remedy="write 90m, 12h, 7d or 4w")
    return float(parts[1]) * _SECONDS[parts[2]]
