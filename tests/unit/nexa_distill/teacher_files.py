"""Parquet files as the collector writes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SCHEMA = {
    "id": pa.string(),
    "truth": pa.string(),
    "number": pa.int64(),
    "vector": pa.list_(pa.float64()),
    "request_key": pa.string(),
    "teacher_output": pa.string(),
    "model_id": pa.string(),
    "finish_reason": pa.string(),
    "status": pa.string(),
    "error": pa.string(),
    "label_probs": pa.list_(pa.float32()),
    "residual_mass": pa.float32(),
    "token_bytes": pa.list_(pa.binary()),
    "token_ids": pa.list_(pa.int32()),
    "token_logprobs": pa.list_(pa.float32()),
    "top_bytes": pa.list_(pa.list_(pa.binary())),
    "top_ids": pa.list_(pa.list_(pa.int32())),
    "top_logprobs": pa.list_(pa.list_(pa.float32())),
}


def row(probs: Sequence[float] | None, **values: Any) -> dict[str, Any]:
    """Return a row with these raw probabilities; None: it has no answer."""
    if probs is None:
        return {"status": "failed", "error": "500", "label_probs": None, "residual_mass": None, **values}
    mass = min(1.0, max(0.0, 1.0 - sum(probs)))
    return {
        "status": "ok",
        "teacher_output": "A",
        "label_probs": list(probs),
        "residual_mass": mass,
        **values,
    }


def spoken(
    *tokens: tuple[bytes, float, dict[bytes, float]], ids: dict[bytes, int] | None = None
) -> dict[str, Any]:
    """Return a row of tokens: each its bytes, its logarithm, and those of its alternatives."""
    found: dict[str, Any] = {
        "status": "ok",
        "teacher_output": b"".join(token for token, _, _ in tokens).decode(),
        "token_bytes": [token for token, _, _ in tokens],
        "token_logprobs": [logprob for _, logprob, _ in tokens],
        "top_bytes": [list(top) for _, _, top in tokens],
        "top_logprobs": [list(top.values()) for _, _, top in tokens],
    }
    if ids is not None:
        found["token_ids"] = [ids[token] for token, _, _ in tokens]
        found["top_ids"] = [[ids[each] for each in top] for _, _, top in tokens]
    return found


def write(
    path: Path, rows: Sequence[dict[str, Any]], labels: Sequence[str] = ("A", "B"), **options: Any
) -> Path:
    """Write rows; columns that none of them has are left out."""
    there = {name: kind for name, kind in _SCHEMA.items() if any(name in each for each in rows)}
    schema = pa.schema(list(there.items()), metadata={"nexa.labels": json.dumps(list(labels))})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path, **options)
    return path
