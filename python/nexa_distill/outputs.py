"""The published form of a collection: Parquet in the requests' order, and a manifest of how it came about."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from nexa_distill.answer import Answer
from nexa_distill.plan import KEY_COLUMN
from nexa_distill.soft_targets import LABELS_METADATA, OUTPUTS_NAME, label_distribution

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from nexa_distill.ask import Outcome
    from nexa_distill.journal import AnswerJournal
    from nexa_distill.plan import Plan
    from nexa_distill.settings import TeacherSettings

__all__ = [
    "MANIFEST_NAME",
    "OUTPUT_COLUMNS",
    "Counts",
    "published_answers",
    "write_manifest",
    "write_outputs",
]

MANIFEST_NAME = "manifest.json"

OUTPUT_COLUMNS = frozenset(
    {
        KEY_COLUMN,
        "teacher_output",
        "model_id",
        "latency_ms",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "finish_reason",
        "system_fingerprint",
        "attempt",
        "status",
        "error",
        "logprobs",
        "label_probs",
        "residual_mass",
    }
)
"""Column names that no carried column may have."""

_ANSWER_FIELDS = (
    "model_id",
    "latency_ms",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "finish_reason",
    "system_fingerprint",
    "attempt",
)


@dataclass(slots=True)
class Counts:
    """What the rows of an output add up to; tokens are those of its answers, whichever run paid for them."""

    rows: int = 0
    ok: int = 0
    failed: int = 0
    length: int = 0
    without_label: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


def write_outputs(
    folder: Path, plan: Plan, journal: AnswerJournal, outcome: Outcome, settings: TeacherSettings
) -> Counts:
    """Write the rows of `plan` with their answers to `teacher_outputs.parquet` in `folder`.

    Args:
        folder: Folder to write into.
        plan: The rows and their carried columns.
        journal: The answers.
        outcome: The failures.
        settings: What was asked; decides about the columns for log probabilities and labels.

    Returns:
        What the rows add up to.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    counts = Counts()
    answered = _answer_schema(settings)
    carried = [field for field in plan.schema if field.name != KEY_COLUMN]
    metadata = {LABELS_METADATA: json.dumps(list(settings.labels))} if settings.labels else None
    schema = pa.schema([*carried, plan.schema.field(KEY_COLUMN), *answered], metadata=metadata)
    with pq.ParquetWriter(folder / OUTPUTS_NAME, schema, compression="zstd") as writer:
        for table in plan.tables():
            rows = [
                _row(key, counts, journal, outcome, settings) for key in table.column(KEY_COLUMN).to_pylist()
            ]
            answers = pa.Table.from_pylist(rows, schema=answered)
            columns = {name: table.column(name) for name in table.column_names}
            columns |= {name: answers.column(name) for name in answered.names}
            writer.write_table(pa.table([columns[name] for name in schema.names], schema=schema))
    return counts


def _answer_schema(settings: TeacherSettings) -> pa.Schema:
    import pyarrow as pa

    fields = [
        ("teacher_output", pa.string()),
        ("model_id", pa.string()),
        ("latency_ms", pa.float64()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("total_tokens", pa.int64()),
        ("finish_reason", pa.string()),
        ("system_fingerprint", pa.string()),
        ("attempt", pa.int32()),
        ("status", pa.string()),
        ("error", pa.string()),
    ]
    if settings.logprobs:
        token = [("token", pa.string()), ("logprob", pa.float32())]
        fields.append(("logprobs", pa.list_(pa.struct([*token, ("top", pa.list_(pa.struct(token)))]))))
    if settings.labels:
        fields += [("label_probs", pa.list_(pa.float32())), ("residual_mass", pa.float32())]
    return pa.schema(fields)


def _row(
    key: str, counts: Counts, journal: AnswerJournal, outcome: Outcome, settings: TeacherSettings
) -> dict[str, Any]:
    index = counts.rows
    counts.rows += 1
    if key not in journal:
        failure = outcome.failures[index]
        counts.failed += 1
        return {"attempt": failure.attempt, "status": "failed", "error": failure.error}
    answer = Answer(**journal.read(key))
    counts.ok += 1
    counts.length += answer.finish_reason == "length"
    counts.prompt_tokens += answer.prompt_tokens or 0
    counts.completion_tokens += answer.completion_tokens or 0
    row = {name: getattr(answer, name) for name in (*_ANSWER_FIELDS, "logprobs")}
    row |= {"teacher_output": answer.text, "status": "ok"}
    if settings.labels:
        found = label_distribution(answer.first_token(), settings.labels)
        counts.without_label += not found.seen
        row |= {"label_probs": found.probabilities, "residual_mass": found.residual_mass}
    return row


def write_manifest(folder: Path, inputs: Mapping[str, Any], outcome: Outcome, counts: Counts) -> None:
    """Write `manifest.json`: what was asked, what came of it, and what this run did. It holds no key."""
    document = {
        "schema_version": 1,
        **inputs,
        "counts": asdict(counts),
        "run": {
            "answered": outcome.ok,
            "reused": outcome.reused,
            "failed": len(outcome.failures),
            "requests_sent": outcome.requests,
            "sent_but_lost": outcome.lost,
            "wall_s": round(outcome.wall_s, 3),
        },
    }
    (folder / MANIFEST_NAME).write_text(
        json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n"
    )


def published_answers(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return (request key, answer) of each answered row of an earlier output: nobody pays for it again."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as parquet:
        names = set(parquet.schema_arrow.names)
        wanted = [
            name
            for name in (KEY_COLUMN, "status", "teacher_output", "logprobs", *_ANSWER_FIELDS)
            if name in names
        ]
        for batch in parquet.iter_batches(batch_size=4096, columns=wanted):
            for row in batch.to_pylist():
                key, status, text = row.pop(KEY_COLUMN), row.pop("status"), row.pop("teacher_output")
                if status == "ok":
                    yield key, Answer(text=text, **row).as_dict()
