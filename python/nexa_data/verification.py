"""Whether a catalog or an artifact still is what it says: the findings that `validate` shows."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nexa_data.artifacts import is_complete, payload_digest, payload_hash, read_meta
from nexa_data.catalog import CATALOG_NAME, ShardCatalog
from nexa_data.console import Bar, show, show_table, watching
from nexa_data.errors import ArtifactError, ShardNotFoundError
from nexa_data.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nexa_data.artifacts import ArtifactMeta

__all__ = ["Verification", "show_verification", "verify"]

_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked, and what was found.

    Args:
        target: The catalog or artifact, as an absolute path.
        kind: `catalog`, or the artifact's kind.
        shards: Shards that the catalog names; None without a catalog.
        full: Whether the contents were read.
        findings: What was found, in the catalog's order.
        rows: Rows whose quality was looked at; None if it wasn't.
    """

    target: Path
    kind: str
    shards: int | None
    full: bool
    findings: tuple[Finding, ...]
    rows: int | None = None

    @property
    def file(self) -> Path:
        """The catalog, if there is one, that the findings' lines are of."""
        catalog = self.target / CATALOG_NAME
        return catalog if catalog.is_file() else self.target


def verify(target: Path, *, full: bool = False) -> Verification:
    """Check a catalog file, an artifact, or a folder that holds a catalog.

    Args:
        target: The file or folder.
        full: Read every byte: checksums of the shards, and the artifact's hash.

    Raises:
        ShardNotFoundError: There is nothing at `target`.
        ArtifactError: It is neither a catalog nor an artifact.
    """
    if not target.exists():
        raise ShardNotFoundError(
            f"there is nothing at {target.absolute()}", remedy="name a catalog or an artifact's folder"
        )
    if target.is_file():
        return _verify_catalog(target, "catalog", full=full)
    if is_complete(target):
        return _verify_artifact(target, full=full)
    if (target / "meta.json").is_file():
        return Verification(target.absolute(), "artifact", None, full, (_unfinished(target),))
    if (target / CATALOG_NAME).is_file():
        return _verify_catalog(target / CATALOG_NAME, "catalog", full=full)
    raise ArtifactError(
        f"{target.absolute()} is no artifact and holds no {CATALOG_NAME}",
        remedy="name the folder that `nexa-data prepare` printed, or a catalog file",
    )


def _unfinished(folder: Path) -> Finding:
    return Finding(
        "incomplete-artifact",
        Severity.CRITICAL,
        f"{folder} has no COMPLETE marker: it was never published, or a file was deleted",
        remedy="delete it and make it anew",
    )


def _verify_catalog(file: Path, kind: str, *, full: bool) -> Verification:
    from nexa_data import _core

    control = _core.Control()
    with (
        Bar(f"reading {file.name}", "bytes") as bar,
        watching(bar, lambda: control.bytes, file.stat().st_size),
    ):
        lines = _core.read_catalog(file, control=control)
    shards = _core.Control()
    done, total = (lambda: shards.bytes, lines.bytes or None) if full else (lambda: shards.files, len(lines))
    with (
        Bar(f"checking {file.parent.name}", "bytes" if full else "shards") as bar,
        watching(bar, done, total),
    ):
        found = lines.validate(content=full, control=shards)
    return Verification(file.absolute(), kind, len(lines), full, tuple(Finding(**item) for item in found))


def _verify_artifact(folder: Path, *, full: bool) -> Verification:
    try:
        meta = read_meta(folder)
    except ArtifactError as error:
        damaged = Finding("damaged-meta", Severity.CRITICAL, error.message, remedy=error.remedy)
        return Verification(folder.resolve(), "artifact", None, full, (damaged,))
    if (meta.path / CATALOG_NAME).is_file():
        found = replace(_verify_catalog(meta.path / CATALOG_NAME, meta.kind, full=full), target=meta.path)
    elif meta.kind in {"dataset", "staged-dataset"}:
        lost = Finding("missing-catalog", Severity.CRITICAL, f"{meta.path} has lost its {CATALOG_NAME}")
        found = Verification(meta.path, meta.kind, None, full, (lost,))
    else:
        found = Verification(meta.path, meta.kind, None, full, ())
    if full and not found.findings:
        found = replace(found, findings=_compare_hash(meta))
    return found


def _compare_hash(meta: ArtifactMeta) -> tuple[Finding, ...]:
    """Compare an artifact with its recorded hash, once its catalog is known to tell the truth."""
    digest, size = payload_hash(meta.path, _proven(meta.path))
    if digest == meta.hash:
        return ()
    return (
        Finding(
            "artifact-changed",
            Severity.CRITICAL,
            f"the payload is {digest} ({size} bytes), meta.json says {meta.hash} ({meta.bytes} bytes): "
            "a file beside the shards was changed, added or deleted",
            remedy="delete it and make it anew",
        ),
    )


def _proven(folder: Path) -> dict[str, str]:
    """Return the digests that the catalog's check has just read and compared."""
    if not (folder / CATALOG_NAME).is_file():
        return {}
    catalog = ShardCatalog.load(folder)
    return {shard.uri: payload_digest(shard.checksum) for shard in catalog if shard.checksum}


def show_verification(found: Verification) -> None:
    """Print the findings, as a table or, where stdout is no terminal, a line each; and a line that sums up.

    A terminal gets the first findings of each code, and how many there are of each: nobody scrolls through thousands.
    """
    if sys.stdout.isatty() and found.findings:
        _show_findings(found.findings)
    else:
        for each in found.findings:
            place = f"{found.file}:{each.line}" if each.line else str(found.file)
            remedy = f"; {each.remedy}" if each.remedy else ""
            show(f"{place}: {each.severity}: {each.message}{remedy} [{each.code}]")
    shards = "" if found.shards is None else f", {found.shards:,} shards"
    count = f"{len(found.findings):,} findings" if found.findings else "no findings"
    depth = (
        "contents and digests"
        if found.full
        else "names, sizes, counts and schemas; --full reads the contents"
    )
    if found.rows is not None:
        depth = f"quality of {found.rows:,} rows" + ("" if found.kind == "source" else f"; {depth}")
    show(f"{found.kind} {found.target}{shards}: {count} ({depth})")


def _show_findings(findings: Sequence[Finding]) -> None:
    counts = Counter(each.code for each in findings)
    shown: list[Finding] = []
    room = Counter(
        counts if len(findings) <= _SHOWN else dict.fromkeys(counts, max(1, _SHOWN // len(counts)))
    )
    for each in findings:
        if room[each.code]:
            room[each.code] -= 1
            shown.append(each)
    rows = [
        (
            each.severity,
            each.code,
            f"line {each.line}" if each.line else None,
            f"{each.message}; {each.remedy}" if each.remedy else each.message,
        )
        for each in shown
    ]
    show_table(("severity", "code", "where", "what"), rows)
    show("")
    if len(shown) < len(findings):
        worst = {each.code: each.severity for each in sorted(findings, key=lambda each: each.severity.rank)}
        show_table(
            ("severity", "code", ">findings"),
            [(worst[code], code, f"{count:,}") for code, count in counts.most_common()],
            title=f"{len(shown)} of {len(findings):,} are shown; pipe to a file, or pass --json, for all:",
        )
        show("")
