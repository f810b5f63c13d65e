"""docs/faults.md matches the behaviour of the three clients."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest
from fault_table import Trial, about_costs, numbers, rows, trials
from programs import tool

PAGE = (Path(__file__).parents[1] / "docs" / "faults.md").read_text()
TABLES, _, COSTS = PAGE.partition("## What each fault costs")
GROUPS = {group: list(members) for group, members in groupby(trials(), key=lambda trial: trial.group)}


def test_the_faults_page_lists_every_fault_once() -> None:
    assert re.findall(r"^\| (`.+?) \|", TABLES, re.MULTILINE) == [trial.title for trial in trials()]


def test_the_faults_page_lists_the_limits_of_every_numeric_option() -> None:
    assert numbers() in PAGE


def test_the_faults_page_says_how_long_all_tries_of_a_client_take() -> None:
    assert about_costs() in PAGE


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # fal's client leaves connections to the collector
@pytest.mark.parametrize("group", GROUPS)
def test_the_faults_page_matches_what_each_client_does(group: str) -> None:
    tool("node")
    members: list[Trial] = GROUPS[group]

    for row in rows(members):
        assert str(row) in TABLES
        costs = [line for line in COSTS.splitlines() if line.startswith(f"| {row.trial.title} |")]
        assert costs == ([row.cost] if row.cost else [])
