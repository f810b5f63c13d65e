from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from falmock.control.rules import LONGEST_TOML, MOST_DOTS

if TYPE_CHECKING:
    from emulated import Mock


async def test_a_rule_is_set_and_strikes(mock: Mock, ask: Any) -> None:
    rule = (await ask("POST", "/rules", fault="content_policy_violation", prompt="chef")).json()

    result = await mock.finish()

    (told,) = (await ask("GET", "/rules")).json()["rules"]
    assert result.json()["detail"][0]["type"] == "content_policy_violation"
    assert (told["id"], told["met"], told["armed"], told["fired"]) == (rule["id"], 1, 1, 1)


async def test_rules_that_never_fired_are_told(mock: Mock, ask: Any) -> None:
    await ask("POST", "/rules", fault="content_policy_violation")
    await ask("POST", "/rules", fault="no_media_generated", prompt="nobody says this")
    await mock.finish()

    unobserved = (await ask("GET", "/rules", unobserved=True)).json()["rules"]

    assert [each["rule"]["fault"] for each in unobserved] == ["no_media_generated"]


async def test_rules_are_listed_by_test(ask: Any) -> None:
    for test in ("a", "b"):
        await ask("POST", "/rules", fault="slow", test=test)

    rules = (await ask("GET", "/rules", test="a")).json()["rules"]

    assert [each["rule"]["test"] for each in rules] == ["a"]


@pytest.mark.parametrize(
    ("asked", "count"),
    [({}, 0), ({"test": "a"}, 1)],
)
async def test_rules_are_forgotten(ask: Any, asked: dict[str, str], count: int) -> None:
    for test in ("a", "b"):
        await ask("POST", "/rules", fault="slow", test=test)

    answer = await ask("DELETE", "/rules", **asked)

    assert (answer.status_code, answer.content) == (204, b"")
    assert len((await ask("GET", "/rules")).json()["rules"]) == count


async def test_one_rule_is_forgotten(ask: Any) -> None:
    rule = (await ask("POST", "/rules", fault="slow")).json()

    answers = [(await ask("DELETE", f"/rules/{rule['id']}")).status_code for _ in range(2)]

    assert answers == [204, 404]


async def test_a_rule_that_makes_no_sense_is_refused(ask: Any) -> None:
    answer = await ask("POST", "/rules", fault="nonsense")

    (error,) = answer.json()["detail"]
    assert (answer.status_code, "nonsense" in error["msg"]) == (422, True)


@pytest.mark.parametrize(
    "scenario", [{"preset": "strict-review"}, {"toml": '[[rules]]\nfault = "no_media_generated"'}]
)
async def test_a_scenario_is_loaded(mock: Mock, ask: Any, scenario: dict[str, str]) -> None:
    told = (await ask("POST", "/rules/load", **scenario)).json()

    assert [each["id"] for each in told["rules"]] == [each.id for each in mock.emulator.plan.rules()] != []


@pytest.mark.parametrize("scenario", [{"preset": "none"}, {"preset": "/etc/hosts"}, {"toml": "["}])
async def test_a_scenario_that_is_none_is_refused_in_one_line(ask: Any, scenario: dict[str, str]) -> None:
    answer = await ask("POST", "/rules/load", **scenario)

    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize(
    ("toml", "status"),
    [
        ("#" * LONGEST_TOML, 422),  # without rules
        ("#" * (LONGEST_TOML + 1), 422),
        ("a=" + "[" * 3000, 422),
        ("a=" + "9" * 5000, 422),
        ("a" + ".a" * MOST_DOTS + "=1", 422),
        ("a" + ".a" * (MOST_DOTS + 1) + "=1", 422),
        ("#" + "." * MOST_DOTS + '\n[[rules]]\nfault = "slow"', 201),
        ("#" + "." * (MOST_DOTS + 1) + '\n[[rules]]\nfault = "slow"', 422),
    ],
    ids=["longest", "too-long", "nested", "digits", "deep", "too-deep", "most-dots", "too-many-dots"],
)
async def test_a_scenario_that_would_hold_everybody_up_is_refused(
    mock: Mock, ask: Any, toml: str, status: int
) -> None:
    assert (await ask("POST", "/rules/load", toml=toml)).status_code == status
    assert len(mock.emulator.plan.rules()) == (status == 201)
