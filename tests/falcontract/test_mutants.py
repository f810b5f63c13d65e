"""Faults are small, named, and gone when they are taken away again. `falcontract mutants` runs them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from falcontract import teeth
from falcontract.mutants import MUTANTS, Mutant, Patch

if TYPE_CHECKING:
    from pathlib import Path

    from falcontract.suite import Shown


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
    name: str, killer: str, renders: Path, tmp_path: Path, shown: dict[str, Shown]
) -> None:
    assert not any(one.findings for one in shown.values())
    bite = teeth.bite_one(name, warm=renders, homes=tmp_path)
    assert killer in bite.killers
    assert not bite.broken


def test_a_survivor_and_a_blunt_property_are_told() -> None:
    bites = [teeth.Bite("a", ("P1", "P2"), (), 1.0), teeth.Bite("b", (), (), 1.0)]
    assert "SURVIVES" in teeth.table(bites)
    assert "P3" in teeth.toothless(bites)
    assert "P1" not in teeth.toothless(bites)
