"""Clients repeat a program, and their readings are compared to the raw answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import falqueue
from falcontract import suite
from falcontract.clients import agreement
from falcontract.clients.fal_client import FalClientAdapter
from falcontract.programs.catalogue import catalogue
from falcontract.properties.catalogue import PROPERTIES
from falcontract.steps import status, submit
from falcontract.targets import wire
from falmock.protocol.errors import AlreadyCompleted

if TYPE_CHECKING:
    from falcontract.targets.emulated import Emulated
    from falcontract.traces import Trace


def with_clients(name: str, target: Emulated) -> Trace:
    async def run() -> Trace:
        trace = await wire.run(catalogue()[name], target)
        await agreement.compare(trace, target)
        return trace

    return asyncio.run(run())


@pytest.mark.parametrize(
    "name", ["lifecycle", "early-result", "cancel-late", "run-timeout", "stream", "locked", "other-key"]
)
def test_both_clients_read_each_answer_like_the_wire(name: str, mock: Emulated) -> None:
    trace = with_clients(name, mock)
    assert {seen.client for seen in trace.observations} == {"falqueue", "fal_client"}
    assert [(seen.step, seen.found) for seen in trace.observations if seen.found != seen.expected] == []


def test_every_step_that_a_client_can_take_is_compared(mock: Emulated) -> None:
    trace = with_clients("early-result", mock)
    plain = [e for e in trace.exchanges if not e.step.path]
    assert len([seen for seen in trace.observations if seen.client == "falqueue"]) == len(plain)
    by_fal_client = [seen.exchange.step.do for seen in trace.observations if seen.client == "fal_client"]
    assert by_fal_client == [
        "submit",
        "status",
        "status",
        "status",
        "result",
    ]  # it cannot read a result early


def test_falqueue_registers_the_webhook_of_a_submit(mock: Emulated) -> None:
    trace = with_clients("webhook-error", mock)
    assert ("falqueue", ("accepted",)) in {(seen.client, seen.found) for seen in trace.observations}
    assert all(seen.found == seen.expected for seen in trace.observations)


def test_a_client_that_misreads_a_status_violates_p55(
    mock: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(*_: Any, **__: Any) -> falqueue.Status:
        return falqueue.Completed("an id")

    monkeypatch.setattr(falqueue.AsyncClient, "status", read)
    trace = with_clients("early-result", mock)
    wrong = [claim for claim in PROPERTIES["P55"].check(trace) if not claim.holds]
    assert wrong
    assert wrong[0].found == ("COMPLETED",)


def test_fal_client_sends_nothing_to_other_hosts_than_the_target(mock: Emulated) -> None:
    async def take_status_elsewhere() -> object:
        async with mock.open(catalogue()["lifecycle"]) as session:
            adapter = FalClientAdapter(session, "http://127.0.0.1:8787")
            await adapter.take(submit())
            adapter._handles["A"] = replace(adapter._handles["A"], status_url="https://fal.run/x")
            try:
                return await adapter.take(status())
            finally:
                await adapter.close()

    found = asyncio.run(take_status_elsewhere())
    assert found == ("fal.run is not the target: nothing was sent",)


def test_fal_client_is_stopped_at_its_first_retry(mock: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AlreadyCompleted, "status", 409)
    trace = with_clients("cancel-late", mock)
    retries = [(seen.found, seen.expected) for seen in trace.observations if seen.found == ("retries",)]
    assert retries == [(("retries",), ("retries",))] * 2


def test_a_client_that_is_not_installed_is_named_in_the_result(
    mock: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "missing_clients", lambda: ("fal_client",))
    (result,) = suite.run(suite.select_properties(["P55"]), mock)
    assert result.missing_clients == ("fal_client",)
    assert result.claims
