"""The run host: PROTOCOL.md 5, 13 and 14.4."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest
from emulated import ENDPOINT, GOOD, KEY, Mock, serving

from falmock.engine.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Start = Callable[..., Awaitable[Mock]]

RUN = f"/fal.run/{ENDPOINT}"


async def run(mock: Mock, seconds: float = 10, method: str = "POST", path: str = RUN) -> httpx.Response:
    call = asyncio.create_task(mock.http.request(method, path, json=GOOD, headers=KEY))
    await started(mock, 1)
    await mock.pass_time(seconds)
    return await call


async def started(mock: Mock, count: int) -> None:
    """Return when so many calls have reached the emulator."""
    while len(mock.emulator.store.open_requests()) < count:  # noqa: ASYNC110 - the call is on its way
        await asyncio.sleep(0)
    await mock.emulator.timeline.settle()


async def test_run_returns_the_json_of_the_model(mock: Mock) -> None:
    answer = await run(mock)

    assert (answer.status_code, list(answer.json())) == (200, ["video"])


async def test_run_starts_at_once_when_a_runner_is_free(mock: Mock) -> None:
    assert (await run(mock, seconds=4)).status_code == 200


async def test_run_returns_the_headers_of_its_runner(mock: Mock) -> None:
    headers = (await run(mock)).headers

    assert {"x-fal-request-id", "x-fal-billable-units", "x-fal-served-from"} <= set(headers)


async def test_run_cannot_be_polled_on_the_queue_host(mock: Mock) -> None:
    request_id = (await run(mock)).headers["x-fal-request-id"]

    assert (await mock.get(f"/fal-ai/veo2/requests/{request_id}/status")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", RUN, 405, {"detail": "Method Not Allowed"}),
        ("POST", "/fal.run/fal-ai/veo2/nothing", 404, {"detail": "Path /nothing not found"}),
        ("POST", "/fal.run/fal-ai/kling-video", 404, {"detail": "Path / not found"}),
    ],
)
async def test_run_with_a_wrong_method_or_path_is_refused_by_the_runner(
    mock: Mock, method: str, path: str, status: int, body: object
) -> None:
    answer = await run(mock, method=method, path=path)

    assert (answer.status_code, answer.json()) == (status, body)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [("/fal.run/nobody/x", {}, 404), (RUN, {}, 401), (RUN, {"Authorization": "Key locked:x"}, 403)],
)
async def test_run_host_checks_application_and_credentials_in_the_order_of_the_queue_host(
    start: Start, path: str, headers: dict[str, str], status: int
) -> None:
    mock = await start(locked=("locked",))

    assert (await mock.http.post(path, content=b"no json", headers=headers)).status_code == status


async def test_run_over_the_concurrency_limit_is_429_with_its_own_body(start: Start) -> None:
    mock = await start(concurrency=1)
    call = asyncio.create_task(mock.http.post(RUN, json=GOOD, headers=KEY))
    await started(mock, 1)

    answer = await mock.http.post(RUN, json=GOOD, headers=KEY)

    assert (answer.status_code, answer.json()) == (
        429,
        {
            "detail": "Reached concurrent requests limit of 1",
            "type": "concurrent_requests_limit",
            "data": {"limit": 1},
        },
    )
    assert answer.headers["x-fal-needs-retry"] == "1"
    await mock.pass_time(10)
    await call


async def test_run_posts_no_webhook(mock: Mock) -> None:
    answer = await run(mock, path=f"{RUN}?fal_webhook=http://localhost:3000/hook")

    assert mock.emulator.store.delivery(answer.headers["x-fal-request-id"]) is None


async def test_run_that_exceeds_its_time_is_not_repeated(start: Start) -> None:
    mock = await start(run_timeout=2)

    assert (await run(mock, seconds=2)).status_code == 504


async def test_run_of_a_caller_that_disconnects_frees_the_runner(mock: Mock) -> None:
    async with serving(mock.emulator) as address, httpx.AsyncClient(base_url=address) as http:
        call = asyncio.create_task(http.post(RUN, json=GOOD, headers=KEY))
        await started(mock, 1)
        (request,) = mock.emulator.store.open_requests()

        call.cancel()
        while mock.emulator.store.open_requests():
            await mock.emulator.changed().wait()

    ended = mock.emulator.store.request(request.id)
    assert ended is not None
    assert (ended.state, ended.status, ended.error_type) == (State.COMPLETED, 499, "client_disconnected")
