"""What one session of asking did."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Outcome"]


@dataclass(slots=True)
class Outcome:
    """Rows and requests of one session.

    Args:
        ok: Rows answered in this session.
        reused: Rows whose answer was there before.
        failed: Rows that the endpoint refused, or that used up their attempts.
        unknown: Rows that were sent and whose answer is lost; not asked again.
        requests: Requests sent.
        lost: Requests that may have been answered, and paid for, without an answer reaching us.
        prompt_tokens: Prompt tokens of this session's answers.
        completion_tokens: Answered tokens of this session's answers.
        wall_s: Seconds from the first request to the last answer.
        first_error: Why the first row that has no answer has none.
    """

    ok: int = 0
    reused: int = 0
    failed: int = 0
    unknown: int = 0
    requests: int = 0
    lost: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    wall_s: float = 0.0
    first_error: str | None = None

    @property
    def done(self) -> int:
        """Rows that are finished."""
        return self.ok + self.reused + self.failed + self.unknown

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a manifest."""
        values = asdict(self)
        del values["first_error"]
        return {**values, "wall_s": round(self.wall_s, 3)}

    def with_second_pass(self, second: Outcome) -> Outcome:
        """Return both passes of a session as one: the second asked for what was unknown after the first."""
        return Outcome(
            ok=self.ok + second.ok,
            reused=self.reused,
            failed=second.failed,
            unknown=second.unknown,
            requests=self.requests + second.requests,
            lost=self.lost + second.lost,
            prompt_tokens=self.prompt_tokens + second.prompt_tokens,
            completion_tokens=self.completion_tokens + second.completion_tokens,
            wall_s=self.wall_s + second.wall_s,
            first_error=second.first_error,
        )
