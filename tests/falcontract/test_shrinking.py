"""What is found is made short, and still makes sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falcontract import properties, shrinking, suite
from falmock.errors import StillInProgress

if TYPE_CHECKING:
    import pytest

    from falcontract.emulated import Emulated


def test_a_shortened_program_asks_for_no_job_that_it_has_not_submitted(
    mock: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the submit the result would be a 404, which is no early result either."""
    monkeypatch.setattr(StillInProgress, "status", 404)
    (shown,) = suite.run([properties.PROPERTIES["P10"]], mock)
    steps = shrinking.shrink(shown.findings[0], mock).trace.program.steps
    assert next((step.do, step.job) for step in steps) == ("submit", "A")
    assert {step.job for step in steps} == {"A"}


def test_what_is_gone_the_second_time_is_seen_to_be_gone(
    mock: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(StillInProgress, "status", 409)
        (shown,) = suite.run([properties.PROPERTIES["P10"]], mock)
        assert suite.rerun(shown, mock).findings
    again = suite.rerun(shown, mock)
    assert again.claims
    assert again.findings == []
