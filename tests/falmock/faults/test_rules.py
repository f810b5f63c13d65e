"""Rules: whom they strike, how often, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from falmock.faults.injections import Injection, Injections
from falmock.faults.rules import MatchContext, Rule, RuleSet
from falmock.faults.scenarios import ScenarioError, find, presets
from falmock.faults.triggers import from_header, magic

if TYPE_CHECKING:
    from pathlib import Path


def context(place: str = "status", **known: Any) -> MatchContext:
    asked = known.pop("asked", {})
    return MatchContext(place, **known, asked=lambda: asked)


def injected(plan: RuleSet, times: int, **known: Any) -> list[str | None]:
    """Return what strikes moments that are alike."""
    injections = [plan.injection(context(**known)) for _ in range(times)]
    return [injection.fault.name if injection else None for injection in injections]


def planned(**rule: Any) -> RuleSet:
    plan = RuleSet(seed=1)
    plan.add(Rule(**rule))
    return plan


def test_a_rule_strikes_once_unless_it_says_otherwise() -> None:
    assert injected(planned(fault="hang"), 3) == ["hang", None, None]


def test_a_rule_can_strike_always() -> None:
    assert injected(planned(fault="hang", times="always"), 3) == ["hang"] * 3


def test_a_rule_lets_so_many_pass_first() -> None:
    assert injected(planned(fault="hang", after=2), 4) == [None, None, "hang", None]


def test_something_else_can_follow() -> None:
    plan = planned(fault="gateway_timeout", on="result", times=2, then=["ok", "bad_gateway"])

    assert injected(plan, 5, place="result") == [
        "gateway_timeout",
        "gateway_timeout",
        None,
        "bad_gateway",
        None,
    ]


@given(st.integers(0, 2**32), st.floats(0.05, 0.95))
def test_a_share_of_moments_follows_from_the_seed(seed: int, share: float) -> None:
    def injections() -> list[str | None]:
        plan = RuleSet(seed)
        plan.add(Rule(fault="hang", times="always", share=share))
        return injected(plan, 50)

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
        ({"prompt": "dragon"}, {"asked": {"prompt": "a dragon sleeps"}}, True),
        ({"prompt": "dragon"}, {"asked": {"prompt": "a cat sleeps"}}, False),
        ({"prompt": "dragon"}, {"asked": {}}, False),
        ({"input": {"duration": "8s"}}, {"asked": {"duration": "8s"}}, True),
        ({"input": {"duration": "8s"}}, {"asked": {"duration": "5s"}}, False),
        ({"input": {"duration": None}}, {"asked": {}}, False),
    ],
)
def test_a_rule_strikes_whom_it_is_for(rule: Any, known: Any, *, injections: bool) -> None:
    plan = planned(fault="hang", **rule)

    assert injected(plan, 1, **known) == ["hang" if injections else None]


def test_the_first_rule_that_has_something_to_say_wins() -> None:
    plan = planned(fault="hang", after=1)
    plan.add(Rule(fault="bad_gateway"))

    assert injected(plan, 2) == ["bad_gateway", "hang"]


def test_all_that_goes_wrong_with_a_request_is_decided_together() -> None:
    plan = planned(fault="slow seconds=5")
    plan.add(Rule(fault="requeued"))

    names = [injection.fault.name for injection in plan.injections(context("job"))]

    assert names == ["slow", "requeued"]


def test_a_rule_that_nothing_came_of_is_told() -> None:
    plan = planned(fault="hang")
    assert [standing.rule.fault for standing in plan.unobserved()] == ["hang"]

    injection = plan.injection(context())
    assert injection is not None
    plan.observed(injection)

    assert plan.unobserved() == []


def test_a_plan_watches_only_where_its_rules_strike() -> None:
    plan = planned(fault="gateway_timeout", on="result")
    assert (plan.watches("result"), plan.watches("status")) == (True, False)

    plan.clear()

    assert not plan.watches("result")


def test_the_rules_of_one_test_can_be_cleared() -> None:
    plan = planned(fault="hang", test="one")
    plan.add(Rule(fault="hang", test="two"))

    plan.clear(test="one")

    assert [standing.rule.test for standing in plan.rules()] == ["two"]


@pytest.mark.parametrize(
    ("rule", "says"),
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
def test_a_rule_that_makes_no_sense_is_refused(rule: Any, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Rule(**rule)

    assert says in str(caught.value)


def test_a_scenario_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "night.toml"
    path.write_text('teaches = "patience"\n[[rules]]\nfault = "slow seconds=60"\ntimes = "always"\n')

    scenario = find(str(path))

    assert (scenario.name, scenario.teaches, len(scenario.rules)) == ("night", "patience", 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules = [", "is not TOML"),
        ("", "rules: Field required"),
        ('[[rules]]\nfault = "nonsense"', "rules.0: there is no fault 'nonsense'"),
        ('[[rules]]\nfault = "hang"\ntimes = 0', "rules.0.times"),
    ],
)
def test_a_file_that_is_no_scenario_is_told_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "night.toml"
    path.write_text(text)

    with pytest.raises(ScenarioError, match=r"^[^\n]+$") as caught:
        find(str(path))

    assert str(path) in str(caught.value)
    assert says in str(caught.value)


def test_an_unknown_scenario_names_those_there_are() -> None:
    with pytest.raises(ScenarioError, match="flaky-network, locked, outage"):
        find("nonsense")


@pytest.mark.parametrize("name", presets())
def test_every_preset_says_what_it_teaches(name: str) -> None:
    preset = presets()[name]

    assert preset.name == name
    assert preset.teaches.endswith(".")
    assert preset.rules


def test_a_prompt_can_ask_for_trouble() -> None:
    asked = {"prompt": "a cat [[fal: requeued times=2]] [[fal:webhook_twice]]", "duration": 5}

    assert [str(fault) for fault in magic(asked)] == ["requeued times=2", "webhook_twice"]


def test_a_reserved_url_asks_for_trouble() -> None:
    asked = {"image_url": "https://falmock.invalid/image_too_small.png?min_width=640"}

    assert [str(fault) for fault in magic(asked)] == ["image_too_small min_width=640"]


def test_strikes_are_kept_as_text() -> None:
    injections = [Injection(fault, 3) for fault in from_header("slow seconds=5; webhook_twice")]

    stored = Injections(injections).dump()

    assert list(Injections.parse(stored).values()) == injections
    assert Injections().dump() is None
    assert Injections.parse(None) == {}
