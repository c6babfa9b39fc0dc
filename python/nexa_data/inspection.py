"""What lies in an artifact, a catalog, or a shard or source file: schema, counts and first rows."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexa_data.artifacts import is_complete, read_meta
from nexa_data.catalog import CATALOG_NAME, ShardCatalog, is_catalog
from nexa_data.console import bytes_text, show, show_facts, show_table
from nexa_data.errors import ArtifactError, ShardNotFoundError
from nexa_data.read_options import read_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from nexa_data.config_reading import ReadConfig
    from nexa_data.datasets.rows import RowSource
    from nexa_data.datasets.source_file import SourceFile

__all__ = ["Inspection", "inspect_target", "show_inspection"]

_SHOWN_ITEMS = 6
_SHOWN_TEXT = 40
_SHOWN_COLUMNS = 12


@dataclass
class Inspection:
    """What was seen.

    Args:
        facts: What it is and how large, by name.
        splits: Records, shards and bytes per split.
        schema: Name and type of each column.
        rows: The first rows, by column.
        rows_of: File that schema and rows were read from.
    """

    facts: dict[str, Any]
    splits: list[dict[str, Any]] = field(default_factory=list)
    schema: list[dict[str, str]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    rows_of: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        seen = asdict(self)
        return {**seen.pop("facts"), **seen}


def inspect_target(
    target: str,
    *,
    n_rows: int = 5,
    wanted: str | None = None,
    read: ReadConfig | Mapping[str, Any] | Sequence[str] | None = None,
) -> Inspection:
    """Look at an artifact's folder, a catalog, a shard or source file, or a folder or glob of such files.

    Args:
        target: The path or glob.
        n_rows: Number of first rows to read.
        wanted: Format of source files; default: recognised.
        read: How they are read where their format leaves that open, as `data.read` in a config.

    Raises:
        ShardNotFoundError: There is nothing of that name.
        CatalogError: The catalog is malformed.
        RecordError: The file is damaged, or of no known format.
        ConfigError: `wanted` or `read` says something impossible.
    """
    options = read_options(read)
    path = Path(target)
    if path.is_dir() and is_complete(path):
        return _inspect_artifact(path, n_rows)
    if path.is_dir() and (path / CATALOG_NAME).is_file():
        return _inspect_catalog(path / CATALOG_NAME, n_rows)
    if is_catalog(path):
        return _inspect_catalog(path, n_rows)
    files = _files(target)
    if not files:
        what = (
            "it is no artifact, and holds no catalog and no source file"
            if path.is_dir()
            else "there is nothing of that name"
        )
        raise ShardNotFoundError(
            f"{path.absolute()}: {what}",
            remedy="name an artifact's folder, a catalog, or source files",
        )
    return _inspect_files(files, n_rows, wanted=wanted, read=options)


def _files(target: str) -> list[SourceFile]:
    from nexa_data.datasets.files import find_files

    try:
        return find_files([target])
    except ShardNotFoundError:
        return []


def _inspect_artifact(path: Path, n_rows: int) -> Inspection:
    meta = read_meta(path)
    if (meta.path / CATALOG_NAME).is_file():
        found = _inspect_catalog(meta.path / CATALOG_NAME, n_rows)
    else:
        files = _files(str(meta.path))
        found = _inspect_files(files, n_rows) if files else Inspection({})
    described = _metadata(meta.path)
    label = described.get("label", {})
    facts = {
        "artifact": meta.uri,
        "kind": meta.kind,
        "hash": meta.hash,
        "bytes": meta.bytes,
        "created_at": meta.created_at,
        "dataset": described.get("dataset_name"),
        "version": described.get("dataset_version"),
        "source": described.get("source"),
        "features": described.get("features"),
        "label": label or None,
        "inputs": meta.inputs,
        "labels": meta.labels,
    }
    counted = {name: value for name, value in found.facts.items() if name in {"records", "shards"}}
    found.facts = {name: value for name, value in (facts | counted).items() if value is not None}
    return found


def _metadata(folder: Path) -> dict[str, Any]:
    file = folder / "dataset_metadata.json"
    if not file.is_file():
        return {}
    try:
        described = json.loads(file.read_bytes())
    except ValueError as error:
        raise ArtifactError(
            f"{file} is damaged: {error}", remedy="delete the artifact and make it anew"
        ) from error
    return described if isinstance(described, dict) else {}


def _inspect_catalog(file: Path, n_rows: int) -> Inspection:
    catalog = ShardCatalog.load(file)
    names = [*catalog.splits, *([None] if any(shard.split is None for shard in catalog) else [])]
    splits = []
    for name in names:
        shards = [shard for shard in catalog if shard.split == name]
        splits.append(
            {
                "split": name,
                "records": _total([shard.records for shard in shards]),
                "shards": len(shards),
                "bytes": _total([shard.bytes for shard in shards]),
            }
        )
    facts = {
        "catalog": str(file.absolute()),
        "shards": len(catalog),
        "records": _total([shard.records for shard in catalog]),
        "bytes": _total([shard.bytes for shard in catalog]),
    }
    first = next(iter(catalog), None)
    shard = None if first is None else first.path(catalog.root)
    if shard is None or not shard.is_file():
        # Counts stand in the catalog; `validate` says what is missing.
        return Inspection(facts, splits)
    seen = _inspect_files(_files(str(shard)), n_rows, count=False)
    return Inspection(facts, splits, seen.schema, seen.rows, str(shard))


def _total(counts: Sequence[int | None]) -> int | None:
    """Return the sum, None where one isn't known."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _inspect_files(
    files: Sequence[SourceFile],
    n_rows: int,
    *,
    count: bool = True,
    wanted: str | None = None,
    read: ReadConfig | None = None,
) -> Inspection:
    from nexa_data.datasets.decoding import count_records, row_source
    from nexa_data.datasets.files import recognise

    paths = [str(file.path) for file in files]
    source = row_source(paths, wanted, read=read)
    rows = _first_rows(source, n_rows) if n_rows else []
    formats = sorted({recognise(file.path, wanted) for file in files})
    facts = {
        "file" if len(files) == 1 else "files": str(files[0].path) if len(files) == 1 else len(files),
        "format": ", ".join(formats),
        "records": count_records(paths, wanted, read=read) if count else None,
        "bytes": sum(file.path.stat().st_size for file in files),
    }
    schema = [{"name": column.name, "type": _type_text(column.type)} for column in source.schema]
    return Inspection(facts, [], schema, rows, str(files[0].path))


def _first_rows(source: RowSource, n_rows: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for part in source.batches():
        rows += part.batch.slice(0, n_rows - len(rows)).to_pylist()
        if len(rows) >= n_rows:
            break
    return rows


def _type_text(kind: pa.DataType) -> str:
    import pyarrow as pa

    if isinstance(kind, pa.FixedShapeTensorType):
        return f"{kind.value_type} tensor {list(kind.shape)}"
    if pa.types.is_fixed_size_list(kind):
        return f"{kind.value_type} list [{kind.list_size}]"
    return str(kind)


def show_inspection(found: Inspection) -> None:
    """Print what was seen, for a person."""
    show_facts({name: _fact_text(name, value) for name, value in found.facts.items()})
    if found.splits:
        show("")
        rows = [
            (split["split"] or "(none)", _counted(split["records"]), split["shards"], _sized(split["bytes"]))
            for split in found.splits
        ]
        show_table(("split", ">records", ">shards", ">bytes"), rows)
    if found.schema:
        show("")
        show_table(("column", "type"), [(column["name"], column["type"]) for column in found.schema])
    if found.rows:
        show("")
        names = list(found.rows[0])[:_SHOWN_COLUMNS]
        more = len(found.rows[0]) - len(names)
        title = f"first {len(found.rows)} rows of {found.rows_of}"
        table = [[_value_text(row[name]) for name in names] for row in found.rows]
        show_table(names, table, title=f"{title} ({more} more columns: --json shows all)" if more else title)


def _counted(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


def _sized(count: int | None) -> str:
    return "?" if count is None else bytes_text(count)


def _fact_text(name: str, value: Any) -> Any:
    """Return a fact as a person wants it; the long ones are for `--json`."""
    if name in {"records", "shards", "bytes"}:
        return _sized(value) if name == "bytes" else _counted(value)
    if name == "source":
        return ", ".join(map(str, value)) if isinstance(value, list) else value
    if name == "features":
        columns = value.get("columns", [])
        named = ", ".join(columns[:_SHOWN_COLUMNS]) + (", …" if len(columns) > _SHOWN_COLUMNS else "")
        return f"{value.get('dtype')} {value.get('shape')} from {named}"
    if name == "label":
        classes = value.get("num_classes")
        counted = f", {classes} classes" if classes and value.get("kind") == "class" else ""
        return f"{value.get('dtype')}, {value.get('kind')}{counted}, from {value.get('column')}"
    return None if name in {"inputs", "labels"} else value


def _value_text(value: Any) -> str:
    if isinstance(value, list):
        shown = ", ".join(_value_text(item) for item in value[:_SHOWN_ITEMS])
        return f"[{shown}]" if len(value) <= _SHOWN_ITEMS else f"[{shown}, …] {len(value)} long"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    text = "null" if value is None else str(value)
    return text if len(text) <= _SHOWN_TEXT else f"{text[: _SHOWN_TEXT - 1]}…"
