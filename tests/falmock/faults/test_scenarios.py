"""Scenarios: presets and TOML files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from falmock.faults.scenarios import ScenarioError, find, presets

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


@pytest.mark.parametrize("name", presets())
def test_every_preset_has_rules_and_a_description(name: str) -> None:
    preset = presets()[name]

    assert preset.name == name
    assert preset.teaches.endswith(".")
    assert preset.rules
