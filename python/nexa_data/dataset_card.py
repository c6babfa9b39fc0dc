"""The card of a dataset, in the layout of the Hugging Face Hub: a folder with it can be pushed there as it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexa_data.artifact_facts import ArtifactFacts, ColumnFacts

__all__ = ["CARD_NAME", "dataset_card"]

CARD_NAME = "README.md"

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
          (10**8, "10M<n<100M"), (10**9, "100M<n<1B"), (10**10, "1B<n<10B"), (10**11, "10B<n<100B"),
          (10**12, "100B<n<1T"))  # fmt: skip
_TASKS = {
    "class": "tabular-classification",
    "multi_hot": "tabular-classification",
    "float": "tabular-regression",
}
_LISTED = 100


def dataset_card(facts: ArtifactFacts) -> str:
    """Return the card: front matter that `huggingface_hub.DatasetCard` reads, and a page for people."""
    import yaml

    front = yaml.safe_dump(_front(facts), sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{front}---\n\n{_page(facts)}"


def _front(facts: ArtifactFacts) -> dict[str, Any]:
    front: dict[str, Any] = {"pretty_name": _line(facts.name)}
    if facts.splits:
        front["size_categories"] = [next((name for most, name in _SIZES if facts.records < most), "n>1T")]
    task = "text-classification" if _has_text(facts) and facts.label_kind == "class" else None
    if task or facts.label_kind in _TASKS:
        front["task_categories"] = [task or _TASKS[str(facts.label_kind)]]
    front["tags"] = ["nexa-data", "arrow"]
    if facts.splits:
        files = [{"split": split, "path": _glob(facts, split)} for split in facts.splits]
        front["configs"] = [{"config_name": "default", "data_files": files}]
        front["dataset_info"] = {
            "features": [_feature(column) for column in facts.columns],
            "splits": [
                {"name": split, "num_bytes": found.bytes, "num_examples": found.records}
                for split, found in facts.splits.items()
            ],
            "dataset_size": facts.bytes,
        }
    return front


def _has_text(facts: ArtifactFacts) -> bool:
    return any(column.dtype in {"string", "large_string"} for column in facts.columns)


def _glob(facts: ArtifactFacts, split: str) -> str | list[str]:
    names = [name for name, _, _ in facts.splits[split].files]
    pattern = re.compile(rf"shards/{re.escape(split)}-\d+\.arrow")
    return f"shards/{split}-*.arrow" if all(map(pattern.fullmatch, names)) else names


def _feature(column: ColumnFacts) -> dict[str, Any]:
    if column.classes:
        names = {str(number): _line(name) for number, name in enumerate(column.classes)}
        return {"name": column.name, "dtype": {"class_label": {"names": names}}}
    if len(column.shape) == 1:
        return {"name": column.name, "sequence": column.dtype, "length": column.shape[0]}
    if column.shape:
        kind = {"shape": list(column.shape), "dtype": column.dtype}
        return {"name": column.name, "dtype": {f"array{len(column.shape)}d": kind}}
    return {"name": column.name, "dtype": column.dtype}


def _page(facts: ArtifactFacts) -> str:
    version = f", version {_text(facts.version)}" if facts.version else ""
    head = (
        f"# {_text(facts.name)}\n\nAn artifact of kind {_text(facts.kind)}{version}, made with nexa-data: Arrow shards with a "
        "catalog (`catalog.jsonl`), what they were made from (`meta.json`), and a description by MLCommons Croissant "
        "(`croissant.json`)."
    )
    parts = [head]
    if facts.verdict is not None:
        said = "no findings" if not facts.verdict[1] else f"{facts.verdict[1]} findings"
        parts.append(f"Quality when it was made: {_text(facts.verdict[0])}, {said} (`quality_report.json`).")
    if facts.splits:
        rows = [
            f"| {_text(split)} | {found.records:,} | {len(found.files):,} | {found.bytes:,} |"
            for split, found in facts.splits.items()
        ]
        parts.append(
            "## Splits\n\n| split | records | shards | bytes |\n|---|---:|---:|---:|\n" + "\n".join(rows)
        )
    if facts.columns:
        rows = [
            f"| {_text(each.name)} | {_text(each.dtype)} | {' × '.join(map(str, each.shape)) or 'scalar'} | {_classes(each)} |"
            for each in facts.columns[:_LISTED]
        ]
        parts.append(
            "## Columns\n\n| column | type | shape | classes |\n|---|---|---|---|\n" + "\n".join(rows)
        )
    source = facts.metadata.get("source")
    if source:
        listed = source if isinstance(source, list) else [source]
        parts.append("## Source\n\n" + "\n".join(f"- {_text(each)}" for each in listed[:_LISTED]))
    if facts.splits:
        split = next(iter(facts.splits))
        parts.append(
            "## Loading\n\n```python\nfrom datasets import load_dataset\n\n"
            f'dataset = load_dataset("PATH_OR_NAME", split={split!r})\n```\n\n'
            "In a training loop nexa-data hands out its batches without a copy: name `catalog.jsonl` as `data.source_uri`."
        )
    return "\n\n".join(parts) + "\n"


def _classes(column: ColumnFacts) -> str:
    if column.classes:
        more = ", …" if len(column.classes) > 20 else ""  # noqa: PLR2004 (more names than a line has room for)
        return ", ".join(map(_text, column.classes[:20])) + more
    return "" if column.num_classes is None else f"{column.num_classes}"


def _line(text: Any) -> str:
    """Return a text on one line, without control characters."""
    return "".join(each if each.isprintable() else " " for each in str(text)).strip()[:500] or "-"


def _text(value: Any) -> str:
    """Return a text as Markdown shows it, whatever is in it: no markup, no HTML, no second cell."""
    escaped = _line(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return (
        re.sub(r"([\\`*_{}\[\]()#+!|~-])", r"\\\1", escaped)
        if re.search(r"[\\`*_{}\[\]()#!|~]", escaped)
        else escaped
    )
