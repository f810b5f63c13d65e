"""What web pages may send and read: PROTOCOL.md 10.2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from emulated import APPLICATION, ENDPOINT, GOOD, KEY, Mock
from wire import EDGE, READABLE, about_body, lines

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Start = Callable[..., Awaitable[Mock]]

PAGE = "http://localhost:3000"
FOREIGN = "https://evil.example"
VARY = READABLE[1].removeprefix("vary: ")
ADDRESSES = {
    "host": ("", {"Host": "queue.fal.run"}),
    "prefix": ("/queue.fal.run", {}),
    "bare": ("", {}),
    "target": ("", {"x-fal-target-host": "queue.fal.run"}),
}


@pytest.mark.parametrize(("prefix", "host"), ADDRESSES.values(), ids=ADDRESSES)
async def test_page_may_read_the_queue_host_but_no_header_of_fals(
    mock: Mock, prefix: str, host: dict[str, str]
) -> None:
    answer = await mock.http.post(f"{prefix}/{ENDPOINT}", json=GOOD, headers=KEY | host | {"Origin": PAGE})

    request_id = f"x-fal-request-id: {answer.json()['request_id']}"
    allowed = f"access-control-allow-origin: {PAGE}"
    assert answer.status_code == 200
    assert sorted(lines(answer)) == sorted([*about_body(answer), request_id, *READABLE, *EDGE, allowed])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/{ENDPOINT}", 405),
        ("POST", "/fal-ai", 404),
        ("POST", f"/{ENDPOINT}", 401),
        ("GET", f"/{APPLICATION}/requests/x/status", 404),
    ],
)
async def test_page_may_read_refusals_too(mock: Mock, method: str, path: str, status: int) -> None:
    answer = await mock.http.request(method, path, headers={"Origin": PAGE})

    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["vary"] == VARY
    assert "access-control-expose-headers" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "BREW"])
@pytest.mark.parametrize("names", ["authorization,content-type", "x-anything"])
@pytest.mark.parametrize(("prefix", "host"), ADDRESSES.values(), ids=ADDRESSES)
async def test_preflight_repeats_origin_method_and_headers(
    mock: Mock, prefix: str, host: dict[str, str], method: str, names: str
) -> None:
    asked = {
        "Origin": PAGE,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": names,
    }

    answer = await mock.http.options(f"{prefix}/{ENDPOINT}", headers=host | asked)

    assert (answer.status_code, answer.content) == (200, b"")
    assert sorted(lines(answer)) == sorted(
        [
            "content-length: 0",
            *READABLE,
            f"access-control-allow-origin: {PAGE}",
            f"access-control-allow-methods: {method}",
            f"access-control-allow-headers: {names}",
        ]
    )


async def test_preflight_allows_only_what_is_asked_for(mock: Mock) -> None:
    asked = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Private-Network": "true",
    }

    answer = await mock.http.options(f"/{ENDPOINT}", headers=asked)

    assert "access-control-allow-headers" not in answer.headers
    assert answer.headers["access-control-allow-private-network"] == "true"


async def test_options_without_a_requested_method_is_no_preflight(mock: Mock) -> None:
    answer = await mock.http.options(f"/{ENDPOINT}", headers={"Origin": PAGE})

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_expose_headers_lets_pages_read_the_request_id(start: Start) -> None:
    mock = await start(expose_headers=True)

    answer = await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY | {"Origin": PAGE})

    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"x-fal-request-id", "x-fal-billable-units", "x-fal-served-from"} <= set(exposed)
    assert answer.headers["vary"] == VARY


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", f"/{ENDPOINT}"), ("GET", f"/{APPLICATION}/requests/x/status"), ("GET", f"/{ENDPOINT}")],
)
@pytest.mark.parametrize("expose", [False, True])
async def test_foreign_page_gets_a_refusal_without_cors(
    start: Start, expose: bool, method: str, path: str
) -> None:
    mock = await start(expose_headers=expose)

    answer = await mock.http.request(method, path, json=GOOD, headers=KEY | {"Origin": FOREIGN})

    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_preflight_of_a_foreign_page_is_refused(mock: Mock) -> None:
    asked = {"Origin": FOREIGN, "Access-Control-Request-Method": "POST"}

    answer = await mock.http.options(f"/{ENDPOINT}", headers=asked)

    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("path", [f"/fal.run/{ENDPOINT}", "/rest.fal.ai/tokens/"])
async def test_run_and_rest_hosts_have_cors_headers_only_for_an_origin(mock: Mock, path: str) -> None:
    plain = await mock.http.post(path, json={})
    page = await mock.http.post(path, json={}, headers={"Origin": PAGE})

    cors = {name for name in page.headers if name.startswith("access-control-") or name == "vary"}
    assert cors >= {"vary", "access-control-allow-origin", "access-control-expose-headers"}
    assert cors.isdisjoint(plain.headers)
