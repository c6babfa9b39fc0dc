"""A teacher's answer: read from the raw body once, kept as plain values."""

from __future__ import annotations

from ctypes import c_float
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Answer", "BrokenAnswerError", "parse_answer"]


class BrokenAnswerError(ValueError):
    """A response of status 200 whose body isn't an answer; it may have been paid for all the same."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is kept of one answer.

    Args:
        text: The message's text; None where the teacher answered with something else, such as a tool call.
        model_id: Model that answered, as the endpoint names it.
        latency_ms: Time of the answering attempt.
        prompt_tokens: Tokens of the prompt; this and the next two are None where the endpoint doesn't count.
        completion_tokens: Tokens of the answer.
        total_tokens: Sum of both, as the endpoint says it.
        finish_reason: Why the answer ended: `stop`, `length` (cut at `max_tokens`, kept all the same), …
        system_fingerprint: The endpoint's own version.
        attempt: Which attempt was answered, counted from 1.
        logprobs: One `{token, logprob, top: [{token, logprob}]}` per token, rounded to float32;
            None if not asked.
    """

    text: str | None
    model_id: str | None
    latency_ms: float
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    finish_reason: str | None
    system_fingerprint: str | None
    attempt: int
    logprobs: list[dict[str, Any]] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        return asdict(self)

    def first_token(self) -> list[tuple[str, float]]:
        """Return (token, logprob) of the first token's alternatives, the sampled one among them."""
        if not self.logprobs:
            return []
        first = self.logprobs[0]
        found = {item["token"]: item["logprob"] for item in first["top"]}
        found.setdefault(first["token"], first["logprob"])
        return list(found.items())


def parse_answer(body: bytes, *, latency_ms: float, attempt: int) -> Answer:
    """Read the raw body of a chat completion.

    Args:
        body: The bytes as they came.
        latency_ms: Time of the attempt.
        attempt: Which attempt it was, counted from 1.

    Raises:
        BrokenAnswerError: The body isn't JSON (truncated, HTML), or has no message in it.
    """
    import orjson

    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BrokenAnswerError(f"the body isn't JSON ({len(body)} bytes: {error})") from error
    try:
        choice = document["choices"][0]
        text = choice["message"].get("content")
        usage = document.get("usage") or {}
        if text is not None and not isinstance(text, str):
            raise BrokenAnswerError(f"the message's content is a {type(text).__name__}, not text")
        return Answer(
            text=text,
            model_id=_text(document.get("model")),
            latency_ms=round(latency_ms, 3),
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
            total_tokens=_count(usage.get("total_tokens")),
            finish_reason=_text(choice.get("finish_reason")),
            system_fingerprint=_text(document.get("system_fingerprint")),
            attempt=attempt,
            logprobs=_logprobs(choice.get("logprobs")),
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise BrokenAnswerError(
            f"the body is JSON but no chat completion ({type(error).__name__}: {error})"
        ) from error


def _logprobs(found: Any) -> list[dict[str, Any]] | None:
    tokens = (found or {}).get("content")
    if tokens is None:
        return None
    return [
        {**_token(item), "top": [_token(top) for top in item.get("top_logprobs") or ()]} for item in tokens
    ]


def _token(item: Any) -> dict[str, Any]:
    # float32 here, as in the Parquet: what is computed from an answer is the same from either.
    return {"token": str(item["token"]), "logprob": c_float(item["logprob"]).value}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
