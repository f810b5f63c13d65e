"""Faults are small, named, and gone when they are taken away again. `falcontract mutants` runs them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from falcontract import suite, teeth
from falcontract.mutants import MUTANTS, Mutant, Patch

if TYPE_CHECKING:
    from pathlib import Path

    from falcontract.suite import PropertyResult


def test_there_are_enough_of_them() -> None:
    assert len(MUTANTS) >= 60


@pytest.mark.parametrize("one", MUTANTS.values(), ids=lambda one: one.name)
def test_each_says_what_is_wrong_and_can_be_taken_away(one: Mutant) -> None:
    assert one.fault.endswith(".")
    patch = Patch()
    one.apply(patch)
    touched = [(owner, name, value) for owner, name, value in patch._undo if name]
    tables = [(owner, value) for owner, name, value in patch._undo if not name]
    assert touched or tables
    patch.undo()
    assert all(owner.__dict__[name] is value for owner, name, value in touched)
    assert all(owner == value for owner, value in tables)


@pytest.mark.parametrize(
    ("name", "killer"),
    [
        ("status-is-always-200", "P4"),
        ("timestamps-are-milliseconds", "P44"),
        ("cancel-takes-the-neighbour", "P38"),
    ],
)
def test_a_fault_is_noticed_by_the_property_that_names_it(
    name: str, killer: str, renders: Path, tmp_path: Path, shown: dict[str, PropertyResult]
) -> None:
    assert not any(one.findings for one in shown.values())
    bite = teeth.run_mutant(name, warm=renders, homes=tmp_path)
    assert killer in bite.killers
    assert not bite.broken


def test_whom_to_ask_first_is_known_of_every_fault() -> None:
    """A hint may be wrong, but one that is missing, or names what there is no more, is out of date."""
    assert teeth.hints().keys() == MUTANTS.keys()
    assert {p for killers in teeth.hints().values() for p in killers} == {
        p.id for p in suite.select_properties()
    }


def test_few_faults_are_enough_to_show_that_no_property_is_decoration() -> None:
    found = teeth.witnesses(teeth.hints(), MUTANTS)
    rows = [teeth.MutantResult(name, teeth.hints()[name], (), 0.0) for name in found]
    assert teeth.toothless(rows) == []
    assert len(found) < len(MUTANTS) / 2


def test_a_wrong_hint_costs_time_and_nothing_else(
    renders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teeth, "hints", lambda: {"early-result-without-urls": ("P19", "P20")})
    bite = teeth.run_mutant("early-result-without-urls", warm=renders, homes=tmp_path, whole=False)
    assert "P10" in bite.killers
    assert bite.whole


def test_the_first_who_notices_is_enough(renders: Path, tmp_path: Path) -> None:
    bite = teeth.run_mutant("wrong-methods-name-no-other", warm=renders, homes=tmp_path, whole=False)
    assert bite.killers == ("P26",)
    assert not bite.whole


def test_who_was_asked_first_shows_nothing_of_the_others() -> None:
    results = [teeth.MutantResult("a", ("P1",), (), 1.0, whole=False)]
    assert "P1" in teeth.toothless(results)


def test_a_survivor_and_a_blunt_property_are_told() -> None:
    results = [teeth.MutantResult("a", ("P1", "P2"), (), 1.0), teeth.MutantResult("b", (), (), 1.0)]
    assert "SURVIVES" in teeth.table(results)
    assert "P3" in teeth.toothless(results)
    assert "P1" not in teeth.toothless(results)
