"""The published form of a collection: Parquet in the requests' order, and a manifest of how it came about."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from nexa_distill.keeper import State
from nexa_distill.label_mass import label_mass
from nexa_distill.output_file import LABELS_METADATA, OUTPUTS_NAME
from nexa_distill.plan import KEY_COLUMN, NO_COLUMNS
from nexa_distill.request import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa
    from nexa_data._core import TeacherJournal

    from nexa_distill.gate import GateKeeper
    from nexa_distill.plan import Plan
    from nexa_distill.settings import TeacherSettings

__all__ = [
    "MANIFEST_NAME",
    "OUTPUT_COLUMNS",
    "Counts",
    "counts_dict",
    "counts_of",
    "write_manifest",
    "write_outputs",
]

MANIFEST_NAME = "manifest.json"
"""File of an artifact of kind `teacher-outputs` that says how it came about."""

LOGPROB_COLUMNS = ("token_bytes", "token_ids", "token_logprobs", "top_bytes", "top_ids", "top_logprobs")
"""Columns of what was said of each token; ids are null where the endpoint gives none."""

ANSWER_COLUMNS = (
    "model_id",
    "latency_ms",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "finish_reason",
    "system_fingerprint",
    "reasoning",
    "tool_calls",
    "refusal",
)
"""Columns of what an answer said beside its text."""

OUTPUT_COLUMNS = frozenset(
    {
        KEY_COLUMN,
        "sample",
        "teacher_output",
        "attempt",
        "status",
        "error",
        "label_probs",
        "residual_mass",
        *ANSWER_COLUMNS,
        *LOGPROB_COLUMNS,
    }
)
"""Column names that no carried column may have."""

_KEYS_PER_DECODE = 1024
_KEYS_PER_DECODE_WITH_LOGPROBS = 128
_NOT_ASKED = "it wasn't asked"
_PURGED = "its answer was purged, and no artifact that holds it was found"
_FEW_CHOICES = "the endpoint gave fewer answers than were asked for"


@dataclass(slots=True)
class Counts:
    """What the rows of an output add up to; tokens are those of its answers, whichever run paid for them.

    Args:
        rows: Rows of the output: requests, times answers per request.
        ok: Rows with an answer that is used.
        failed: Rows that the endpoint refused.
        unknown: Rows that were sent and whose answer is lost.
        rejected: Rows whose answer the quality gate refused; the answer stands beside the reason.
        length: Answers that were cut at `max_tokens`.
        without_label: Answers without any label among their alternatives.
        prompt_tokens: Prompt tokens of all answers; those of `n` answers to one prompt count once.
        completion_tokens: Answered tokens.
    """

    rows: int = 0
    ok: int = 0
    failed: int = 0
    unknown: int = 0
    rejected: int = 0
    length: int = 0
    without_label: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


def write_outputs(folder: Path, plan: Plan, journal: TeacherJournal, settings: TeacherSettings) -> Counts:
    """Write the rows of `plan` with their answers to `teacher_outputs.parquet` in `folder`.

    Args:
        folder: Folder to write into.
        plan: The rows and their carried columns.
        journal: The answers.
        settings: What was asked; decides about the columns for log probabilities and labels.

    Returns:
        What the rows add up to.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = _OutputWriter(plan, journal, settings)
    metadata = {LABELS_METADATA: json.dumps(list(settings.labels))} if settings.labels else None
    carried = [field for field in plan.schema if field.name != NO_COLUMNS]
    schema = pa.schema([*carried, *writer.fields], metadata=metadata)
    first = 0
    with pq.ParquetWriter(folder / OUTPUTS_NAME, schema, compression="zstd") as file:
        for table in plan.tables():
            for start in range(0, table.num_rows, writer.keys_per_decode):
                piece = table.slice(start, writer.keys_per_decode)
                file.write_table(writer.table(piece, first + start, schema))
            first += table.num_rows
    return writer.counts


class _OutputWriter:
    """Joins carried columns with decoded answers, a piece at a time."""

    def __init__(self, plan: Plan, journal: TeacherJournal, settings: TeacherSettings) -> None:
        self.counts = Counts()
        self._plan = plan
        self._journal = journal
        self._settings = settings
        self._gate: GateKeeper | None = None if settings.gate.idle else settings.gate.keeper()
        self.keys_per_decode = _KEYS_PER_DECODE_WITH_LOGPROBS if settings.logprobs else _KEYS_PER_DECODE
        self.fields = _fields(settings)

    def table(self, carried: pa.Table, first: int, schema: pa.Schema) -> pa.Table:
        """Return the output of the requests from `first` on, one row per answer."""
        import pyarrow as pa

        keys = bytes(self._plan.keys[first * KEY_BYTES : (first + carried.num_rows) * KEY_BYTES])
        batch = self._journal.completions(keys, logprobs=self._settings.logprobs)
        decoded = pa.Table.from_batches([pa.record_batch(batch)])
        answers, index = self._every_choice(decoded, carried.num_rows)
        columns = {name: answers.column(name) for name in answers.column_names}
        # After the decoded ones, of which some (text, state) have names that a carried column may have.
        columns |= {name: carried.column(name).take(index) for name in carried.column_names}
        hexed = pa.array([keys[at : at + KEY_BYTES].hex() for at in range(0, len(keys), KEY_BYTES)])
        columns[KEY_COLUMN] = hexed.take(index)
        columns["teacher_output"] = answers.column("text")
        if self._settings.n > 1:
            columns["sample"] = answers.column("choice")
        columns |= self._judged(answers, index.to_pylist(), first)
        if self._settings.labels:
            columns |= self._labelled(answers)
        return pa.table([columns[field.name].cast(field.type) for field in schema], schema=schema)

    def _every_choice(self, decoded: pa.Table, n_keys: int) -> tuple[pa.Table, pa.Array]:
        """Return `n` rows per request, those that the endpoint didn't give as nulls, and each row's request."""
        import pyarrow as pa

        n = self._settings.n
        keys, choices = _counted(n_keys, n)
        choice = decoded["choice"].fill_null(0)
        if decoded["key_index"].cast(pa.int64()).equals(keys) and choice.equals(choices):
            return decoded.set_column(
                decoded.schema.get_field_index("choice"), "choice", choices
            ), keys.chunk(0)
        found = list(zip(decoded["key_index"].to_pylist(), decoded["choice"].to_pylist(), strict=True))
        places = {(key, choice or 0): row for row, (key, choice) in enumerate(found)}
        wanted = [(key, choice) for key in range(n_keys) for choice in range(n)]
        rows = [places.get(each) for each in wanted]
        answers = decoded.take(pa.array(rows, pa.int64()))
        choices = pa.array([choice for _, choice in wanted], pa.int32())
        answers = answers.set_column(answers.schema.get_field_index("choice"), "choice", choices)
        return answers, pa.array([key for key, _ in wanted], pa.int64())

    def _judged(self, answers: pa.Table, index: list[int], first: int) -> dict[str, pa.Array]:
        """Return `status`, `error` and `attempt` of each row, and count it."""
        import pyarrow as pa

        if self._gate is None and not answers.column("attempt").null_count:
            return self._all_ok(answers)
        statuses: list[str] = []
        errors: list[str | None] = []
        attempts: list[int | None] = []
        named = (
            "finish_reason",
            "text",
            "refusal",
            "prompt_tokens",
            "completion_tokens",
            "choice",
            "attempt",
            "error",
        )
        columns = [answers.column(name).to_pylist() for name in named]
        for offset, finish, text, refusal, prompt, completion, choice, attempt, unread in zip(
            index, *columns, strict=True
        ):
            status, error = self._status(self._plan.key(first + offset), attempt, unread)
            if status == "ok":
                self.counts.length += finish == "length"
                if choice == 0:
                    self.counts.prompt_tokens += prompt or 0
                    self.counts.completion_tokens += completion or 0
                error = None
                if self._gate is not None:
                    error = self._gate.judge(text, refusal=refusal, finish_reason=finish)
                status = "rejected" if error else "ok"
            self.counts.rows += 1
            setattr(self.counts, status, getattr(self.counts, status) + 1)
            statuses.append(status)
            errors.append(error)
            attempts.append(attempt or self._journal.attempt(self._plan.key(first + offset)) or None)
        return {
            "status": pa.array(statuses),
            "error": pa.array(errors, pa.string()),
            "attempt": pa.array(attempts, pa.int32()),
        }

    def _all_ok(self, answers: pa.Table) -> dict[str, pa.Array]:
        """Judge rows of which every one has an answer, where none is refused: no row is looked at alone."""
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = answers.num_rows
        self.counts.rows += rows
        self.counts.ok += rows
        self.counts.length += pc.sum(pc.equal(answers.column("finish_reason"), "length")).as_py() or 0
        first = answers.filter(pc.equal(answers.column("choice"), 0))
        self.counts.prompt_tokens += pc.sum(first.column("prompt_tokens")).as_py() or 0
        self.counts.completion_tokens += pc.sum(first.column("completion_tokens")).as_py() or 0
        return {
            "status": pa.repeat("ok", rows),
            "error": pa.nulls(rows, pa.string()),
            "attempt": answers.column("attempt"),
        }

    def _status(self, key: bytes, attempt: int | None, unread: str | None) -> tuple[str, str | None]:
        """Return a row's status and why, from its request's state and what became of its decoding."""
        state = self._journal.state(key)
        if state == State.ANSWERED and unread is not None:
            return "unknown", unread
        if state == State.ANSWERED:
            return ("failed", _FEW_CHOICES) if attempt is None else ("ok", None)
        if state == State.PURGED:
            return "unknown", _PURGED
        if state in {State.OPEN, State.LOST}:
            return "unknown", self._journal.reason(key) or "interrupted"
        return "failed", self._journal.reason(key) or _NOT_ASKED

    def _labelled(self, answers: pa.Table) -> dict[str, pa.Array]:
        import pyarrow as pa

        labels = self._settings.labels
        probabilities: list[list[float] | None] = []
        residuals: list[float | None] = []
        tokens = answers.column("token_bytes").to_pylist()
        columns = [
            answers.column(name).to_pylist() for name in ("token_logprobs", "top_bytes", "top_logprobs")
        ]
        for sampled, own, texts, logprobs in zip(tokens, *columns, strict=True):
            if not sampled:
                probabilities.append(None)
                residuals.append(None)
                continue
            top = [
                [*zip(text, logprob, strict=True), (token, mine)]
                if token not in text
                else list(zip(text, logprob, strict=True))
                for token, mine, text, logprob in zip(sampled, own, texts, logprobs, strict=True)
            ]
            mass, residual = label_mass(top, sampled, labels)
            self.counts.without_label += not any(mass)
            probabilities.append(mass)
            residuals.append(residual)
        return {
            "label_probs": pa.array(probabilities, pa.list_(pa.float32())),
            "residual_mass": pa.array(residuals, pa.float32()),
        }


def _counted(n_keys: int, n: int) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return the request and the choice of each row where each request has all its answers, in order."""
    import numpy as np
    import pyarrow as pa

    keys = pa.array(np.repeat(np.arange(n_keys, dtype=np.int64), n))
    choices = pa.array(np.tile(np.arange(n, dtype=np.int32), n_keys))
    return pa.chunked_array([keys]), pa.chunked_array([choices])


def _fields(settings: TeacherSettings) -> list[pa.Field]:
    import pyarrow as pa

    named = [
        (KEY_COLUMN, pa.string()),
        ("teacher_output", pa.string()),
        ("model_id", pa.string()),
        ("latency_ms", pa.float64()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("total_tokens", pa.int64()),
        ("finish_reason", pa.string()),
        ("system_fingerprint", pa.string()),
        ("reasoning", pa.string()),
        ("tool_calls", pa.string()),
        ("refusal", pa.string()),
        ("attempt", pa.int32()),
        ("status", pa.string()),
        ("error", pa.string()),
    ]
    if settings.n > 1:
        named.insert(1, ("sample", pa.int32()))
    if settings.logprobs:
        each = dict(zip(LOGPROB_COLUMNS, (pa.binary(), pa.int32(), pa.float32()) * 2, strict=True))
        named += [
            (name, pa.list_(pa.list_(kind)) if name.startswith("top") else pa.list_(kind))
            for name, kind in each.items()
        ]
    if settings.labels:
        named += [("label_probs", pa.list_(pa.float32())), ("residual_mass", pa.float32())]
    return [pa.field(name, kind) for name, kind in named]


def write_manifest(folder: Path, told: Mapping[str, Any]) -> None:
    """Write `manifest.json`: what was asked, what came of it, and what this session did. It holds no key."""
    document = {"schema_version": 2, **told}
    (folder / MANIFEST_NAME).write_text(
        json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8"
    )


def counts_of(document: Mapping[str, Any]) -> Counts:
    """Return the counts in a manifest; those that an older one doesn't know are 0."""
    known = {field.name for field in fields(Counts)}
    return Counts(**{name: value for name, value in document.get("counts", {}).items() if name in known})


def counts_dict(counts: Counts) -> dict[str, int]:
    """Return plain values for a manifest."""
    return asdict(counts)
