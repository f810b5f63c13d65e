"""Money is set aside before anything is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falcontract.budget import Budget, OverBudget


def test_the_default_buys_nothing() -> None:
    with pytest.raises(OverBudget):
        Budget().reserve("a", 0.001)
    Budget().reserve("b", 0.0)


def test_what_is_released_can_be_spent_again() -> None:
    budget = Budget(1.0)
    budget.reserve("a", 1.0)
    budget.release("a")
    budget.reserve("b", 1.0)
    budget.settle()
    assert budget.spent == 1.0
    with pytest.raises(OverBudget, match=r"\$0\.00 of \$1\.00 is left"):
        budget.reserve("c", 0.01)


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["keep", "release", "settle"]))))
def test_no_more_than_the_limit_is_ever_taken(steps: list[tuple[float, str]]) -> None:
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
