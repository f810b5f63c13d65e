"""Failing programs are shortened, and still make sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falcontract import suite
from falcontract.explore import shrinking
from falcontract.properties.catalogue import PROPERTIES
from falcontract.steps import Program, status, submit, wait
from falmock.protocol.errors import StillInProgress

if TYPE_CHECKING:
    import pytest

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
