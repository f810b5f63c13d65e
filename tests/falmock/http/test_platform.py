"""Queue administration, payloads, webhooks' history: PROTOCOL.md 4.9, 9.3 and 15."""

from __future__ import annotations

import pytest
import respx
from emulated import APPLICATION, KEY, OTHER_KEY, Mock

NOT_FOUND = {"error": {"type": "not_found", "message": "Resource not found"}}
QUEUE = f"/rest.fal.ai/applications/{APPLICATION}/queue"
APPS = f"/api.fal.ai/v1/serverless/apps/{APPLICATION}/queue"


async def crowd(mock: Mock) -> None:
    """Two run, two of mine and one of yours wait."""
    for headers in (KEY, KEY, KEY, KEY, OTHER_KEY):
        await mock.submit(headers=headers)
    await mock.pass_time(2)


async def test_queue_length_is_reported_by_user(mock: Mock) -> None:
    await crowd(mock)

    assert (await mock.get(QUEUE)).json() == {
        "queue_size": 3,
        "in_progress": 2,
        "by_user": {"me": 2, "you": 1},
    }


async def test_caller_can_flush_its_own_requests(mock: Mock) -> None:
    await crowd(mock)

    await mock.http.delete(f"/rest.fal.ai/requests/queue/{APPLICATION}", headers=KEY)

    assert (await mock.get(QUEUE)).json()["by_user"] == {"you": 1}


@pytest.mark.parametrize(("path", "status"), [(QUEUE, 200), (APPS, 204)])
async def test_queue_can_be_flushed(mock: Mock, path: str, status: int) -> None:
    await crowd(mock)

    answer = await mock.http.delete(path, headers=KEY)

    assert (answer.status_code, (await mock.get(APPS)).json()) == (status, {"queue_size": 0})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api.fal.ai/v1/models/requests/{id}/payloads"),
        ("PUT", "/rest.fal.ai/requests/delete_io/{id}"),
    ],
)
async def test_payloads_can_be_deleted_with_their_files(mock: Mock, method: str, path: str) -> None:
    submitted = await mock.submit("data:text/plain," + "x" * 20_000, aspect_ratio="9:16")
    done = await mock.finish()
    request_id, video = done.headers["x-fal-request-id"], done.json()["video"]["url"]

    answer = await mock.http.request(method, path.format(id=request_id), headers=KEY)

    assert answer.json() == {"cdn_delete_results": [{"link": video, "exception": None}]}
    assert (await mock.http.get(video)).status_code == 404
    assert (await mock.get(f"/{APPLICATION}/requests/{request_id}")).status_code == 404
    again = await mock.http.request(method, path.format(id=submitted["request_id"]), headers=KEY)
    assert again.json() == {"cdn_delete_results": []}


async def test_payloads_of_another_caller_are_not_found(mock: Mock) -> None:
    request_id = (await mock.finish()).headers["x-fal-request-id"]

    answer = await mock.http.delete(
        f"/api.fal.ai/v1/models/requests/{request_id}/payloads", headers=OTHER_KEY
    )

    assert (answer.status_code, answer.json()) == (404, NOT_FOUND)


async def test_unknown_application_has_its_own_message(mock: Mock) -> None:
    answer = await mock.get("/api.fal.ai/v1/serverless/apps/no/body/queue")

    assert (answer.status_code, answer.json()) == (
        404,
        {"error": {"type": "not_found", "message": "Application not found"}},
    )


@pytest.mark.parametrize("path", ["/", "/v1/nothing"])
async def test_unknown_path_has_the_platform_apis_error_body(mock: Mock, path: str) -> None:
    answer = await mock.get(f"/api.fal.ai{path}")

    assert (answer.status_code, answer.json()) == (404, NOT_FOUND)


async def test_missing_credentials_have_the_platform_apis_error_body(mock: Mock) -> None:
    answer = await mock.http.get(APPS)

    assert (answer.status_code, answer.json()) == (
        401,
        {"error": {"type": "authorization_error", "message": "Authentication required"}},
    )


async def test_webhook_ip_range_is_this_machine(mock: Mock) -> None:
    assert (await mock.http.get("/api.fal.ai/v1/meta")).json() == {"webhook_ip_ranges": ["127.0.0.1/32"]}


async def test_webhooks_of_the_caller_are_listed(mock: Mock) -> None:
    hook = "http://localhost:3000/hook"
    with respx.mock() as router:
        router.post(hook).respond(204)
        request_id = (await mock.finish(query=f"?fal_webhook={hook}")).headers["x-fal-request-id"]

    (item,) = (await mock.get("/rest.fal.ai/requests/webhooks")).json()["items"]

    assert (item["request_id"], item["webhook_url"], item["status_code"], item["endpoint"]) == (
        request_id,
        hook,
        204,
        "fal-ai/veo2/image-to-video",
    )
