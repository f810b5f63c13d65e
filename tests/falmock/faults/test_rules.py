"""Rules: their matches, how often they choose a fault, and invalid ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from falmock.faults.rule_set import RuleSet
from falmock.faults.rules import Rule
from falmock.faults.vocabulary import MatchContext


def context(place: str = "status", **known: Any) -> MatchContext:
    model_input = known.pop("input", {})
    return MatchContext(place, **known, model_input=lambda: model_input)


def injected(rules: RuleSet, times: int, **known: Any) -> list[str | None]:
    """Return the faults that equal calls get."""
    injections = [rules.injection(context(**known)) for _ in range(times)]
    return [injection.fault.name if injection else None for injection in injections]


def rule_set(**rule: Any) -> RuleSet:
    rules = RuleSet(seed=1)
    rules.add(Rule(**rule))
    return rules


def test_a_rule_injects_its_fault_once_by_default() -> None:
    assert injected(rule_set(fault="hang"), 3) == ["hang", None, None]


def test_a_rule_with_times_always_injects_its_fault_every_time() -> None:
    assert injected(rule_set(fault="hang", times="always"), 3) == ["hang"] * 3


def test_a_rule_lets_the_first_matches_pass_with_after() -> None:
    assert injected(rule_set(fault="hang", after=2), 4) == [None, None, "hang", None]


def test_the_faults_in_then_follow_the_first_matches_of_a_rule() -> None:
    rules = rule_set(fault="gateway_timeout", on="result", times=2, then=["ok", "bad_gateway"])

    assert injected(rules, 5, place="result") == [
        "gateway_timeout",
        "gateway_timeout",
        None,
        "bad_gateway",
        None,
    ]


@given(st.integers(0, 2**32), st.floats(0.05, 0.95))
def test_a_rule_with_a_share_injects_the_same_faults_for_the_same_seed(seed: int, share: float) -> None:
    def injections() -> list[str | None]:
        rules = RuleSet(seed)
        rules.add(Rule(fault="hang", times="always", share=share))
        return injected(rules, 50)

    assert injections() == injections()


@pytest.mark.parametrize(
    ("rule", "known", "injections"),
    [
        ({"on": "status"}, {"place": "result"}, False),
        ({"endpoint": "fal-ai/veo2/*"}, {"endpoint": "fal-ai/veo2/image-to-video"}, True),
        ({"endpoint": "fal-ai/veo2"}, {"endpoint": "fal-ai/veo2/image-to-video"}, False),
        ({"endpoint": "*"}, {}, False),
        ({"caller": "ci-*"}, {"caller": "ci-7"}, True),
        ({"caller": "ci-*"}, {"caller": "me"}, False),
        ({"test": "checkout"}, {"test": "checkout"}, True),
        ({"test": "checkout"}, {"test": None}, False),
        ({"request": "a"}, {"request": "b"}, False),
        ({"prompt": "dragon"}, {"input": {"prompt": "a dragon sleeps"}}, True),
        ({"prompt": "dragon"}, {"input": {"prompt": "a cat sleeps"}}, False),
        ({"prompt": "dragon"}, {"input": {}}, False),
        ({"input": {"duration": "8s"}}, {"input": {"duration": "8s"}}, True),
        ({"input": {"duration": "8s"}}, {"input": {"duration": "5s"}}, False),
        ({"input": {"duration": None}}, {"input": {}}, False),
    ],
)
def test_a_rule_injects_its_fault_only_if_all_conditions_hold(
    rule: Any, known: Any, *, injections: bool
) -> None:
    rules = rule_set(fault="hang", **rule)

    assert injected(rules, 1, **known) == ["hang" if injections else None]


def test_the_first_rule_that_chooses_a_fault_decides() -> None:
    rules = rule_set(fault="hang", after=1)
    rules.add(Rule(fault="bad_gateway"))

    assert injected(rules, 2) == ["bad_gateway", "hang"]


def test_a_request_gets_the_faults_of_all_rules_that_match() -> None:
    rules = rule_set(fault="slow seconds=5")
    rules.add(Rule(fault="requeued"))

    names = [injection.fault.name for injection in rules.injections(context("job"))]

    assert names == ["slow", "requeued"]


def test_a_rule_is_unobserved_until_its_fault_takes_effect() -> None:
    rules = rule_set(fault="hang")
    assert [state.rule.fault for state in rules.unobserved()] == ["hang"]

    injection = rules.injection(context())
    assert injection is not None
    rules.observed(injection)

    assert rules.unobserved() == []


def test_a_rule_set_watches_only_the_places_of_its_rules() -> None:
    rules = rule_set(fault="gateway_timeout", on="result")
    assert (rules.watches("result"), rules.watches("status")) == (True, False)

    rules.clear()

    assert not rules.watches("result")


def test_clear_removes_only_the_rules_of_the_named_test() -> None:
    rules = rule_set(fault="hang", test="one")
    rules.add(Rule(fault="hang", test="two"))

    rules.clear(test="one")

    assert [state.rule.test for state in rules.rules()] == ["two"]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"fault": "nonsense"}, "there is no fault 'nonsense'"),
        ({"fault": "hang", "then": ["nonsense"]}, "there is no fault 'nonsense'"),
        ({"fault": "webhook_lost", "on": "status"}, "webhook_lost cannot occur on status: only on webhook"),
        ({"fault": "hang", "times": "always", "then": ["ok"]}, "`then` never comes"),
        ({"fault": "hang", "share": 0}, "greater than 0"),
        ({"fault": "hang", "on": "lunch"}, "Input should be"),
        ({"fault": "hang", "tmies": 3}, "Extra inputs are not permitted"),
    ],
)
def test_an_invalid_rule_is_rejected_with_a_reason(rule: Any, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Rule(**rule)

    assert reason in str(caught.value)


def test_a_spent_rule_is_active_again_after_its_request_was_rolled_back() -> None:
    rules = rule_set(fault="slow")
    rules.add(Rule(fault="requeued"))
    restore = rules.checkpoint()
    rules.injections(context("job"))

    restore()

    assert [(state.matched, state.injected) for state in rules.rules()] == [(0, 0)] * 2
    assert [each.fault.name for each in rules.injections(context("job"))] == ["slow", "requeued"]


def test_a_rule_added_after_a_checkpoint_is_removed_when_that_is_restored() -> None:
    rules = rule_set(fault="slow")
    restore = rules.checkpoint()
    rules.add(Rule(fault="hang", request="a"))

    restore()

    assert [state.rule.fault for state in rules.rules()] == ["slow"]
    assert not rules.watches("status", "a")
