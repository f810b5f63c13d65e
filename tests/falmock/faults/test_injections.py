"""Injections: stored as text, decoded as objects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falmock.faults.effects import Injection, Injections
from falmock.faults.vocabulary import FAULTS, parse

STORED = st.lists(st.builds(Injection, st.sampled_from(sorted(FAULTS)).map(parse), st.integers(0, 1000)))


@given(STORED)
def test_injections_are_equal_after_they_were_stored(injections: list[Injection]) -> None:
    stored = Injections(injections)

    assert Injections.parse(stored.dump()) == stored


def test_an_empty_set_of_injections_is_stored_as_null() -> None:
    assert Injections().dump() is None
    assert Injections.parse(None) == {}


def test_the_last_injection_of_a_name_counts() -> None:
    injections = Injections([Injection(parse("slow seconds=1"), 1), Injection(parse("slow seconds=2"), 2)])

    assert injections.get("slow") == Injection(parse("slow seconds=2"), 2)
    assert len(injections) == 1


@pytest.mark.parametrize(
    "text",
    ["{", "1", '{"slow": 1}', "[1]", "[[1]]", "[[1, 2]]", '[[1, "no_such_fault"]]', "[" * 100_000],
)
def test_a_text_that_is_not_a_list_of_injections_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"no fault|not a list|JSON|Expecting|expected"):
        Injections.parse(text)
