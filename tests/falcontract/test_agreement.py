"""Both doors lead to the same room, and a door that lies is found out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import falqueue
from falcontract import agreement, programs, properties, wire

if TYPE_CHECKING:
    from falcontract.emulated import Emulated
    from falcontract.traces import Trace


def through_both(name: str, target: Emulated) -> Trace:
    async def run() -> Trace:
        trace = await wire.run(programs.catalogue()[name], target)
        await agreement.compare(trace, target)
        return trace

    return asyncio.run(run())


@pytest.mark.parametrize(
    "name", ["life", "early", "cancel-late", "run-timeout", "watch", "locked", "other-key"]
)
def test_client_and_wire_agree(name: str, mock: Emulated) -> None:
    trace = through_both(name, mock)
    assert trace.looks
    assert [(look.step, look.client) for look in trace.looks if look.client != look.wire] == []
    assert trace.unheard == ""


def test_a_client_that_misunderstands_is_found_out(mock: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    async def status(*_: Any, **__: Any) -> falqueue.Status:
        return falqueue.Completed("an id")

    monkeypatch.setattr(falqueue.AsyncClient, "status", status)
    trace = through_both("early", mock)
    wrong = [one for one in properties.PROPERTIES_BY_ID["P55"].check(trace) if not one.holds]
    assert wrong
    assert wrong[0].found == ("COMPLETED",)
