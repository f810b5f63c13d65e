"""The platform API, with all headers and byte for byte: PROTOCOL.md 15."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from emulated import ENDPOINT, KEY, veo

from falmock.catalogue import Catalogue
from falmock.faults.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx
    from emulated import Mock

    Start = Callable[..., Awaitable[Mock]]

HOST = {"Host": "api.fal.ai"}
HEADERS = {
    "access-control-allow-origin": "*",
    "cache-control": "public, max-age=0, must-revalidate",
    "content-type": "application/json",
    "strict-transport-security": "max-age=63072000",
}
MODELS = "/v1/models"
PRICING = "/v1/models/pricing"


async def get(mock: Mock, path: str, headers: dict[str, str] = KEY) -> httpx.Response:
    return await mock.http.get(path, headers=HOST | headers)


def headers_of(answer: httpx.Response) -> dict[str, str]:
    changing = {"date", "content-length"}
    return {name: value for name, value in answer.headers.items() if name not in changing}


def error(kind: str, message: str) -> str:
    return json.dumps({"error": {"type": kind, "message": message}}, separators=(",", ":"))


@pytest.mark.parametrize(
    ("path", "headers", "status", "body"),
    [
        (PRICING, {}, 401, error("authorization_error", "API key authentication required")),
        (PRICING, KEY, 400, error("validation_error", "Invalid request parameters")),
        (f"{MODELS}?cursor=%3F", KEY, 400, error("validation_error", "Invalid request parameters")),
        ("/v1/serverless/apps/no/body/queue", KEY, 404, error("not_found", "Application not found")),
        (f"{PRICING}?endpoint_id=no/body", KEY, 404, error("not_found", "Resource not found")),
        (
            f"{PRICING}?endpoint_id={ENDPOINT}&endpoint_id=no/body",
            KEY,
            404,
            error("not_found", "Resource not found"),
        ),
        (
            f"{PRICING}?endpoint_id={ENDPOINT}",
            KEY,
            200,
            f'{{"prices":[{{"endpoint_id":"{ENDPOINT}","unit_price":0.5,"unit":"seconds","currency":"USD"}}],'
            '"next_cursor":null,"has_more":false}',
        ),
        (
            "/v1/account/billing",
            KEY,
            200,
            '{"username":"me","credits":{"current_balance":100.0,"currency":"USD"}}',
        ),
    ],
)
async def test_call_is_answered_with_these_bytes_and_headers(
    mock: Mock, path: str, headers: dict[str, str], status: int, body: str
) -> None:
    answer = await get(mock, path, headers)

    assert (answer.status_code, answer.text) == (status, body)
    assert headers_of(answer) == HEADERS


async def test_a_rate_limit_has_its_own_body_and_a_retry_after_header(mock: Mock) -> None:
    mock.emulator.rule_set.add(Rule(fault="rate_limited", on="platform"))

    limited, later = [await get(mock, MODELS) for _ in range(2)]

    assert (limited.status_code, limited.text) == (
        429,
        '{"error":"Too Many Requests","message":"Rate limit exceeded"}',
    )
    assert headers_of(limited) == HEADERS | {"retry-after": "10"}
    assert later.status_code == 200


async def test_cursors_are_page_numbers_in_base64_without_padding(start: Start) -> None:
    mock = await start(catalogue=Catalogue(veo(endpoint=f"fal-ai/m{n}/x") for n in range(11)))
    cursors: list[Any] = [None]
    seen: list[str] = []
    while cursors[-1] is not None or not seen:
        query = f"&cursor={cursors[-1]}" if cursors[-1] else ""
        page = (await get(mock, f"{MODELS}?limit=1{query}")).json()
        seen += [model["endpoint_id"] for model in page["models"]]
        cursors.append(page["next_cursor"])
        assert page["has_more"] == (page["next_cursor"] is not None)

    assert cursors == [None, "Mg", "Mw", "NA", "NQ", "Ng", "Nw", "OA", "OQ", "MTA", "MTE", None]
    assert seen == [f"fal-ai/m{n}/x" for n in range(11)]


@pytest.mark.parametrize(("headers", "favourite"), [({}, None), (KEY, False)], ids=["anonymous", "key"])
async def test_a_model_has_the_recorded_metadata(
    mock: Mock, headers: dict[str, str], favourite: object
) -> None:
    (model,) = (await get(mock, f"{MODELS}?endpoint_id={ENDPOINT}", headers)).json()["models"]

    assert model == {
        "endpoint_id": ENDPOINT,
        "metadata": {
            "display_name": "Veo2 Image To Video",
            "category": "image-to-video",
            "description": "Veo2 Image To Video, emulated by falmock",
            "status": "active",
            "tags": [],
            "updated_at": "2025-01-01T00:00:00.000Z",
            "is_favorited": favourite,
            "thumbnail_url": "",
            "model_url": f"https://fal.run/{ENDPOINT}",
            "date": "2025-01-01T00:00:00.000Z",
            "highlighted": False,
            "pinned": False,
            "license_type": "commercial",
            "group": {"key": "veo2", "label": "Image To Video"},
            "kind": "inference",
        },
    }


async def test_estimate_multiplies_units_and_price(mock: Mock) -> None:
    body = {"estimate_type": "unit_price", "endpoints": {ENDPOINT: {"unit_quantity": 100}}}

    answer = await mock.http.post(f"{PRICING}/estimate", json=body, headers=HOST | KEY)

    assert answer.text == '{"estimate_type":"unit_price","total_cost":50.0,"currency":"USD"}'
    assert headers_of(answer) == HEADERS
