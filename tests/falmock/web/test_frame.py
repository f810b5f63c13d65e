"""What all pages have in common: who may open them, their headers, their files."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from emulated import GOOD, KEY

import falmock.web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulated import Mock

STATIC = Path(falmock.web.__file__).parent / "static"
MOST_BYTES = 150_000  # of all static files, compressed
OWN = "http://127.0.0.1:8787"
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}


async def test_the_page_is_at_the_root_of_the_emulators_own_address(mock: Mock) -> None:
    answer = await mock.http.get("/")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize("host", ["queue.fal.run", "fal.run", "fal.ai", "v3.fal.media"])
@pytest.mark.parametrize("path", ["/", "/ui/steer"])
async def test_no_page_is_under_a_name_of_fals(mock: Mock, host: str, path: str) -> None:
    answers = [
        await mock.http.get(path, headers=KEY | {"Host": host}),
        await mock.http.get(path, headers=KEY | {"x-fal-target-host": host}),
    ]

    assert not any("text/html; charset=utf-8" in answer.headers.get("content-type", "") for answer in answers)


async def test_a_call_to_the_bare_root_that_is_no_get_is_the_queues(mock: Mock) -> None:
    answer = await mock.http.post("/", json=GOOD, headers=KEY)
    at_fal = await mock.http.post("/", json=GOOD, headers=KEY | {"Host": "queue.fal.run"})

    assert (answer.status_code, answer.content) == (at_fal.status_code, at_fal.content) == (404, b"")


async def test_a_page_of_another_origin_may_not_post_a_form(mock: Mock) -> None:
    submitted = await mock.submit()

    answer = await mock.http.post(
        f"/ui/requests/{submitted['request_id']}/finish",
        headers={
            "Origin": "https://evil.example",
            "Sec-Fetch-Site": "cross-site",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "document",
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )

    assert (answer.status_code, (await mock.status(submitted)).json()["status"]) == (403, "IN_QUEUE")


async def test_a_sandboxed_page_may_not_post_a_form(mock: Mock) -> None:
    submitted = await mock.submit()

    answer = await mock.http.post(
        f"/ui/requests/{submitted['request_id']}/finish", headers={"Origin": "null"}
    )

    assert (answer.status_code, (await mock.status(submitted)).json()["status"]) == (403, "IN_QUEUE")


async def test_a_link_on_any_page_may_open_the_page(mock: Mock) -> None:
    assert (await mock.http.get("/", headers=NAVIGATION)).status_code == 200


@pytest.mark.parametrize(
    "changed",
    [{"Sec-Fetch-Mode": "cors"}, {"Sec-Fetch-Mode": "no-cors"}, {"Sec-Fetch-Dest": "iframe"}],
)
async def test_another_site_may_not_load_the_page_into_its_own(mock: Mock, changed: dict[str, str]) -> None:
    assert (await mock.http.get("/", headers=NAVIGATION | changed)).status_code == 403


async def test_other_machines_may_not_open_the_page(mock: Mock) -> None:
    transport: Any = mock.http._transport
    transport.client = ("192.0.2.7", 1)

    assert (await mock.http.get("/")).status_code == 403


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Basic YW55OmxldC1tZS1pbg==", 200),  # any:let-me-in
        ("Bearer let-me-in", 200),
        ("Basic YW55Om90aGVy", 401),  # any:other
        ("Basic ***", 401),
        ("Key any:let-me-in", 401),
    ],
)
async def test_another_machine_opens_the_page_with_the_control_token(
    start: Callable[..., Awaitable[Mock]], authorization: str | None, status: int
) -> None:
    mock = await start(control_token="let-me-in")
    transport: Any = mock.http._transport
    transport.client = ("192.0.2.7", 1)

    answer = await mock.http.get("/", headers={"Authorization": authorization} if authorization else {})

    assert (answer.status_code, "www-authenticate" in answer.headers) == (status, status == 401)


async def test_a_foreign_page_is_not_asked_for_the_control_token(
    start: Callable[..., Awaitable[Mock]],
) -> None:
    mock = await start(control_token="let-me-in")
    headers = {"Origin": "https://evil.example", "Authorization": "Basic YW55OmxldC1tZS1pbg=="}

    answer = await mock.http.post("/ui/requests/x/finish", headers=headers)

    assert (answer.status_code, "www-authenticate" in answer.headers) == (403, False)


async def test_a_page_runs_no_script_but_its_own(mock: Mock) -> None:
    headers = (await mock.http.get("/")).headers

    assert headers["content-security-policy"] == (
        f"default-src 'none'; script-src {OWN}/ui/static/; style-src {OWN}/ui/static/; img-src 'self' data:; "
        "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "same-origin")


async def test_a_page_names_no_other_host(mock: Mock) -> None:
    await mock.submit()
    text = (await mock.http.get("/")).text

    assert re.findall(r"(?:src|href|action)=\"(?!/|#)[^\"]*", text) == []


async def test_static_files_may_be_kept_as_long_as_their_address_is_the_same(mock: Mock) -> None:
    text = (await mock.http.get("/")).text
    addresses = re.findall(r"/ui/static/[^\"]+", text)

    answers = [await mock.http.get(address) for address in addresses]

    assert {(answer.status_code, answer.headers["cache-control"]) for answer in answers} == {
        (200, "public, max-age=31536000, immutable")
    }


async def test_an_unknown_page_says_so(mock: Mock) -> None:
    answer = await mock.http.get("/ui/nothing")

    assert (answer.status_code, "There is no such page." in answer.text) == (404, True)


def test_the_static_files_are_small() -> None:
    assert sum(len(gzip.compress(file.read_bytes())) for file in STATIC.iterdir()) < MOST_BYTES
