"""The price of a call is reserved before it is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falcontract.live.budget import Budget, OverBudget


def test_the_default_budget_allows_only_free_calls() -> None:
    with pytest.raises(OverBudget):
        Budget().reserve("a", 0.001)
    Budget().reserve("b", 0.0)


def test_a_released_reservation_can_be_reserved_again() -> None:
    budget = Budget(1.0)
    budget.reserve("a", 1.0)
    budget.release("a")
    budget.reserve("b", 1.0)
    budget.settle()
    assert budget.spent == 1.0
    with pytest.raises(OverBudget, match=r"\$0\.00 of \$1\.00 is left"):
        budget.reserve("c", 0.01)


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["keep", "release", "settle"]))))
def test_reservations_never_exceed_the_limit(steps: list[tuple[float, str]]) -> None:
    budget = Budget(5.0)
    for n, (usd, then) in enumerate(steps):
        try:
            budget.reserve(str(n), usd)
        except OverBudget:
            continue
        if then == "release":
            budget.release(str(n))
        elif then == "settle":
            budget.settle()
        assert budget.spent + sum(budget.held.values()) <= 5.0 + 1e-6
