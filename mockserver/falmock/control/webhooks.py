"""Webhooks: how they stand, and word of it when they have arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from falmock.control.api import Operation
from falmock.control.schemas import Patience, Query, no_request, patience, plainly
from falmock.engine.delivery import without_secrets
from falmock.engine.lifecycle import DeliveryState  # noqa: TC001 - pydantic reads it
from falmock.http.listing import in_turns

if TYPE_CHECKING:
    from falmock.engine.emulator import Emulator
    from falmock.engine.rows import Delivery


class WebhookFilter(Query):
    """Which webhooks: all that fit, the newest `limit` of them."""

    outcome: DeliveryState | None = None
    test: str | None = None
    limit: int = Field(100, ge=1, le=10_000)
    before: str | None = Field(None, description="a request id: only webhooks that are older than its own")


class WebhookView(BaseModel):
    """A delivery as it stands. `last` is what the last attempt ended with."""

    request_id: str
    url: str
    outcome: str
    attempts: int
    last: str | None
    next_at: float | None


class WebhookList(BaseModel):
    """Deliveries, the oldest first; to go on with older ones, ask with this `before`."""

    webhooks: list[WebhookView]
    before: str | None


class WebhookWait(Query):
    """How long."""

    within: Patience = 10.0


class Webhooks:
    """Lists webhooks and waits for them."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    @property
    def operations(self) -> list[Operation]:
        """What can be asked for."""
        unknown = {404: "there is no such request, or it has no webhook"}
        return [
            Operation(
                "GET",
                "/webhooks",
                "List webhooks",
                self._list_webhooks,
                takes=WebhookFilter,
                gives=WebhookList,
                refusals={404: "there is no such webhook to begin before"},
            ),
            Operation(
                "GET",
                "/webhooks/{id}/wait",
                "Wait until a request's webhook was delivered, or has failed for good",
                self._wait_for_webhook,
                takes=WebhookWait,
                gives=WebhookView,
                refusals=unknown | {408: "neither came in time"},
            ),
        ]

    async def _list_webhooks(self, asked: WebhookFilter) -> WebhookList:
        self._emulator.advance()
        found: list[WebhookView] = []
        before = asked.before.lower() if asked.before is not None else None
        try:
            async for page in in_turns(self._emulator.store.delivery_pages_before(before)):
                found += [_told(each) for each in page if self._fits(each, asked)]
                if len(found) > asked.limit:
                    break
        except KeyError:
            raise no_request(str(asked.before), "with a webhook") from None
        shown = found[: asked.limit][::-1]
        return WebhookList(webhooks=shown, before=shown[0].request_id if len(found) > asked.limit else None)

    def _fits(self, delivery: Delivery, asked: WebhookFilter) -> bool:
        if asked.outcome not in {None, delivery.outcome}:
            return False
        if asked.test is None:
            return True
        request = self._emulator.store.request(delivery.request_id)
        return request is not None and request.test == asked.test

    async def _wait_for_webhook(self, request_id: str, asked: WebhookWait) -> WebhookView:
        with plainly(request_id, "with a webhook"):
            async with patience(asked.within, f"the webhook of {request_id} is still on its way"):
                return _told(await self._emulator.wait_for_delivery(request_id.lower()))


def _told(delivery: Delivery) -> WebhookView:
    return WebhookView(
        request_id=delivery.request_id,
        url=without_secrets(delivery.url),
        outcome=delivery.outcome,
        attempts=delivery.attempts,
        last=delivery.last,
        next_at=delivery.next_at,
    )
