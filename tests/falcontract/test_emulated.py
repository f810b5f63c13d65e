"""The emulator as a target: short states are visible, faults can be set, and exceptions are reported."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from falcontract.steps import FAULTS, Program, result, status, stream, submit, until
from falcontract.targets import wire
from falcontract.targets.emulated import RAISED
from falmock.http.queue import QueueHost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from falcontract.targets.emulated import Emulated


@pytest.mark.parametrize("seconds", [0.25, 0.01])
def test_a_stream_reports_in_progress_even_for_a_very_short_run(mock: Emulated, seconds: float) -> None:
    program = Program(name="x", steps=(submit(), stream()), setup={"run_seconds": seconds})
    trace = asyncio.run(wire.run(program, mock))
    states = [event.json["status"] for event in trace.exchanges[-1].events if event.data is not None]
    assert list(dict.fromkeys(states)) == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


def test_a_program_can_set_fault_rules(mock: Emulated) -> None:
    rules = [{"fault": "content_policy_violation"}]
    program = Program(name="x", steps=(submit(), until("COMPLETED"), result()), setup={FAULTS: rules})
    assert program.needs() == {"configure", "faults"}
    last = asyncio.run(wire.run(program, mock)).exchanges[-1]
    assert (last.status, last.json["detail"][0]["type"]) == (422, "content_policy_violation")


def test_an_exception_in_the_emulator_is_a_500_and_is_logged(
    mock: Emulated, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("boom")

    monkeypatch.setattr(QueueHost, "_status", fail)
    trace = asyncio.run(wire.run(Program(name="x", steps=(submit(), status())), mock))
    assert [e.status for e in trace.exchanges] == [200, 500]
    assert f"{RAISED} KeyError('boom')" in caplog.text


def test_an_exception_in_a_stream_breaks_the_connection(
    mock: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> AsyncIterator[bytes]:
        yield b": ping\n\n"
        raise KeyError("boom")

    monkeypatch.setattr(QueueHost, "_events", fail)
    e = asyncio.run(wire.run(Program(name="x", steps=(submit(), stream())), mock)).exchanges[-1]
    assert (e.status, len(e.events)) == (200, 1)
    assert f"{RAISED} KeyError('boom')" in e.error
