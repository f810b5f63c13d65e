"""Operations on requests and their webhooks: list, wait, hold, release, finish, fail, send again."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException

from falmock.control import schemas
from falmock.control.api import Part, operation, time_limit
from falmock.engine.delivery import without_secrets
from falmock.engine.lifecycle import State
from falmock.faults.vocabulary import FaultError, parse
from falmock.http.listing import newest
from falmock.protocol.errors import AlreadyCompleted, RequestNotFound
from falmock.protocol.patterns import matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falmock.engine.rows import Delivery, Request

UNKNOWN: Final = {404: "there is no such request"}
COMPLETED: Final = {409: "the request is completed"}
LATE: Final = {408: "the state was not reached in time"}


class RequestControl(Part):
    """Lists requests, waits for them, and changes their course."""

    @operation("GET", "/requests", refusals={404: "there is no request with the id `before`"})
    async def list_requests(self, query: schemas.RequestFilter) -> schemas.RequestList:
        """List requests."""
        self._emulator.advance()
        pages = self._emulator.store.request_pages_before(query.before and query.before.lower())
        try:
            views, more = await newest(
                pages, query.limit, view=self._view, matches=lambda row: _matches(row, query)
            )
        except KeyError:
            raise _no_request(str(query.before)) from None
        return schemas.RequestList(requests=views[::-1], before=views[-1].id if more else None)

    @operation("GET", "/requests/{id}", refusals=UNKNOWN)
    async def show(self, request_id: str) -> schemas.RequestView:
        """Show a request."""
        request = self._emulator.request(request_id.lower())
        if request is None:
            raise _no_request(request_id)
        return self._view(request)

    @operation("GET", "/requests/{id}/wait", refusals=UNKNOWN | LATE)
    async def wait(self, request_id: str, query: schemas.RequestWait) -> schemas.RequestView:
        """Wait until a request reaches a state or is completed."""
        with _refusals_of(request_id):
            async with time_limit(query.within, f"{request_id} is not {query.state}"):
                return self._view(await self._emulator.wait_for(request_id.lower(), query.state))

    @operation("POST", "/requests/{id}/hold", refusals=UNKNOWN | COMPLETED)
    async def hold(self, request_id: str) -> schemas.RequestView:
        """Keep a request in its state: it is not started, or its run does not end."""
        with _refusals_of(request_id):
            return self._view(self._emulator.manual.hold(request_id.lower()))

    @operation("POST", "/requests/{id}/release", refusals=UNKNOWN | COMPLETED)
    async def release(self, request_id: str) -> schemas.RequestView:
        """Release a held request."""
        with _refusals_of(request_id):
            return self._view(self._emulator.manual.release(request_id.lower()))

    @operation("POST", "/requests/{id}/finish", refusals=UNKNOWN | COMPLETED | LATE)
    async def finish(self, request_id: str, body: schemas.Within) -> schemas.RequestView:
        """End a request now with its own outcome, and wait until that is rendered."""
        with _refusals_of(request_id):
            self._emulator.manual.finish(request_id.lower())
        return await self.wait(request_id, schemas.RequestWait(within=body.within))

    @operation("POST", "/requests/{id}/fail", refusals=UNKNOWN | COMPLETED)
    async def fail(self, request_id: str, body: schemas.Failure) -> schemas.RequestView:
        """End a request now with an error of the model or the platform."""
        with _refusals_of(request_id):
            return self._view(self._emulator.manual.fail(request_id.lower(), parse(body.fault)))

    def _view(self, request: Request) -> schemas.RequestView:
        return schemas.RequestView(
            id=request.id,
            endpoint=self._redact.text(request.endpoint),
            caller=self._redact.text(request.caller),
            test=self._redact.name(request.test),
            state=State(request.state),
            held=bool(request.held),
            position=self._emulator.position(request) if request.state == State.IN_QUEUE else None,
            submitted_at=request.submitted_at,
            started_at=request.started_at,
            completed_at=request.completed_at,
            attempts=request.attempts,
            status=request.status,
            error_type=request.error_type,
            webhook=self._redact.name(request.webhook and without_secrets(request.webhook)),
            faults=list(request.injections),
        )


class WebhookControl(Part):
    """Lists webhooks and waits for them."""

    @operation("GET", "/webhooks", refusals={404: "there is no webhook of the request `before`"})
    async def list_webhooks(self, query: schemas.WebhookFilter) -> schemas.WebhookList:
        """List webhooks."""
        self._emulator.advance()
        pages = self._emulator.store.delivery_pages_before(query.before and query.before.lower())
        try:
            views, more = await newest(
                pages, query.limit, view=self._view, matches=lambda row: self._matches(row, query)
            )
        except KeyError:
            raise _no_request(str(query.before), "with a webhook") from None
        return schemas.WebhookList(webhooks=views[::-1], before=views[-1].request_id if more else None)

    @operation(
        "GET",
        "/webhooks/{id}/wait",
        refusals={
            404: "there is no such request, or it has no webhook",
            408: "the delivery has not ended in time",
        },
    )
    async def wait(self, request_id: str, query: schemas.Within) -> schemas.WebhookView:
        """Wait until a request's webhook is delivered or has failed for good."""
        with _refusals_of(request_id, "with a webhook"):
            async with time_limit(query.within, f"the webhook of {request_id} is still on its way"):
                return self._view(await self._emulator.wait_for_delivery(request_id.lower()))

    @operation(
        "POST",
        "/webhooks/{id}/redeliver",
        refusals={404: "there is no such request, or it has no webhook yet"},
    )
    async def redeliver(self, request_id: str, body: schemas.Redelivery) -> schemas.WebhookView:
        """Send a webhook again now, perhaps with a fault."""
        with _refusals_of(request_id, "with a webhook that was due"):
            fault = None if body.fault is None else parse(body.fault)
            return self._view(self._emulator.manual.redeliver(request_id.lower(), fault))

    def _matches(self, delivery: Delivery, query: schemas.WebhookFilter) -> bool:
        if query.outcome not in {None, delivery.outcome}:
            return False
        if query.test is None:
            return True
        request = self._emulator.store.request(delivery.request_id)
        return request is not None and request.test == query.test

    def _view(self, delivery: Delivery) -> schemas.WebhookView:
        return schemas.WebhookView(
            request_id=delivery.request_id,
            url=self._redact.text(without_secrets(delivery.url)),
            outcome=delivery.outcome,
            attempts=delivery.attempts,
            last=delivery.last,
            next_at=delivery.next_at,
        )


@contextmanager
def _refusals_of(request_id: str, which: str = "") -> Iterator[None]:
    """Translate the emulator's exceptions about a request."""
    try:
        yield
    except RequestNotFound:
        raise _no_request(request_id, which) from None
    except FaultError as error:
        raise HTTPException(422, str(error)) from None
    except AlreadyCompleted:
        raise HTTPException(409, f"{request_id} is completed and cannot change any more") from None


def _no_request(request_id: str, which: str = "") -> HTTPException:
    """Return the 404 for an unknown request id."""
    return HTTPException(404, f"there is no request {request_id} {which}".rstrip())


def _matches(request: Request, query: schemas.RequestFilter) -> bool:
    return (
        query.state in {None, request.state}
        and query.caller in {None, request.caller}
        and query.test in {None, request.test}
        and (query.endpoint is None or matches(request.endpoint, query.endpoint))
    )
