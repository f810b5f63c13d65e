"""The emulator as a target: nothing happens that nobody is told of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from falcontract import wire
from falcontract.steps import FAULTS, Program, result, stream, submit, until

if TYPE_CHECKING:
    from falcontract.emulated import Emulated


@pytest.mark.parametrize("seconds", [0.25, 0.01])
def test_a_stream_hears_of_a_run_however_short(mock: Emulated, seconds: float) -> None:
    program = Program(name="x", steps=(submit(), stream()), setup={"run_seconds": seconds})
    trace = asyncio.run(wire.run(program, mock))
    told = [event.json["status"] for event in trace.exchanges[-1].events if event.data is not None]
    assert list(dict.fromkeys(told)) == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


def test_a_program_can_bring_its_own_faults(mock: Emulated) -> None:
    rules = [{"fault": "content_policy_violation"}]
    program = Program(name="x", steps=(submit(), until("COMPLETED"), result()), setup={FAULTS: rules})
    assert program.needs() == {"configure", "faults"}
    last = asyncio.run(wire.run(program, mock)).exchanges[-1]
    assert (last.status, last.json["detail"][0]["type"]) == (422, "content_policy_violation")
