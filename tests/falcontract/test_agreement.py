"""All doors lead to the same room, and a door that lies is found out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import falqueue
from falcontract import agreement, programs, properties, suite, wire
from falcontract.fal_client_door import FalClientAdapter
from falcontract.steps import status, submit
from falmock.errors import AlreadyCompleted

if TYPE_CHECKING:
    from falcontract.emulated import Emulated
    from falcontract.traces import Trace


def through_all(name: str, target: Emulated) -> Trace:
    async def run() -> Trace:
        trace = await wire.run(programs.catalogue()[name], target)
        await agreement.compare(trace, target)
        return trace

    return asyncio.run(run())


@pytest.mark.parametrize(
    "name", ["lifecycle", "early-result", "cancel-late", "run-timeout", "stream", "locked", "other-key"]
)
def test_client_and_wire_agree(name: str, mock: Emulated) -> None:
    trace = through_all(name, mock)
    assert {look.door for look in trace.observations} == {"falqueue", "fal_client"}
    assert [(look.step, look.client) for look in trace.observations if look.client != look.wire] == []


def test_every_step_that_a_client_can_take_is_compared(mock: Emulated) -> None:
    trace = through_all("early-result", mock)
    plain = [e for e in trace.exchanges if not e.step.path]
    assert len([look for look in trace.observations if look.door == "falqueue"]) == len(plain)
    by_fal = [look.exchange.step.do for look in trace.observations if look.door == "fal_client"]
    assert by_fal == ["submit", "status", "status", "status", "result"]  # it waits instead of asking early


def test_a_webhook_is_named_through_the_client_too(mock: Emulated) -> None:
    trace = through_all("webhook-error", mock)
    assert ("falqueue", ("accepted",)) in {(look.door, look.client) for look in trace.observations}
    assert all(look.client == look.wire for look in trace.observations)


def test_a_client_that_misunderstands_is_found_out(mock: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    async def status(*_: Any, **__: Any) -> falqueue.Status:
        return falqueue.Completed("an id")

    monkeypatch.setattr(falqueue.AsyncClient, "status", status)
    trace = through_all("early-result", mock)
    wrong = [one for one in properties.PROPERTIES["P55"].check(trace) if not one.holds]
    assert wrong
    assert wrong[0].found == ("COMPLETED",)


def test_fals_client_is_led_to_the_target_and_to_nowhere_else(mock: Emulated) -> None:
    async def elsewhere() -> object:
        async with mock.open(programs.catalogue()["lifecycle"]) as session:
            door = FalClientAdapter(session, "http://127.0.0.1:8787")
            await door.ask(submit())
            door._handles["A"] = replace(door._handles["A"], status_url="https://fal.run/x")
            try:
                return await door.ask(status())
            finally:
                await door.close()

    found = asyncio.run(elsewhere())
    assert found == ("fal.run is not the target: nothing was sent",)


def test_fals_client_does_not_keep_anybody_waiting_when_it_asks_again(
    mock: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AlreadyCompleted, "status", 409)
    trace = through_all("cancel-late", mock)
    again = [(look.client, look.wire) for look in trace.observations if look.client == ("asks again",)]
    assert again == [(("asks again",), ("asks again",))] * 2


def test_a_client_that_is_not_installed_is_named(mock: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "absent", lambda: ("fal_client",))
    (shown,) = suite.run(suite.select_properties(["P55"]), mock)
    assert shown.without == ("fal_client",)
    assert shown.claims
