"""Waiting for a state or a webhook. The other calls are tested through HTTP, in tests/falmock/http."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import respx

from falmock.engine.lifecycle import State
from falmock.protocol.errors import RequestNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulated import Mock


HOOK = "http://localhost:3000/hook"


@pytest.fixture
def receiver() -> Iterator[respx.Route]:
    with respx.mock(assert_all_called=False) as router:
        yield router.post(HOOK).respond(200)


async def test_wait_for_returns_when_the_state_is_reached(mock: Mock) -> None:
    submitted = await mock.submit()
    waiting = asyncio.create_task(mock.emulator.wait_for(submitted["request_id"], State.IN_PROGRESS))

    await mock.pass_time(1)

    assert (await waiting).state == State.IN_PROGRESS


async def test_wait_for_returns_at_the_end_when_the_state_was_missed(mock: Mock) -> None:
    submitted = await mock.submit()
    await mock.pass_time(60)

    assert (await mock.emulator.wait_for(submitted["request_id"], State.IN_PROGRESS)).state == "COMPLETED"


async def test_wait_for_delivery_returns_when_the_webhook_was_delivered(
    mock: Mock, receiver: respx.Route
) -> None:
    submitted = await mock.submit(query=f"?fal_webhook={HOOK}")
    waiting = asyncio.create_task(mock.emulator.wait_for_delivery(submitted["request_id"]))

    await mock.pass_time(60)

    assert (await waiting).outcome == "delivered"


async def test_wait_for_delivery_returns_when_the_webhook_has_failed_for_good(
    mock: Mock, receiver: respx.Route
) -> None:
    receiver.respond(302)
    submitted = await mock.submit(query=f"?fal_webhook={HOOK}")
    await mock.pass_time(60)

    assert (await mock.emulator.wait_for_delivery(submitted["request_id"])).outcome == "failed"


async def test_wait_for_delivery_without_a_webhook_is_refused(mock: Mock) -> None:
    submitted = await mock.submit()

    with pytest.raises(RequestNotFound):
        await mock.emulator.wait_for_delivery(submitted["request_id"])
