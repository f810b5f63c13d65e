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


async def test_a_key_in_the_path_of_a_webhook_is_masked_in_every_listing(mock: Mock, ask: Any) -> None:
    secret = "a-secret-that-is-long-enough-to-be-masked"
    header = {"Authorization": f"Key me:{secret}"}
    await mock.submit(query=f"?fal_webhook=http://localhost:1/{secret}", headers=header)
    await mock.pass_time(60)

    for path in ("/requests", "/webhooks", "/journal"):
        answer = await ask("GET", path)
        assert "http://localhost:1/" in answer.text
        assert secret not in answer.text


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


async def test_a_webhook_is_sent_again_with_a_fault(mock: Mock, ask: Any, receiver: respx.Route) -> None:
    request_id = (await mock.finish(query=f"?fal_webhook={HOOK}")).headers["x-fal-request-id"]

    answer = await ask("POST", f"/webhooks/{request_id}/redeliver", fault="webhook_twice")
    await mock.pass_time(60)

    assert (answer.status_code, answer.json()["outcome"], receiver.call_count) == (200, "pending", 3)


@pytest.mark.parametrize("fault", ["webhook_lost", "content_policy_violation", "nonsense"])
async def test_a_webhook_is_not_sent_again_with_another_fault(
    mock: Mock, ask: Any, receiver: respx.Route, fault: str
) -> None:
    request_id = (await mock.finish(query=f"?fal_webhook={HOOK}")).headers["x-fal-request-id"]

    answer = await ask("POST", f"/webhooks/{request_id}/redeliver", fault=fault)
    await mock.pass_time(60)

    assert (answer.status_code, receiver.call_count) == (422, 1)


async def test_a_webhook_that_is_not_due_yet_is_not_sent_again(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit(query=f"?fal_webhook={HOOK}")

    answer = await ask("POST", f"/webhooks/{submitted['request_id']}/redeliver")

    assert answer.status_code == 404
