from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import respx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulated import Mock

HOOK = "http://localhost:3000/hook"


@pytest.fixture
def receiver() -> Iterator[respx.Route]:
    with respx.mock(assert_all_called=False) as router:
        yield router.post(HOOK).respond(200)


async def test_webhooks_are_listed_without_the_secrets_of_their_urls(
    mock: Mock, ask: Any, receiver: respx.Route
) -> None:
    receiver.pass_through(value=False)
    done = await mock.finish(query=f"?fal_webhook={HOOK}")
    await mock.submit(query=f"?fal_webhook={HOOK}")

    assert (await ask("GET", "/webhooks")).json() == {
        "webhooks": [
            {
                "request_id": done.headers["x-fal-request-id"],
                "url": HOOK,
                "outcome": "delivered",
                "attempts": 1,
                "last": "200",
                "next_at": None,
            }
        ],
        "before": None,
    }


@pytest.mark.parametrize(
    ("query", "count"),
    [({"outcome": "delivered"}, 2), ({"outcome": "pending"}, 0), ({"test": "a"}, 1), ({"limit": 1}, 1)],
)
async def test_webhooks_are_listed_by_filter(
    mock: Mock, ask: Any, receiver: respx.Route, query: dict[str, Any], count: int
) -> None:
    for test in ("a", "b"):
        await mock.finish(query=f"?fal_webhook={HOOK}", headers={"x-falmock-test": test})

    assert len((await ask("GET", "/webhooks", **query)).json()["webhooks"]) == count


async def test_wait_answers_when_the_webhook_is_delivered(
    mock: Mock, ask: Any, receiver: respx.Route
) -> None:
    submitted = await mock.submit(query=f"?fal_webhook={HOOK}")
    waiting = asyncio.create_task(ask("GET", f"/webhooks/{submitted['request_id']}/wait"))
    await asyncio.sleep(0)

    await mock.pass_time(60)

    assert (await waiting).json()["outcome"] == "delivered"


async def test_wait_is_a_408_when_the_webhook_is_not_delivered_in_time(
    mock: Mock, ask: Any, receiver: respx.Route
) -> None:
    submitted = await mock.submit(query=f"?fal_webhook={HOOK}")

    answer = await ask("GET", f"/webhooks/{submitted['request_id']}/wait", within=0.001)

    assert (answer.status_code, "on its way" in answer.json()["detail"]) == (408, True)


async def test_wait_for_the_webhook_of_a_request_without_one_is_a_404(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()

    answer = await ask("GET", f"/webhooks/{submitted['request_id']}/wait")

    detail = f"there is no request {submitted['request_id']} with a webhook"
    assert (answer.status_code, answer.json()) == (404, {"detail": detail})
