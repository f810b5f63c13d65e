"""Scenarios: presets and TOML files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falmock.faults.rules import Rule, Scenario
from falmock.faults.scenarios import find, presets, read, text
from falmock.faults.vocabulary import ScenarioError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_scenario_can_be_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "night.toml"
    path.write_text('teaches = "patience"\n[[rules]]\nfault = "slow seconds=60"\ntimes = "always"\n')

    scenario = find(str(path))

    assert (scenario.name, scenario.teaches, len(scenario.rules)) == ("night", "patience", 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rules = [", "is not TOML"),
        ("", "rules: Field required"),
        ('[[rules]]\nfault = "nonsense"', "rules.0: there is no fault 'nonsense'"),
        ('[[rules]]\nfault = "hang"\ntimes = 0', "rules.0.times"),
    ],
)
def test_an_invalid_file_is_rejected_with_one_line_that_names_it(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "night.toml"
    path.write_text(text)

    with pytest.raises(ScenarioError, match=r"^[^\n]+$") as caught:
        find(str(path))

    assert str(path) in str(caught.value)
    assert reason in str(caught.value)


def test_the_error_for_an_unknown_scenario_lists_the_presets() -> None:
    with pytest.raises(ScenarioError, match="flaky-network, locked, outage"):
        find("nonsense")


RULES = st.builds(
    Rule,
    fault=st.sampled_from(["hang", "slow seconds=60"]),
    prompt=st.none() | st.text(st.characters(codec="utf-8"), min_size=1),
    input=st.dictionaries(st.text(min_size=1), st.integers(0, 9) | st.text() | st.booleans(), max_size=3),
    times=st.just("always") | st.integers(1, 9),
)


@given(st.lists(RULES, min_size=1, max_size=3))
def test_the_text_of_a_scenario_is_read_back(rules: list[Rule]) -> None:
    scenario = Scenario(name="night", teaches="patience", rules=tuple(rules))

    assert read(text(scenario), name="other", where="here") == scenario


@pytest.mark.parametrize("name", presets())
def test_every_preset_has_rules_and_a_description(name: str) -> None:
    preset = presets()[name]

    assert preset.name == name
    assert preset.teaches.endswith(".")
    assert preset.rules
