"""The page of webhooks, and the webhook on the page of a request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import respx

from falmock.engine.signing import Signer
from falmock.web.webhooks import objection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from emulated import Mock
    from markup import Element

    Page = Callable[..., Awaitable[Element]]

HOOK = "http://localhost:3000/hook"
NOW = 1_800_000_000
SIGNER = Signer(bytes(32))
BODY = b'{"a": 1}'


@pytest.fixture
def receiver() -> Iterator[respx.Route]:
    with respx.mock(assert_all_called=False) as router:
        yield router.post(HOOK).respond(200, json={"<b>": "<script>alert(1)</script>"})


async def delivered(mock: Mock) -> str:
    answer = await mock.finish(query=f"?fal_webhook={HOOK}?token=hush")
    return str(answer.headers["x-fal-request-id"])


async def test_an_empty_list_says_how_to_ask_for_a_webhook(page: Page) -> None:
    assert "fal_webhook=" in (await page("/ui/webhooks")).one("pre", id="first").text


async def test_deliveries_are_listed_without_the_secrets_of_their_urls(
    mock: Mock, page: Page, receiver: respx.Route
) -> None:
    request_id = await delivered(mock)

    row = (await page("/ui/webhooks")).one("tr", id=f"w-{request_id}")

    assert [cell.text for cell in row.all("td")[:3]] == [
        "delivered",
        f"{HOOK} fal-ai/veo2/image-to-video",
        "200 attempt 1",
    ]


@pytest.mark.parametrize(("outcome", "count"), [("", 2), ("delivered", 1), ("failed", 1), ("pending", 0)])
async def test_deliveries_are_filtered_by_outcome(
    mock: Mock, page: Page, receiver: respx.Route, outcome: str, count: int
) -> None:
    await delivered(mock)
    receiver.respond(302)
    await delivered(mock)

    rows = (await page("/ui/webhooks", outcome=outcome)).one("tbody", id="rows").all("tr")

    assert len(rows) == count


async def test_an_impossible_outcome_is_explained(mock: Mock) -> None:
    assert (await mock.http.get("/ui/webhooks?outcome=nice")).status_code == 422


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        ("", "signature verified"),
        ("webhook_bad_signature", "its signature does not match the body"),
        ("webhook_reserialized", "its signature does not match the body"),
        ("webhook_old_timestamp", "its timestamp is"),
        ("webhook_rotated_key", "signature verified"),
    ],
)
async def test_a_webhook_is_sent_again_by_a_form_and_its_signature_is_judged(
    mock: Mock, page: Page, receiver: respx.Route, fault: str, verdict: str
) -> None:
    request_id = await delivered(mock)

    answer = await mock.http.post(f"/ui/webhooks/{request_id}/redeliver", data={"fault": fault})
    await mock.pass_time(0)
    attempts = (await page(answer.headers["location"])).one("div", id="attempts").all("details")

    assert (answer.status_code, receiver.call_count) == (303, 2)
    assert "signature verified" in attempts[0].text
    assert verdict in attempts[1].text


async def test_a_webhook_is_sent_twice_by_a_form(mock: Mock, receiver: respx.Route) -> None:
    request_id = await delivered(mock)

    await mock.http.post(f"/ui/webhooks/{request_id}/redeliver", data={"fault": "webhook_twice"})
    await mock.pass_time(60)

    assert receiver.call_count == 3  # the first, and two more


async def test_the_answer_of_a_receiver_stays_text(mock: Mock, page: Page, receiver: respx.Route) -> None:
    request_id = await delivered(mock)
    link = (await page(f"/ui/requests/{request_id}")).one("div", id="attempts").one("a")["href"]

    exchange = (await page(link)).one("div", class_="exchange")

    assert json.loads(exchange.all("pre")[1].text) == {"<b>": "<script>alert(1)</script>"}
    assert exchange.all("script") == []


@pytest.mark.parametrize("fault", ["webhook_lost", "content_policy_violation", "nonsense"])
async def test_another_fault_is_explained(mock: Mock, receiver: respx.Route, fault: str) -> None:
    request_id = await delivered(mock)

    answer = await mock.http.post(f"/ui/webhooks/{request_id}/redeliver", data={"fault": fault})

    assert (answer.status_code, receiver.call_count) == (422, 1)


async def test_a_request_without_a_webhook_has_none_to_send(mock: Mock) -> None:
    submitted = await mock.submit()

    answer = await mock.http.post(f"/ui/webhooks/{submitted['request_id']}/redeliver")

    assert answer.status_code == 404


# Verdicts


def headers(**changes: Any) -> dict[str, str]:
    given: dict[str, Any] = {"request_id": "r", "user_id": "u", "timestamp": NOW, "body": BODY}
    return {name.lower(): value for name, value in SIGNER.webhook_headers(**given | changes).items()}


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (headers(), None),
        (headers(timestamp=NOW - 300), None),
        (headers(timestamp=NOW - 301), "its timestamp is 301 s old"),
        (headers(timestamp=NOW + 301), "its timestamp is -301 s old"),
        (headers(body=BODY + b" "), "its signature does not match the body"),
        (headers() | {"x-fal-webhook-user-id": "other"}, "its signature does not match the body"),
        (headers() | {"x-fal-webhook-signature": "00"}, "its signature does not match the body"),
        (headers() | {"x-fal-webhook-signature": "***"}, "its headers are incomplete"),
        (headers() | {"x-fal-webhook-timestamp": "now"}, "its headers are incomplete"),
        ({}, "its headers are incomplete"),
    ],
)
def test_a_delivery_is_judged_as_a_receiver_must(sent: dict[str, str], says: str | None) -> None:
    assert objection(sent, BODY, SIGNER.jwks()["keys"], NOW) == says
