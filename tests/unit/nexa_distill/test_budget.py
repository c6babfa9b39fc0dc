"""Whatever comes back, what was spent and what is reserved never go beyond the budget."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from nexa_distill.budget import Bounds, Budget, Ledger, Price, Spend

PRICE = Price(prompt=3.0, completion=15.0)

budgets = st.builds(
    Budget,
    max_cost=st.none() | st.floats(1e-6, 0.01),
    max_tokens=st.none() | st.integers(1, 5000),
    max_requests=st.none() | st.integers(1, 50),
)
attempts = st.lists(
    st.tuples(
        st.integers(0, 300),
        st.integers(0, 300),
        st.sampled_from(["settle", "refuse", "lose", "leave"]),
        st.floats(0, 1),
    ),
    max_size=60,
)


@given(budgets, attempts)
def test_no_order_of_answers_refusals_and_losses_overshoots(budget: Budget, attempts: Any) -> None:
    ledger = Ledger(budget, PRICE, Spend())
    open_bounds = Bounds(0, 0)
    for prompt, completion, end, used in attempts:
        bounds = Bounds(prompt, completion)
        if not ledger.reserve(bounds):
            continue
        if end == "settle":
            ledger.settle(bounds, int(prompt * used), int(completion * used))
        elif end == "refuse":
            ledger.settle(bounds, 0, 0)
        elif end == "lose":
            ledger.lose(bounds)
        else:
            open_bounds = Bounds(
                open_bounds.prompt_tokens + prompt, open_bounds.completion_tokens + completion
            )
        spent = ledger.spend
        prompts = spent.all_prompt + open_bounds.prompt_tokens
        answers = spent.all_completion + open_bounds.completion_tokens
        assert budget.max_requests is None or spent.requests <= budget.max_requests
        assert budget.max_tokens is None or prompts + answers <= budget.max_tokens
        assert budget.max_cost is None or PRICE.of(prompts, answers) <= budget.max_cost


def test_what_was_reserved_and_not_used_can_be_reserved_again() -> None:
    ledger = Ledger(Budget(max_tokens=100), None, Spend())
    for _ in range(30):
        assert ledger.reserve(Bounds(50, 50))
        assert not ledger.reserve(Bounds(1, 0))
        ledger.settle(Bounds(50, 50), 2, 1)
        if ledger.spend.all_prompt + ledger.spend.all_completion > 0:
            break
    assert ledger.spend == Spend(prompt_tokens=2, completion_tokens=1, requests=1)


def test_bounds_fit_into_one_number() -> None:
    assert Bounds(3, 5).packed() == (3 << 32) + 5
    assert Bounds(1 << 40, 1 << 40).packed() == (1 << 64) - 1
