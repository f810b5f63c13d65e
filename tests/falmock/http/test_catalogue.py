"""The platform API's models and prices: PROTOCOL.md 15."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from emulated import ENDPOINT, KEY, Mock, veo

from falmock.catalogue import BUNDLED
from falmock.catalogue.documents import document

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

V1 = "/api.fal.ai/v1"
REQUIRED = {
    "display_name",
    "category",
    "description",
    "status",
    "tags",
    "updated_at",
    "is_favorited",
    "thumbnail_url",
    "model_url",
    "date",
    "highlighted",
    "pinned",
    "license_type",
    "group",
    "kind",
}


@pytest.mark.parametrize(
    "query",
    [
        "?limit=5000",
        "?q=VEO2",
        "?limit=500&category=image-to-video",
        f"?endpoint_id={ENDPOINT}",
        "?q=veo2/&status=active",
    ],
)
async def test_model_is_found_by_id_category_or_words(mock: Mock, query: str) -> None:
    found = (await mock.http.get(f"{V1}/models{query}")).json()["models"]

    assert ENDPOINT in [model["endpoint_id"] for model in found]


@pytest.mark.parametrize(
    "query", ["?q=no-such-model", "?q=veo2&category=text-to-image", "?status=deprecated"]
)
async def test_models_that_do_not_match_the_query_are_not_listed(mock: Mock, query: str) -> None:
    answer = (await mock.http.get(f"{V1}/models{query}")).json()

    assert answer == {"models": [], "next_cursor": None, "has_more": False}


@pytest.mark.parametrize(
    ("endpoint", "category"),
    [
        (ENDPOINT, "image-to-video"),
        ("fal-ai/flux/dev", "text-to-image"),  # it takes num_images, but no image
        ("fal-ai/flux-pro/kontext", "image-to-image"),
        ("fal-ai/whisper", "audio-to-text"),
        ("fal-ai/trellis", "image-to-3d"),
        ("fal-ai/flux-lora-fast-training", "training"),
    ],
)
async def test_the_category_of_a_model_says_what_it_takes_and_makes(
    mock: Mock, endpoint: str, category: str
) -> None:
    answer = await mock.http.get(f"{V1}/models?endpoint_id={endpoint}")

    assert answer.json()["models"][0]["metadata"]["category"] == category


async def test_model_metadata_has_the_fields_that_fal_sends(mock: Mock) -> None:
    (model, *_) = (await mock.http.get(f"{V1}/models")).json()["models"]

    assert set(model["metadata"]) == REQUIRED


@pytest.mark.parametrize(("headers", "expected"), [({}, None), (KEY, False)])
async def test_favourites_are_null_without_a_known_key(mock: Mock, headers: Any, expected: object) -> None:
    (model, *_) = (await mock.http.get(f"{V1}/models", headers=headers)).json()["models"]

    assert model["metadata"]["is_favorited"] is expected


async def test_model_has_its_schema_when_the_query_asks_for_it(mock: Mock) -> None:
    query = f"?endpoint_id={ENDPOINT}&expand=openapi-3.0"
    (model,) = (await mock.http.get(f"{V1}/models{query}")).json()["models"]

    assert model["openapi"] == document(veo().entry)


async def test_pricing_returns_the_list_price(mock: Mock) -> None:
    answer = await mock.get(f"{V1}/models/pricing?endpoint_id={ENDPOINT}")

    assert answer.json() == {
        "prices": [{"endpoint_id": ENDPOINT, "unit_price": 0.5, "unit": "seconds", "currency": "USD"}],
        "next_cursor": None,
        "has_more": False,
    }


@pytest.mark.parametrize(
    ("kind", "quantity", "usd"),
    [
        ("historical_api_price", {"call_quantity": 3}, 7.5),
        ("unit_price", {"unit_quantity": 8}, 4.0),
    ],
)
async def test_estimate_multiplies_quantity_and_price(
    mock: Mock, kind: str, quantity: Any, usd: float
) -> None:
    body = {"estimate_type": kind, "endpoints": {ENDPOINT: quantity}}
    answer = await mock.http.post(f"{V1}/models/pricing/estimate", json=body, headers=KEY)

    assert answer.json() == {"estimate_type": kind, "total_cost": usd, "currency": "USD"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"estimate_type": "guess", "endpoints": {}},
        {"estimate_type": "unit_price", "endpoints": {ENDPOINT: {}}},
    ],
)
async def test_estimate_without_a_quantity_is_400(mock: Mock, body: Any) -> None:
    answer = await mock.http.post(f"{V1}/models/pricing/estimate", json=body, headers=KEY)

    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "validation_error")


@pytest.mark.parametrize(
    "path", ["/models?endpoint_id=fal-ai/flux", "/models/pricing?endpoint_id=fal-ai/flux"]
)
async def test_unknown_model_is_404(mock: Mock, path: str) -> None:
    answer = await mock.get(V1 + path)

    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found")


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "cursor=?", "cursor=MA=="])
async def test_invalid_page_is_400(mock: Mock, query: str) -> None:
    assert (await mock.http.get(f"{V1}/models?{query}")).status_code == 400


async def test_page_beyond_the_last_is_empty(mock: Mock) -> None:
    longest = base64.urlsafe_b64encode(b"9" * 4300).decode()  # a number of as many digits as Python reads
    answer = await mock.http.get(f"{V1}/models?cursor={longest}")

    assert (answer.status_code, answer.json()["models"]) == (200, [])


async def test_cursor_leads_to_the_next_page(mock: Mock) -> None:
    second = base64.b64encode(b"2").decode().rstrip("=")
    answer = (await mock.http.get(f"{V1}/models?limit=1&cursor={second}")).json()

    assert [model["endpoint_id"] for model in answer["models"]] == [list(BUNDLED.endpoints)[1]]


@pytest.mark.parametrize("path", ["/models/pricing", "/account/billing"])
async def test_prices_and_credit_need_a_key(mock: Mock, path: str) -> None:
    assert (await mock.http.get(V1 + path)).status_code == 401


@pytest.mark.parametrize(("locked", "usd"), [((), 100.0), (("me",), 0.0)])
async def test_credit_is_fixed_or_zero_for_a_locked_account(
    start: Callable[..., Awaitable[Mock]], locked: tuple[str, ...], usd: float
) -> None:
    mock = await start(locked=locked)

    assert (await mock.get(f"{V1}/account/billing")).json() == {
        "username": "me",
        "credits": {"current_balance": usd, "currency": "USD"},
    }


async def test_openapi_document_is_at_the_path_of_the_live_website(mock: Mock) -> None:
    answer = await mock.http.get(f"/fal.ai/api/openapi/queue/openapi.json?endpoint_id={ENDPOINT}")

    assert answer.json() == document(veo().entry)


@pytest.mark.parametrize("query", ["", "?endpoint_id=fal-ai/no-such-model"])
async def test_openapi_document_of_an_unknown_model_is_404(mock: Mock, query: str) -> None:
    assert (await mock.http.get(f"/fal.ai/api/openapi/queue/openapi.json{query}")).status_code == 404
