"""The platform API's host, `api.fal.ai`, and OpenAPI documents on the website (PROTOCOL.md 4.9 and 15)."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from falmock.catalogue import documents, sources
from falmock.engine.keys import Caller
from falmock.http import access, rest
from falmock.http.listing import through
from falmock.http.reading import read_model
from falmock.protocol import endpoints, errors
from falmock.protocol.hosts import RUN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from falmock.catalogue import Catalogue, Model, Price
    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Keyring

PAGE: Final = 50
ADDED: Final = "2025-01-01T00:00:00.000Z"  # the date of every model; the real ones are not known


class Quantity(BaseModel):
    """The usage of an endpoint, in calls or in billing units."""

    call_quantity: int | None = Field(None, ge=1)
    unit_quantity: float | None = Field(None, ge=0)


class EstimateBody(BaseModel):
    """`POST /models/pricing/estimate`."""

    estimate_type: Literal["historical_api_price", "unit_price"]
    endpoints: dict[str, Quantity]


def platform_routes(emulator: Emulator, keyring: Keyring) -> list[Route]:
    """Return the routes of `api.fal.ai`."""
    host = _Platform(emulator, keyring)
    return [
        Route("/v1/meta", host.meta, methods=["GET"]),
        Route("/v1/serverless/apps/{owner}/{name}/queue", host.queue, methods=["GET", "DELETE"]),
        Route("/v1/models/requests/{id}/payloads", host.payloads, methods=["DELETE"]),
        Route("/v1/models", host.models, methods=["GET"]),
        Route("/v1/models/pricing", host.pricing, methods=["GET"]),
        Route("/v1/models/pricing/estimate", host.estimate, methods=["POST"]),
        Route("/v1/account/billing", host.billing, methods=["GET"]),
    ]


class _Platform:
    def __init__(self, emulator: Emulator, keyring: Keyring) -> None:
        self._emulator = emulator
        self._catalogue = emulator.catalogue
        self._keyring = keyring

    async def meta(self, _: Request) -> Response:
        """Return the addresses that webhooks come from. It takes no credentials."""
        return JSONResponse({"webhook_ip_ranges": ["127.0.0.1/32"]})

    async def queue(self, request: Request) -> Response:
        """Return the length of an application's queue, or empty it."""
        access.caller_of_platform(request, self._keyring)
        endpoint = endpoints.parse("{owner}/{name}".format(**request.path_params))
        if endpoint is None or not self._catalogue.has_application(endpoint.application):
            raise errors.PlatformApiError("not_found", "Application not found")
        if request.method == "DELETE":
            await through(self._emulator.flush(endpoint.application))
            return Response(status_code=204)
        return JSONResponse({"queue_size": len(self._emulator.waiting_jobs(endpoint.application))})

    async def payloads(self, request: Request) -> Response:
        """Delete a request's payloads."""
        caller = access.caller_of_platform(request, self._keyring)
        try:
            return JSONResponse(
                rest.delete_payloads(self._emulator, self._keyring, caller, request.path_params["id"])
            )
        except errors.RequestNotFound:
            raise errors.PlatformApiError("not_found") from None

    async def models(self, request: Request) -> Response:
        """List models."""
        known = isinstance(self._keyring.identify(request.headers.get("authorization")), Caller)
        query = request.query_params
        wanted = query.get("category")
        found = [
            name
            for name in _requested(request, self._catalogue) or self._catalogue.endpoints
            if query.get("q", "").lower() in name
            and query.get("status", "active") == "active"
            # Without a category, only the models of the page are read
            and (wanted is None or wanted == _category(_model(self._catalogue, name)))
        ]
        with_schema = "openapi-3.0" in query.getlist("expand")
        page, cursor = _page(request, found)
        items = [
            _described(_model(self._catalogue, name), known=known, with_schema=with_schema) for name in page
        ]
        return JSONResponse({"models": items, "next_cursor": cursor, "has_more": cursor is not None})

    async def pricing(self, request: Request) -> Response:
        """Return the prices of some models."""
        access.caller_of_platform(request, self._keyring, "API key authentication required")
        requested = _requested(request, self._catalogue)
        if not requested:
            raise errors.PlatformApiError("validation_error")
        page, cursor = _page(request, requested)
        prices = [_priced(_model(self._catalogue, name)) for name in page]
        return JSONResponse({"prices": prices, "next_cursor": cursor, "has_more": cursor is not None})

    async def estimate(self, request: Request) -> Response:
        """Return the price of some usage."""
        access.caller_of_platform(request, self._keyring)
        try:
            body = await read_model(request, EstimateBody)
        except (errors.InvalidBody, errors.UnparseableBody):
            raise errors.PlatformApiError("validation_error") from None
        total = sum(
            _cost(_model(self._catalogue, name), quantity) for name, quantity in body.endpoints.items()
        )
        return JSONResponse(
            {"estimate_type": body.estimate_type, "total_cost": round(total, 6), "currency": "USD"}
        )

    async def billing(self, request: Request) -> Response:
        """Return the caller's credit: a fixed number, or zero for a locked account."""
        caller = access.caller_of_platform(request, self._keyring)
        credit = {"current_balance": caller.balance, "currency": "USD"}
        return JSONResponse({"username": caller.key_id, "credits": credit})


async def platform_not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a call for an unknown path."""
    error = errors.PlatformApiError("not_found")
    await Response(error.content(), error.status, media_type="application/json")(scope, receive, send)


def website_routes(catalogue: Catalogue) -> list[Route]:
    """Return the routes of fal's website: an OpenAPI document for each model."""

    async def document(request: Request) -> Response:
        model = catalogue.get(request.query_params.get("endpoint_id", "").strip("/"))
        if model is None:
            raise errors.NotFound
        return JSONResponse(documents.document(model.entry))

    return [Route("/api/openapi/queue/openapi.json", document, methods=["GET"])]


def _requested(request: Request, catalogue: Catalogue) -> list[str]:
    """Return the endpoint ids that a call names; an unknown one is refused."""
    names = [name for text in request.query_params.getlist("endpoint_id") for name in text.split(",") if name]
    if not set(names) <= set(catalogue.endpoints):
        raise errors.PlatformApiError("not_found")
    return names


def _model(catalogue: Catalogue, name: str) -> Model:
    model = catalogue.get(name)
    if model is None:
        raise errors.PlatformApiError("not_found")
    return model


def _page(request: Request, names: Sequence[str]) -> tuple[Sequence[str], str | None]:
    """Return a page, and the cursor of the next page: its number in base64, without padding."""
    query = request.query_params
    try:
        limit = int(query.get("limit", PAGE))
        number = _page_number(query["cursor"]) if "cursor" in query else 1
    except (ValueError, binascii.Error):
        raise errors.PlatformApiError("validation_error") from None
    if limit < 1 or number < 1:
        raise errors.PlatformApiError("validation_error")
    end = number * limit
    return names[end - limit : end], _cursor(number + 1) if end < len(names) else None


def _cursor(page: int) -> str:
    return base64.urlsafe_b64encode(str(page).encode()).decode().rstrip("=")


def _page_number(cursor: str) -> int:
    return int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))


def _category(model: Model) -> str:
    """Return fal's category of a model, or one such as "text-to-image" from its files."""
    entry = model.entry
    if entry.category or entry.medium == "weights":
        return entry.category or "training"
    kinds = sources.kinds(entry)
    source = next((kind for kind in ("video", "audio", "image") if kind in kinds), "text")
    return f"{source}-to-{'3d' if entry.medium == 'mesh' else entry.medium}"


def _price(model: Model) -> Price:
    if model.entry.price is None:
        raise errors.PlatformApiError("not_found")
    return model.entry.price


def _priced(model: Model) -> dict[str, Any]:
    price = _price(model)
    return {
        "endpoint_id": model.endpoint,
        "unit_price": price.usd,
        "unit": price.unit,
        "currency": "USD",
    }


def _described(model: Model, *, known: bool, with_schema: bool) -> dict[str, Any]:
    _, alias, *path = model.endpoint.split("/")
    name = _title(alias, *path)
    metadata: dict[str, Any] = {
        "display_name": name,
        "category": _category(model),
        "description": f"{name}, emulated by falmock",
        "status": "active",
        "tags": [],
        "updated_at": ADDED,
        "is_favorited": False if known else None,
        "thumbnail_url": "",
        "model_url": f"https://{RUN}/{model.endpoint}",
        "date": ADDED,
        "highlighted": False,
        "pinned": False,
        "license_type": "commercial",
        "group": {"key": alias, "label": _title(*path) or name},
        "kind": "inference",  # fal has a `stream_url` after it for a model with a stream
    }
    schema = {"openapi": documents.document(model.entry)} if with_schema else {}
    return {"endpoint_id": model.endpoint, "metadata": metadata, **schema}


def _title(*segments: str) -> str:
    return " ".join(segments).replace("-", " ").title()


def _cost(model: Model, quantity: Quantity) -> float:
    if quantity.unit_quantity is not None:
        return quantity.unit_quantity * _price(model).usd
    if quantity.call_quantity is None:
        raise errors.PlatformApiError("validation_error")
    return quantity.call_quantity * _usual_units(model) * _price(model).usd


def _usual_units(model: Model) -> float:
    """Return the billing units of a call with default input."""
    usual = model.input.model_construct()  # required fields are left out, because they do not count
    return model.expected_units(usual) or 0.0
