"""What a run may cost: the worst case is reserved before a request is sent, the true one settled afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nexa_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Bounds", "Budget", "Ledger", "Price", "Spend"]

_PER_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """Price of a model's tokens, in any currency, per million tokens.

    Args:
        prompt: Of the prompt.
        completion: Of the answer.

    Raises:
        ConfigError: A price is negative or not a number.
    """

    prompt: float
    completion: float

    def __post_init__(self) -> None:
        """Refuse what is no price."""
        for name in ("prompt", "completion"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
                raise ConfigError(
                    f"the {name} price is {value!r}",
                    remedy="give the price of a million tokens, such as 0.15",
                )

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return what so many tokens cost.

        Example:
            >>> Price(prompt=0.5, completion=2.0).of(1_000_000, 250_000)
            1.0
        """
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / _PER_MILLION


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a run may spend, over all its sessions; None is no limit.

    Args:
        max_cost: Money, in the currency of the price.
        max_tokens: Tokens, prompt and answer together.
        max_requests: Requests sent, failed ones and repeated ones included.
    """

    max_cost: float | None = None
    max_tokens: int | None = None
    max_requests: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no limit."""
        for name in ("max_cost", "max_tokens", "max_requests"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not 0 < value < float("inf")):
                raise ConfigError(f"budget.{name} is {value!r}", remedy="give a number above 0")

    @property
    def bounds_tokens(self) -> bool:
        """Whether an answer has to be bounded in length for the budget to hold."""
        return self.max_cost is not None or self.max_tokens is not None


@dataclass(frozen=True, slots=True)
class Bounds:
    """The worst that one request can use.

    Args:
        prompt_tokens: At most one token a byte of the body.
        completion_tokens: `max_tokens` times `n`; 0 where nothing bounds it and no budget asks.
    """

    prompt_tokens: int
    completion_tokens: int

    def packed(self) -> int:
        """Return both in one number, as the journal keeps them."""
        return min(self.prompt_tokens, 0xFFFF_FFFF) << 32 | min(self.completion_tokens, 0xFFFF_FFFF)


@dataclass(slots=True)
class Spend:
    """Tokens and requests that were paid for, or may have been.

    Args:
        prompt_tokens: Of answers, as the endpoint counts them.
        completion_tokens: As above.
        unknown_prompt_tokens: The worst case of requests whose answer was lost.
        unknown_completion_tokens: As above.
        requests: Requests sent.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    unknown_prompt_tokens: int = 0
    unknown_completion_tokens: int = 0
    requests: int = 0

    @classmethod
    def of(cls, totals: Mapping[str, int]) -> Spend:
        """Return what a journal's totals say."""
        return cls(**{name: totals[name] for name in cls.__slots__})

    @property
    def all_prompt(self) -> int:
        """Prompt tokens, the worst case of what is unknown included."""
        return self.prompt_tokens + self.unknown_prompt_tokens

    @property
    def all_completion(self) -> int:
        """Answered tokens, the worst case of what is unknown included."""
        return self.completion_tokens + self.unknown_completion_tokens

    def cost(self, price: Price | None) -> float | None:
        """Return what it cost at most, None without a price."""
        return None if price is None else price.of(self.all_prompt, self.all_completion)

    def as_dict(self, price: Price | None) -> dict[str, Any]:
        """Return plain values for a manifest."""
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return values if price is None else {**values, "cost": self.cost(price)}


class Ledger:
    """Spend and reservations of one run beside its budget: together they never go beyond it.

    Args:
        budget: The limits.
        price: Needed where money is one of them.
        spend: What earlier sessions of the run spent.

    Example:
        >>> ledger = Ledger(Budget(max_tokens=100), None, Spend(prompt_tokens=60))
        >>> ledger.reserve(Bounds(20, 10)), ledger.reserve(Bounds(20, 10))
        (True, False)
        >>> ledger.settle(Bounds(20, 10), 5, 1); ledger.reserve(Bounds(20, 10))
        True
    """

    def __init__(self, budget: Budget, price: Price | None, spend: Spend) -> None:
        self.spend = spend
        self._budget = budget
        self._price = price
        self._reserved_prompt = 0
        self._reserved_completion = 0

    def reserve(self, bounds: Bounds) -> bool:
        """Set the worst case of a request aside; False, and nothing is, where the budget might not cover it."""
        prompt = self.spend.all_prompt + self._reserved_prompt + bounds.prompt_tokens
        completion = self.spend.all_completion + self._reserved_completion + bounds.completion_tokens
        if not self._covers(self.spend.requests + 1, prompt, completion):
            return False
        self._reserved_prompt += bounds.prompt_tokens
        self._reserved_completion += bounds.completion_tokens
        self.spend.requests += 1
        return True

    def settle(self, bounds: Bounds, prompt_tokens: int, completion_tokens: int) -> None:
        """Replace a reservation by what was used: zeros for an attempt that cost nothing."""
        self._release(bounds)
        self.spend.prompt_tokens += prompt_tokens
        self.spend.completion_tokens += completion_tokens

    def lose(self, bounds: Bounds) -> None:
        """Count a reservation as spent in full: the answer is lost."""
        self._release(bounds)
        self.spend.unknown_prompt_tokens += bounds.prompt_tokens
        self.spend.unknown_completion_tokens += bounds.completion_tokens

    @property
    def cost(self) -> float | None:
        """What was spent so far, the worst case of what is unknown included; None without a price."""
        return self.spend.cost(self._price)

    def _release(self, bounds: Bounds) -> None:
        self._reserved_prompt -= bounds.prompt_tokens
        self._reserved_completion -= bounds.completion_tokens

    def _covers(self, requests: int, prompt: int, completion: int) -> bool:
        budget = self._budget
        if budget.max_requests is not None and requests > budget.max_requests:
            return False
        if budget.max_tokens is not None and prompt + completion > budget.max_tokens:
            return False
        if budget.max_cost is None or self._price is None:
            return True
        return self._price.of(prompt, completion) <= budget.max_cost
