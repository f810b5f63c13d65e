"""Failing programs are shortened, and still make sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from falcontract import suite
from falcontract.explore import shrinking
from falcontract.mutation.catalogue import MUTANTS
from falcontract.properties.catalogue import PROPERTIES
from falcontract.properties.claims import equal
from falcontract.steps import Program, call, status, submit, wait
from falcontract.suite import PropertyResult
from falmock.protocol.errors import StillInProgress

if TYPE_CHECKING:
    from falcontract.targets.emulated import Emulated


def test_a_shortened_program_still_submits_each_job_that_it_reads(
    mock: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result without a submit is a 404 as well, so it must not replace the original finding."""
    monkeypatch.setattr(StillInProgress, "status", 404)
    (found,) = suite.run([PROPERTIES["P10"]], mock)
    steps = shrinking.shrink(found.findings[0], mock).trace.program.steps
    assert next((step.do, step.job) for step in steps) == ("submit", "A")
    assert {step.job for step in steps} == {"A"}


def test_a_rerun_shows_that_a_finding_has_disappeared(
    mock: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(StillInProgress, "status", 409)
        (found,) = suite.run([PROPERTIES["P10"]], mock)
        assert suite.rerun(found, mock).findings
    again = suite.rerun(found, mock)
    assert again.claims
    assert again.findings == []


def test_adjacent_waits_are_merged() -> None:
    steps = (submit(), wait(1), wait(2), status())
    smaller = shrinking._smaller(Program(name="x", steps=steps))
    assert (submit(), wait(3), status()) in [program.steps for program in smaller]


@pytest.mark.parametrize(
    ("mutant", "name"),
    [
        ("cancelled-jobs-are-billed", "P36"),
        ("deliveries-are-tried-once", "P43"),
        ("validation-errors-have-a-link", "P77"),
        ("gaps-double", "P73"),
    ],
)
def test_the_program_that_is_printed_shows_nothing_on_the_unbroken_emulator(
    mutant: str, name: str, mock: Emulated
) -> None:
    """A cut program may contradict a rule for another reason: it lacks the steps that the rule is about."""
    with MUTANTS[mutant].applied():
        (found,) = suite.run([PROPERTIES[name]], mock)
        shrunk = shrinking.shrink(found.findings[0], mock)
    assert len(shrunk.trace.program.steps) <= len(found.findings[0].trace.program.steps)
    again = suite.rerun(PropertyResult(PROPERTIES[name], 1, [shrunk]), mock)
    assert [
        one.claim.text
        for one in again.findings
        if shrinking._kind(one.claim) == shrinking._kind(shrunk.claim)
    ] == []


def test_another_contradiction_of_the_property_does_not_replace_a_finding() -> None:
    """The key and the text without its numbers stay the same, and so do the forms of both values."""
    kind = shrinking._kind(equal("code", 409, 400, "after 2.5 s A1 is answered"))
    assert kind == shrinking._kind(equal("code", 404, 400, "after 7 s B is answered"))
    assert kind != shrinking._kind(equal("code", None, 400, "after 2.5 s A1 is answered"))
    assert kind != shrinking._kind(equal("code", 409, 400, "the answer is late"))
    assert kind != shrinking._kind(equal("body", 409, 400, "after 2.5 s A1 is answered"))


def test_a_step_keeps_the_steps_whose_answers_it_refers_to() -> None:
    steps = (call("POST", "/x", save="U"), call("PUT", "{U.upload_url}"))
    assert shrinking._is_consistent(Program(name="x", steps=steps))
    assert not shrinking._is_consistent(Program(name="x", steps=steps[1:]))
