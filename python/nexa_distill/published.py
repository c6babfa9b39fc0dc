"""Answers of an earlier artifact, back as the bodies they were: whoever has them in Parquet doesn't pay again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexa_distill.output_file import OUTPUTS_NAME
from nexa_distill.outputs import ANSWER_COLUMNS, LOGPROB_COLUMNS
from nexa_distill.plan import KEY_COLUMN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["published_answers"]

_WANTED = (KEY_COLUMN, "sample", "status", "teacher_output", "attempt", *ANSWER_COLUMNS, *LOGPROB_COLUMNS)
_ANSWERED = frozenset({"ok", "rejected"})
_ROWS = 1024


def published_answers(artifact: Path) -> Iterator[tuple[bytes, int, int, bytes]]:
    """Return (key, attempt, latency in microseconds, body) of each answered request of an artifact, lazily.

    A body says what the artifact says, in the shape of the API's; requests with a missing answer are left out.
    """
    import orjson

    for rows in _requests(artifact):
        if all(row["status"] in _ANSWERED for row in rows):
            first = rows[0]
            body = orjson.dumps(_body(rows), option=orjson.OPT_SERIALIZE_NUMPY)
            latency_us = int((first.get("latency_ms") or 0.0) * 1000)
            yield bytes.fromhex(first[KEY_COLUMN]), first.get("attempt") or 1, latency_us, body


def _requests(artifact: Path) -> Iterator[list[dict[str, Any]]]:
    """Return the rows of each request together."""
    import pyarrow.parquet as pq

    gathered: list[dict[str, Any]] = []
    with pq.ParquetFile(artifact / OUTPUTS_NAME) as parquet:
        names = [name for name in _WANTED if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(batch_size=_ROWS, columns=names):
            for row in batch.to_pylist():
                if gathered and row[KEY_COLUMN] != gathered[0][KEY_COLUMN]:
                    yield gathered
                    gathered = []
                gathered.append(row)
    if gathered:
        yield gathered


def _body(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = rows[0]
    usage = {name: first.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    return {
        "model": first.get("model_id"),
        "system_fingerprint": first.get("system_fingerprint"),
        "usage": {name: count for name, count in usage.items() if count is not None},
        "choices": [_choice(row) for row in rows],
    }


def _choice(row: Mapping[str, Any]) -> dict[str, Any]:
    import orjson

    message = {"role": "assistant", "content": row["teacher_output"]}
    message |= {"reasoning_content": row.get("reasoning"), "refusal": row.get("refusal")}
    if row.get("tool_calls"):
        message["tool_calls"] = orjson.loads(row["tool_calls"])
    return {
        "index": row.get("sample") or 0,
        "message": message,
        "finish_reason": row.get("finish_reason"),
        "logprobs": _logprobs(row),
    }


def _logprobs(row: Mapping[str, Any]) -> dict[str, Any] | None:
    tokens = row.get("token_bytes")
    if tokens is None:
        return None
    ids = row["token_ids"] or [None] * len(tokens)
    tops = zip(row["top_bytes"], row["top_ids"] or [None] * len(tokens), row["top_logprobs"], strict=True)
    content = []
    for token, number, logprob, (texts, numbers, logprobs) in zip(
        tokens, ids, row["token_logprobs"], tops, strict=True
    ):
        shown = zip(texts, numbers or [None] * len(texts), logprobs, strict=True)
        content.append({**_token(token, number, logprob), "top_logprobs": [_token(*each) for each in shown]})
    return {"content": content}


def _token(text: bytes, number: int | None, logprob: float) -> dict[str, Any]:
    import numpy as np

    # float32 in its shortest digits: what is computed from it is the same as before.
    token = {"token": text.decode(errors="replace"), "bytes": list(text), "logprob": np.float32(logprob)}
    return token if number is None else {**token, "id": number}
