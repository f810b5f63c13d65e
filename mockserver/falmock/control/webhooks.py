"""Operations on webhooks: list, wait, send again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from falmock.control.api import operation
from falmock.control.refusals import no_request, refusals_of, time_limit
from falmock.control.schemas import Redelivery, WebhookFilter, WebhookList, WebhookView, Within
from falmock.engine.delivery import without_secrets
from falmock.faults.vocabulary import FaultError, parse
from falmock.http.listing import newest
from falmock.inspection.journal import journal_of

if TYPE_CHECKING:
    from falmock.engine.emulator import Emulator
    from falmock.engine.rows import Delivery


class WebhookControl:
    """Lists webhooks and waits for them."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    @operation("GET", "/webhooks", refusals={404: "there is no webhook of the request `before`"})
    async def list_webhooks(self, query: WebhookFilter) -> WebhookList:
        """List webhooks."""
        self._emulator.advance()
        pages = self._emulator.store.delivery_pages_before(query.before and query.before.lower())
        try:
            views, more = await newest(
                pages, query.limit, view=self._view, matches=lambda row: self._matches(row, query)
            )
        except KeyError:
            raise no_request(str(query.before), "with a webhook") from None
        return WebhookList(webhooks=views[::-1], before=views[-1].request_id if more else None)

    @operation(
        "GET",
        "/webhooks/{id}/wait",
        refusals={
            404: "there is no such request, or it has no webhook",
            408: "the delivery has not ended in time",
        },
    )
    async def wait(self, request_id: str, query: Within) -> WebhookView:
        """Wait until a request's webhook is delivered or has failed for good."""
        with refusals_of(request_id, "with a webhook"):
            async with time_limit(query.within, f"the webhook of {request_id} is still on its way"):
                return self._view(await self._emulator.wait_for_delivery(request_id.lower()))

    @operation(
        "POST",
        "/webhooks/{id}/redeliver",
        refusals={404: "there is no such request, or it has no webhook yet"},
    )
    async def redeliver(self, request_id: str, body: Redelivery) -> WebhookView:
        """Send a webhook again now, perhaps with a fault."""
        with refusals_of(request_id, "with a webhook that was due"):
            try:
                fault = None if body.fault is None else parse(body.fault)
                return self._view(self._emulator.manual.redeliver(request_id.lower(), fault))
            except FaultError as error:
                raise HTTPException(422, str(error)) from None

    def _matches(self, delivery: Delivery, query: WebhookFilter) -> bool:
        if query.outcome not in {None, delivery.outcome}:
            return False
        if query.test is None:
            return True
        request = self._emulator.store.request(delivery.request_id)
        return request is not None and request.test == query.test

    def _view(self, delivery: Delivery) -> WebhookView:
        return WebhookView(
            request_id=delivery.request_id,
            url=journal_of(self._emulator).redact.text(without_secrets(delivery.url)),
            outcome=delivery.outcome,
            attempts=delivery.attempts,
            last=delivery.last,
            next_at=delivery.next_at,
        )
