from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from falmock.control.schemas import LONGEST_TOML, MOST_DOTS

if TYPE_CHECKING:
    from emulated import Mock


async def test_an_added_rule_takes_effect_and_counts(mock: Mock, ask: Any) -> None:
    rule = (await ask("POST", "/rules", fault="content_policy_violation", prompt="chef")).json()

    result = await mock.finish()

    (listed,) = (await ask("GET", "/rules")).json()["rules"]
    assert result.json()["detail"][0]["type"] == "content_policy_violation"
    assert listed == rule | {"matched": 1, "injected": 1, "observed": 1}


async def test_rules_whose_faults_never_took_effect_can_be_listed(mock: Mock, ask: Any) -> None:
    await ask("POST", "/rules", fault="content_policy_violation")
    await ask("POST", "/rules", fault="no_media_generated", prompt="an unused text")
    await mock.finish()

    unobserved = (await ask("GET", "/rules", unobserved=True)).json()["rules"]

    assert [view["rule"]["fault"] for view in unobserved] == ["no_media_generated"]


async def test_rules_can_be_listed_by_test(ask: Any) -> None:
    for test in ("a", "b"):
        await ask("POST", "/rules", fault="slow", test=test)

    rules = (await ask("GET", "/rules", test="a")).json()["rules"]

    assert [view["rule"]["test"] for view in rules] == ["a"]


@pytest.mark.parametrize(
    ("query", "count"),
    [({}, 0), ({"test": "a"}, 1)],
)
async def test_all_rules_or_those_of_a_test_can_be_removed(
    ask: Any, query: dict[str, str], count: int
) -> None:
    for test in ("a", "b"):
        await ask("POST", "/rules", fault="slow", test=test)

    answer = await ask("DELETE", "/rules", **query)

    assert (answer.status_code, answer.content) == (204, b"")
    assert len((await ask("GET", "/rules")).json()["rules"]) == count


async def test_a_rule_can_be_removed_once(ask: Any) -> None:
    rule = (await ask("POST", "/rules", fault="slow")).json()

    answers = [(await ask("DELETE", f"/rules/{rule['id']}")).status_code for _ in range(2)]

    assert answers == [204, 404]


async def test_a_rule_with_an_unknown_fault_is_a_422(ask: Any) -> None:
    answer = await ask("POST", "/rules", fault="nonsense")

    (error,) = answer.json()["detail"]
    assert (answer.status_code, "nonsense" in error["msg"]) == (422, True)


@pytest.mark.parametrize(
    "scenario", [{"preset": "strict-review"}, {"toml": '[[rules]]\nfault = "no_media_generated"'}]
)
async def test_a_preset_or_a_scenario_text_can_be_loaded(
    mock: Mock, ask: Any, scenario: dict[str, str]
) -> None:
    loaded = (await ask("POST", "/rules/load", **scenario)).json()

    assert (
        [rule["id"] for rule in loaded["rules"]]
        == [state.id for state in mock.emulator.rule_set.rules()]
        != []
    )


@pytest.mark.parametrize("scenario", [{"preset": "none"}, {"preset": "/etc/hosts"}, {"toml": "["}])
async def test_an_unknown_preset_or_invalid_text_is_a_422_of_one_line(
    ask: Any, scenario: dict[str, str]
) -> None:
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
async def test_a_scenario_text_that_is_slow_to_parse_is_a_422(
    mock: Mock, ask: Any, toml: str, status: int
) -> None:
    assert (await ask("POST", "/rules/load", toml=toml)).status_code == status
    assert len(mock.emulator.rule_set.rules()) == (status == 201)
