"""The catalogue is whole, and the emulator is as it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from falcontract import programs, properties, suite
from falcontract.steps import Program, Step, submit
from falcontract.traces import Exchange, Trace

if TYPE_CHECKING:
    from falcontract.claims import Property
    from falcontract.emulated import Emulated
    from falcontract.suite import PropertyResult

EVERY = properties.catalogue()


def test_all_rows_of_the_catalogue_are_there() -> None:
    assert [p.id for p in EVERY] == [f"P{n}" for n in range(1, 56)]


@pytest.mark.parametrize("p", EVERY, ids=lambda p: p.id)
def test_each_has_evidence_and_something_that_shows_it(p: Property) -> None:
    assert p.evidence
    assert set(p.programs) <= programs.catalogue().keys()
    assert p.programs


@pytest.mark.parametrize("p", EVERY, ids=lambda p: p.id)
def test_the_emulator_agrees(p: Property, shown: dict[str, PropertyResult]) -> None:
    found = shown[p.id]
    assert [f"{f.trace.program.name}: {f.claim.text}, {f.claim.found!r}" for f in found.findings] == []
    assert found.claims


def test_every_program_shows_something() -> None:
    used = {name for p in EVERY for name in p.programs}
    assert used == programs.catalogue().keys()


def test_nothing_is_said_of_an_empty_trace() -> None:
    trace = Trace(Program(name="nothing", steps=()))
    assert [p.id for p in EVERY if p.general and list(p.check(trace))] == []


@pytest.mark.parametrize("p", EVERY, ids=lambda p: p.id)
def test_no_answer_at_all_is_looked_at_without_a_crash(p: Property) -> None:
    """Whatever comes back, a check says what is wrong with it and goes on."""
    for body in (b"", b"[]", b"null", b'"x"', b"\xff"):
        for name in p.programs:
            program = programs.catalogue()[name]
            trace = Trace(program, given={"A": "x", "B": "y"})
            for index, step in enumerate(program.steps):
                if step.do not in {"wait", "lock"}:
                    trace.exchanges.append(
                        Exchange(step, index, 0.0, "GET", "http://x/y", status=200, body=body)
                    )
            list(p.check(trace))


def test_a_rule_that_needs_more_is_skipped_by_name(mock: Emulated) -> None:
    class Plain:
        name, abilities, open = "plain", frozenset[str](), mock.open

    shown = suite.judge(suite.select_properties(["P44", "P24", "P1"]), [], Plain())
    assert [sorted(one.missing) for one in shown] == [["receive"], ["second-key"], []]


def test_a_property_can_be_asked_for_by_its_id() -> None:
    assert [p.id for p in suite.select_properties(["p17", "P1"])] == ["P17", "P1"]
    with pytest.raises(KeyError):
        suite.select_properties(["P99"])


def test_a_tier_leaves_out_what_costs_more() -> None:
    assert {p.tier for p in suite.select_properties(tier=1)} == {0, 1}
    assert all(program.tier <= 1 for program in suite.programs_for(EVERY, 1))


@pytest.mark.parametrize("program", programs.catalogue().values(), ids=lambda program: program.name)
def test_programs_are_data(program: Program) -> None:
    assert Program.from_json(program.as_json()) == program


def test_a_step_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError):
        Step.from_json(submit().as_json() | {"colour": "red"})
