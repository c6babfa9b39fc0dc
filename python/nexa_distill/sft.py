"""Answers as chats to fine-tune on: one `{"messages": […]}` a line, as trainers read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexa_distill.output_file import OUTPUTS_NAME
from nexa_distill.plan import KEY_COLUMN
from nexa_distill.request import KEY_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from nexa_distill.plan import Plan

__all__ = ["SFT_NAME", "write_sft"]

SFT_NAME = "sft.jsonl"
"""File with the chats."""

_ROWS = 1024


def write_sft(folder: Path, plan: Plan) -> int:
    """Write a line for each row of `folder`'s outputs whose status is `ok`; returns how many.

    A chat is the request's messages and the answer, with its reasoning and its tool calls where there are any.
    """
    import orjson
    import pyarrow.parquet as pq

    places = {
        bytes(plan.keys[at : at + KEY_BYTES]): at // KEY_BYTES for at in range(0, len(plan.keys), KEY_BYTES)
    }
    columns = [KEY_COLUMN, "status", "teacher_output", "reasoning", "tool_calls"]
    lines = 0
    with pq.ParquetFile(folder / OUTPUTS_NAME) as parquet, (folder / SFT_NAME).open("wb") as file:
        for batch in parquet.iter_batches(batch_size=_ROWS, columns=columns):
            for row in batch.to_pylist():
                if row["status"] != "ok":
                    continue
                asked = orjson.loads(plan.request(places[bytes.fromhex(row[KEY_COLUMN])]).asked)
                asked["messages"].append(_answer(row))
                file.write(orjson.dumps(asked, option=orjson.OPT_APPEND_NEWLINE))
                lines += 1
    return lines


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    import orjson

    answer = {"role": "assistant", "content": row["teacher_output"]}
    if row["reasoning"]:
        answer["reasoning_content"] = row["reasoning"]
    if row["tool_calls"]:
        answer["tool_calls"] = orjson.loads(row["tool_calls"])
    return answer
