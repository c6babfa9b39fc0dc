"""What the teacher answers: chat completions as common servers write them, small ones and ones full of log probabilities."""

from __future__ import annotations

import json
import random
from typing import Any

SEED = 7
TOKENS, ALTERNATIVES = 64, 20
_WORDS = (
    "river",
    "stone",
    "because",
    "the",
    "answer",
    "is",
    "often",
    "found",
    "between",
    "two",
    "of",
    "these",
    "and",
)


def small() -> bytes:
    """Return an answer of a few words, some 600 bytes."""
    return _body(_text(random.Random(SEED), 100), None)  # noqa: S311 (nothing is secret here)


def logprobs() -> bytes:
    """Return an answer of 64 tokens with 20 alternatives each, some 100 KB."""
    chance = random.Random(SEED)  # noqa: S311
    content = [
        {**_token(chance), "top_logprobs": [_token(chance) for _ in range(ALTERNATIVES)]}
        for _ in range(TOKENS)
    ]
    return _body("".join(token["token"] for token in content), {"content": content, "refusal": None})


def of_bytes(chance: random.Random, size: int, *, packable: bool) -> bytes:
    """Return an answer of about `size` bytes: of words, which compression makes smaller, or of letters in no order."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    length = size - len(_body("", None))
    return _body(_text(chance, length) if packable else "".join(chance.choices(letters, k=length)), None)


def _body(text: str, found: dict[str, Any] | None) -> bytes:
    document = {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion",
        "created": 1741569952,
        "model": "teacher-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None, "annotations": []},
                "logprobs": found,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 19,
            "completion_tokens": 64,
            "total_tokens": 83,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": "fp_44709d6fcb",
    }
    return json.dumps(document).encode()


def _text(chance: random.Random, length: int) -> str:
    text = ""
    while len(text) < length:
        text += f"{chance.choice(_WORDS)}{chance.randrange(1000) if chance.random() < 0.1 else ''} "
    return text[:length]


def _token(chance: random.Random) -> dict[str, Any]:
    text = f" {chance.choice(_WORDS)}"
    return {"token": text, "logprob": -20 * chance.random(), "bytes": list(text.encode())}
