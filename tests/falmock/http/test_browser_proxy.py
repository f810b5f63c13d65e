"""The proxy that pages use: PROTOCOL.md 12."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from emulated import BASE, ENDPOINT, GOOD, KEY, Mock, png

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

PROXY = "/api/fal/proxy"
INITIATE = "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3"


async def through(mock: Mock, method: str, target: str, **more: object) -> httpx.Response:
    return await mock.http.request(method, PROXY, headers={"x-fal-target-url": target}, **more)  # type: ignore[arg-type]


async def test_page_submits_polls_and_reads_the_result_without_a_key(mock: Mock) -> None:
    submitted = (await through(mock, "POST", f"https://queue.fal.run/{ENDPOINT}", json=GOOD)).json()
    request = f"https://queue.fal.run/fal-ai/veo2/requests/{submitted['request_id']}"
    waiting = await through(mock, "GET", f"{request}/status?logs=1")
    await mock.pass_time(60)

    assert (waiting.json()["status"], list((await through(mock, "GET", request)).json())) == (
        "IN_QUEUE",
        ["video"],
    )


async def test_page_gets_urls_that_it_can_reach(mock: Mock) -> None:
    submitted = (await through(mock, "POST", f"https://queue.fal.run/{ENDPOINT}", json=GOOD)).json()

    assert submitted["status_url"].startswith(f"{BASE}/")


async def test_page_uploads_to_the_url_that_it_gets(mock: Mock) -> None:
    body = {"file_name": "x.png", "content_type": "image/png"}
    announced = (await through(mock, "POST", INITIATE, json=body)).json()
    await mock.http.put(announced["upload_url"], content=png(), headers={"content-type": "image/png"})

    assert (await mock.http.get(announced["file_url"])).content == png()


async def test_proxy_uses_the_first_known_key(start: Callable[..., Awaitable[Mock]]) -> None:
    mock = await start(keys=("me:secret",))

    answer = await through(mock, "POST", f"https://queue.fal.run/{ENDPOINT}", json=GOOD)

    assert answer.status_code == 200


async def test_query_of_the_target_url_is_used(mock: Mock) -> None:
    answer = await through(mock, "POST", f"https://queue.fal.run/{ENDPOINT}?fal_webhook=nonsense", json=GOOD)

    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("POST", "https://fal.run/no-such-owner/alias", 404),
        ("GET", "https://queue.fal.run/fal-ai/veo2/requests/x/status?logs=1", 404),
        ("POST", INITIATE, 200),
        ("POST", "https://rest.fal.ai/storage/upload/complete-multipart?storage_type=fal-cdn-v3", 404),
        ("POST", f"{BASE}/{ENDPOINT}", 200),
        ("POST", f"{BASE}/queue.fal.run/{ENDPOINT}", 200),
        ("POST", f"{BASE}/fal.run/no-such-owner/alias", 404),
        ("GET", f"{BASE}/queue.fal.run/fal-ai/veo2/requests/x/status?logs=1", 404),
        ("POST", INITIATE.replace("https:/", BASE), 200),
    ],
)
async def test_target_that_pages_may_call_is_answered(
    mock: Mock, method: str, target: str, status: int
) -> None:
    body = {"file_name": "x.png", "content_type": "image/png"} if "storage" in target else GOOD

    assert (await through(mock, method, target, json=body)).status_code == status


@pytest.mark.parametrize(
    "target",
    [
        "",
        "queue.fal.run/fal-ai/veo2",
        "https://queue.fal.run:8443/fal-ai/veo2",
        "https://api.fal.ai/v1/models",
        "https://rest.fal.ai/tokens/",
        "https://rest.fal.ai/storage/upload/initiate",
        "https://rest.fal.ai/storage/upload/initiate-multipart?storage_type=fal-cdn-v3",
        "https://queue.fal.run.example.com/x",
        "https://example.com/queue.fal.run/x",
        "https://[",
        f"{BASE}/rest.fal.ai/tokens/",
        f"{BASE}/api.fal.ai/v1/models",
        f"{BASE}/v3.fal.media/files/x",
        f"{BASE}/gateway.fal.ai/x",
        "http://127.0.0.1:1/queue.fal.run/x",
    ],
)
async def test_target_that_pages_may_not_call_is_refused(mock: Mock, target: str) -> None:
    answer = await through(mock, "POST", target, json=GOOD)

    assert (answer.status_code, answer.json()) == (400, "Invalid request")


async def test_call_without_a_target_is_refused(mock: Mock) -> None:
    assert (await mock.http.post(PROXY, json=GOOD)).status_code == 400


@pytest.mark.parametrize("prefix", ["", "/queue.fal.run"])
@pytest.mark.parametrize("path", [PROXY, "/", f"/{ENDPOINT}"])
async def test_a_target_of_the_emulator_itself_is_answered_like_the_same_call_made_directly(
    mock: Mock, prefix: str, path: str
) -> None:
    target = f"{BASE}{prefix}/{ENDPOINT}"
    headers = KEY | {"x-fal-target-url": target}
    direct = (await mock.http.post(target, headers=KEY, json=GOOD)).json()
    proxied = (await mock.http.post(path, headers=headers, json=GOOD)).json()

    assert proxied["status_url"].replace(proxied["request_id"], direct["request_id"]) == direct["status_url"]
    for url in (proxied["status_url"], proxied["response_url"]):
        answer = await mock.http.get(path, headers=KEY | {"x-fal-target-url": url})
        again = await mock.http.get(url, headers=KEY)
        assert (answer.status_code, answer.json()) == (again.status_code, again.json())


@pytest.mark.parametrize("path", [PROXY, "/", "/control/state"])
@pytest.mark.parametrize(
    "target", ["/control/reset", "/queue.fal.run/control/reset", "//control/reset", "/%63ontrol/reset", PROXY]
)
async def test_the_control_api_is_not_reached_by_a_target_of_the_emulator_itself(
    mock: Mock, path: str, target: str
) -> None:
    submitted = await mock.submit()
    answer = await mock.http.post(path, headers=KEY | {"x-fal-target-url": f"{BASE}{target}"})

    assert answer.status_code == 404
    assert (await mock.status(submitted)).status_code == 202
