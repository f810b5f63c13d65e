"""docs/faults.md matches the behaviour of the three clients."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest
from fault_table import Trial, numbers, rows, trials
from programs import tool

PAGE = (Path(__file__).parents[1] / "docs" / "faults.md").read_text()
GROUPS = {group: list(members) for group, members in groupby(trials(), key=lambda trial: trial.group)}


def test_the_faults_page_lists_every_fault_once() -> None:
    assert re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE) == [trial.title for trial in trials()]


def test_the_faults_page_lists_the_limits_of_every_numeric_option() -> None:
    assert numbers() in PAGE


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # fal's client leaves connections to the collector
@pytest.mark.parametrize("group", GROUPS)
def test_the_faults_page_matches_what_each_client_does(group: str) -> None:
    tool("node")
    members: list[Trial] = GROUPS[group]

    for row in rows(members):
        assert f"| {' | '.join(row)} |" in PAGE
