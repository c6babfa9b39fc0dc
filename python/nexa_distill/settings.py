"""What a teacher is asked for, how patiently, and for how much, checked once before anything is sent."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nexa_data.errors import ConfigError

from nexa_distill.budget import Bounds, Budget, Price
from nexa_distill.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_TOP_LOGPROBS", "TeacherSettings"]

MAX_TOP_LOGPROBS = 20
"""Most alternatives per token that the chat completions API gives."""

_OURS = frozenset({"model", "messages", "stream"})
_FIELDS = frozenset(
    {"temperature", "top_p", "max_tokens", "seed", "n", "logprobs", "top_logprobs", "response_format"}
)
_POLICIES = ("ask", "never", "always")


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherSettings:
    """One teacher's model, sampling parameters and retry policy.

    Args:
        model: Name of the model as the endpoint knows it.
        temperature: Sampling temperature in [0, 2]; None leaves it to the endpoint.
        top_p: Nucleus sampling share in (0, 1]; None leaves it to the endpoint.
        max_tokens: Most tokens per answer; None leaves it to the endpoint. Models that know only
            `max_completion_tokens` take it through `extra_body`.
        seed: Seed for endpoints that honour one.
        logprobs: Ask for the log probability of each answered token.
        top_logprobs: Alternatives per token, 0 to 20; needs (and implies) `logprobs`.
        labels: Label set of a classifier. Implies `logprobs` and, unless given, `top_logprobs=20`; the
            distribution is read from the answer's first token, so `max_tokens=1` is enough. The labels
            don't change what is asked: another label set reuses the same answers.
        n: Answers per prompt, drawn in one request, so that the prompt is paid for once.
        response_format: Structured output as the API takes it, such as `{"type": "json_object"}`.
        extra_body: Further fields of the request body, such as `tools`; part of a request's identity.
        concurrency: The most requests in flight at once. Fewer are, while the endpoint asks for less. 64 is
            what common rate limits let through.
        requests_per_minute: The most requests per minute; None: what the endpoint's headers say.
        tokens_per_minute: The most tokens per minute, prompt and answer together; None as above.
        budget: The most that the run may spend over all its sessions.
        price: Price of the model's tokens; needed for a budget in money, and for a cost in the report.
        timeout_s: Longest time for one attempt, from sending to the last byte of the answer.
        max_attempts: Attempts per request in one session, the first included.
        retry_base_s: Wait before the second attempt; doubles with each further one, with jitter.
        retry_max_s: Longest wait of our own choosing between two attempts.
        retry_after_max_s: Longest wait that the endpoint may impose by `Retry-After`; beyond it the run
            stops, resumable, rather than hang.
        resend_unknown: What to do with a request that was sent and whose answer was lost (a kill, a reset): it
            may have been paid for. `always` sends it again, `never` leaves it, `ask` lets the caller decide.
        breaker_failures: Failures of the endpoint's own in a row after which it counts as down.
        outage_s: Longest outage that is waited for; then the run stops, resumable.
        gate: What an answer must be like; what isn't is kept, marked as rejected.

    Raises:
        ConfigError: A value is impossible; the message names it.

    Example:
        >>> TeacherSettings(model="m", labels=("A", "B")).parameters()
        {'logprobs': True, 'top_logprobs': 20}
    """

    model: str
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    n: int = 1
    logprobs: bool = False
    top_logprobs: int | None = None
    labels: tuple[str, ...] = ()
    response_format: Mapping[str, Any] | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 64
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    budget: Budget = field(default_factory=Budget)
    price: Price | None = None
    timeout_s: float = 120.0
    max_attempts: int = 6
    retry_base_s: float = 0.5
    retry_max_s: float = 60.0
    retry_after_max_s: float = 600.0
    resend_unknown: Literal["ask", "never", "always"] = "ask"
    breaker_failures: int = 20
    outage_s: float = 120.0
    gate: Gate = field(default_factory=Gate)

    def __post_init__(self) -> None:
        """Fill in what labels imply, then check every value."""
        if isinstance(self.labels, str):
            raise ConfigError(
                f"labels is the string {self.labels!r}", remedy='name a list, such as ["yes", "no"]'
            )
        object.__setattr__(self, "labels", tuple(self.labels))
        if self.labels and self.top_logprobs is None:
            object.__setattr__(self, "top_logprobs", MAX_TOP_LOGPROBS)
        if self.top_logprobs is not None:
            object.__setattr__(self, "logprobs", True)
        self._check_numbers()
        self._check_labels()
        self._check_extra_body()
        self._check_budget()

    def parameters(self) -> dict[str, Any]:
        """Return the body fields beside `model` and `messages`; what is None isn't sent."""
        named = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "n": self.n if self.n > 1 else None,
            "response_format": None if self.response_format is None else dict(self.response_format),
            "logprobs": self.logprobs or None,
            "top_logprobs": self.top_logprobs,
        }
        return {**{name: value for name, value in named.items() if value is not None}, **self.extra_body}

    def bounds(self, body_bytes: int) -> Bounds:
        """Return the worst that a request can use.

        A prompt has at most as many tokens as its body has bytes in UTF-8; an answer at most `max_tokens`, which
        stands in `extra_body` as `max_completion_tokens` for models that know only that.
        """
        per_answer = self.max_tokens or self.extra_body.get("max_completion_tokens") or 0
        return Bounds(body_bytes, int(per_answer) * self.n)

    def _check_numbers(self) -> None:
        if not self.model:
            raise ConfigError("model is empty", remedy="name the model as the endpoint knows it")
        _within("temperature", self.temperature, 0.0, 2.0)
        _within("top_p", self.top_p, 0.0, 1.0)
        _within("max_tokens", self.max_tokens, 1, math.inf)
        _within("top_logprobs", self.top_logprobs, 0, MAX_TOP_LOGPROBS)
        _within("n", self.n, 1, 128)
        _within("concurrency", self.concurrency, 1, 1000)
        _within("requests_per_minute", self.requests_per_minute, 1e-3, math.inf)
        _within("tokens_per_minute", self.tokens_per_minute, 1.0, math.inf)
        _within("breaker_failures", self.breaker_failures, 1, 1_000_000)
        _within("outage_s", self.outage_s, 0.0, 86400.0)
        _within("timeout_s", self.timeout_s, 1e-3, math.inf)
        _within("max_attempts", self.max_attempts, 1, 100)
        _within("retry_base_s", self.retry_base_s, 0.0, 3600.0)
        _within("retry_max_s", self.retry_max_s, 0.0, 3600.0)
        _within("retry_after_max_s", self.retry_after_max_s, 0.0, 86400.0)

    def _check_labels(self) -> None:
        stripped = [label.strip() for label in self.labels]
        if any(not label for label in stripped) or len(set(stripped)) != len(stripped) or len(stripped) == 1:
            raise ConfigError(
                f"labels {list(self.labels)} are empty, alone or the same but for space around them",
                remedy="name at least two labels that differ",
            )
        if self.labels and self.top_logprobs == 0:
            raise ConfigError(
                "labels need alternatives, but top_logprobs is 0", remedy="leave it out or set it to 20"
            )

    def _is_free(self, name: str) -> bool:
        """Return whether a field that has a setting may stand in `extra_body`: its setting isn't used."""
        return name == "response_format" and self.response_format is None

    def _check_budget(self) -> None:
        if self.resend_unknown not in _POLICIES:
            raise ConfigError(
                f"resend_unknown is {self.resend_unknown!r}", remedy=f"set it to {', '.join(_POLICIES)}"
            )
        if self.budget.max_cost is not None and self.price is None:
            raise ConfigError(
                f"a budget in money needs the price of {self.model}",
                remedy="give prompt and completion price per million tokens (prices in a manifest)",
            )
        if self.budget.bounds_tokens and not self.bounds(0).completion_tokens:
            raise ConfigError(
                "a budget of money or tokens needs max_tokens: without it an answer has no worst case",
                remedy="set max_tokens (max_completion_tokens in extra_body for models that know only that)",
            )

    def _check_extra_body(self) -> None:
        for name in self.extra_body:
            if name in _OURS or (name in _FIELDS and not self._is_free(name)):
                what = "is a setting of its own" if name in _FIELDS else "is set by the collector"
                raise ConfigError(f"extra_body.{name} {what}", remedy=f"take `{name}` out of extra_body")


def _within(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not (isinstance(value, int | float) and low <= value <= high):
        raise ConfigError(f"{name} is {value!r}", remedy=f"set it between {low:g} and {high:g}")
