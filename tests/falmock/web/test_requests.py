"""The list of requests."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from emulated import ENDPOINT, KEY, data_uri, png

from falmock.faults.vocabulary import parse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulated import Mock
    from markup import Element

    Page = Callable[..., Awaitable[Element]]

HOSTILE = "<script>alert(1)</script> & \"quotes\" 'and' <img src=x onerror=alert(2)> {{ 7*7 }} \u202e\u0000"
PAGE_ROWS = 50


def prompts(page: Element) -> list[str]:
    return [row.one("span", class_="prompt").text for row in page.one("tbody", id="rows").all("tr")]


async def test_an_empty_list_teaches_the_first_call(page: Page) -> None:
    shown = await page()

    assert "curl http://127.0.0.1:8787/fal-ai/veo2/image-to-video" in shown.one("pre", id="first").text


async def test_requests_are_listed_the_newest_first(mock: Mock, page: Page) -> None:
    for prompt in ("one", "two", "three"):
        await mock.submit(prompt=prompt)

    assert prompts(await page()) == ["three", "two", "one"]


@pytest.mark.parametrize("path", ["/", "/?state=in_queue", "/ui/requests/{id}"])
async def test_a_request_may_end_while_a_page_that_shows_it_is_made(mock: Mock, path: str) -> None:
    async def cancel(submitted: Any, turns: int) -> None:
        for _ in range(turns):  # of the event loop; the page takes a few
            await asyncio.sleep(0)
        await mock.cancel(submitted)

    statuses = set()
    for turns in range(20):
        submitted = await mock.submit()
        shown = mock.http.get(path.format(id=submitted["request_id"]))
        answer, _ = await asyncio.gather(shown, cancel(submitted, turns))
        statuses.add(answer.status_code)

    assert statuses == {200}


async def test_a_prompt_is_not_listed_after_its_payloads_are_deleted(mock: Mock, page: Page) -> None:
    submitted = await mock.submit(prompt="one")
    await mock.pass_time(60)
    before = prompts(await page())

    await mock.http.delete(f"/api.fal.ai/v1/models/requests/{submitted['request_id']}/payloads", headers=KEY)

    assert before == ["one"]
    assert (await page()).one("tbody", id="rows").all("span", class_="prompt") == []


async def test_a_row_has_state_endpoint_caller_test_and_time(mock: Mock, page: Page) -> None:
    submitted = await mock.submit(headers={"x-falmock-test": "checkout"})
    row = (await page()).one("tr", id=f"r-{submitted['request_id']}")

    assert [cell.text for cell in row.all("td")] == [
        "In queue #1",
        f"{ENDPOINT} A lego chef cooking eggs",
        "…",
        "me checkout",
        "2026-09-21 14:13:20",
    ]


@pytest.mark.parametrize(
    ("ending", "says"),
    [
        ({}, "Completed"),
        ({"prompt": 5}, "Failed 422"),
    ],
)
async def test_the_outcome_of_a_completed_request_is_shown(
    mock: Mock, page: Page, ending: dict[str, Any], says: str
) -> None:
    await mock.finish(**ending)

    assert (await page()).one("td", class_="state").text == says


async def test_a_cancelled_request_is_no_failure(mock: Mock, page: Page) -> None:
    await mock.cancel(await mock.submit())

    assert (await page()).one("td", class_="state").text == "Cancelled"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "dcba"),
        ({"state": "failed"}, "b"),
        ({"state": "succeeded"}, "a"),
        ({"state": "completed"}, "ba"),
        ({"state": "in_queue"}, "d"),
        ({"state": "in_progress"}, "c"),
        ({"state": "held"}, "d"),
        ({"endpoint": "veo2"}, "dcba"),
        ({"endpoint": "fal-ai/*"}, "dcba"),
        ({"endpoint": "veo2*"}, ""),
        ({"caller": "you"}, "c"),
        ({"test": "checkout"}, "d"),
        ({"text": "PROMPT B"}, "b"),
        ({"text": "content_policy"}, ""),
        ({"text": "%"}, ""),
        ({"text": "ünder"}, "a"),
        ({"state": "completed", "text": "prompt a"}, "a"),
        ({"state": "", "text": ""}, "dcba"),
    ],
)
async def test_requests_are_filtered_by_the_address(
    mock: Mock, page: Page, query: dict[str, str], expected: str
) -> None:
    await mock.submit(prompt="prompt a ünder")
    failed = await mock.submit(prompt="prompt b")
    mock.emulator.manual.fail(failed["request_id"], parse("content_policy_violation"))
    await mock.pass_time(60)
    await mock.submit(prompt="prompt c", headers={"Authorization": "Key you:secret"})
    await mock.pass_time(1.5)
    held = await mock.submit(prompt="prompt d", headers={"x-falmock-test": "checkout"})
    mock.emulator.manual.hold(held["request_id"])

    shown = await page(**query)

    assert "".join(prompt.split()[1] for prompt in prompts(shown)) == expected
    assert shown.one("input", name="text").attributes.get("value") == query.get("text", "")


async def test_a_filter_that_matches_nothing_says_how_many_there_are(mock: Mock, page: Page) -> None:
    await mock.submit()

    assert (await page(text="nothing like it")).one("section", id="empty").text == (
        "No request matches There are 1 requests. Show all"
    )


async def test_an_impossible_filter_is_explained(mock: Mock) -> None:
    answer = await mock.http.get("/?state=lost")

    assert (answer.status_code, "There is no state" in answer.text) == (422, True)


async def test_a_long_list_is_paged(mock: Mock, page: Page) -> None:
    for number in range(PAGE_ROWS + 2):
        await mock.submit(prompt=f"n{number}")

    first = await page()
    older = first.one("a", rel="next")
    second = await page(older["href"])

    assert (len(prompts(first)), prompts(second)) == (PAGE_ROWS, ["n1", "n0"])
    assert (second.all("a", rel="next"), second.one("a", rel="first")["href"]) == ([], "/")


async def test_the_filters_are_kept_on_the_next_page(mock: Mock, page: Page) -> None:
    for number in range(PAGE_ROWS + 1):
        await mock.submit(prompt=f"n{number}")

    older = (await page(text="n", state="in_queue")).one("a", rel="next")

    assert prompts(await page(older["href"])) == ["n0"]
    assert older["href"].startswith("/?text=n&state=in_queue&before=")


async def test_a_page_before_a_request_that_is_gone_says_so(mock: Mock) -> None:
    answer = await mock.http.get("/?before=01900000-0000-7000-8000-000000000000")

    assert (answer.status_code, "There is no request" in answer.text) == (404, True)


async def test_a_hostile_prompt_stays_text(mock: Mock, page: Page) -> None:
    await mock.submit(prompt=HOSTILE)

    (row,) = (await page()).one("tbody", id="rows").all("tr")

    assert row.one("span", class_="prompt").text == " ".join(HOSTILE.split())
    assert row.all("script") + row.all("img") == []


@pytest.mark.parametrize("body", [b"", b"[" * 100_000, b"\xff\xfe", b'"text"', b"[1]", b'{"prompt": 1e999}'])
async def test_any_body_can_be_listed(mock: Mock, page: Page, body: bytes) -> None:
    await mock.http.post(f"/{ENDPOINT}", content=body, headers=KEY)

    assert len((await page()).one("tbody", id="rows").all("tr")) == 1


async def test_a_key_in_a_prompt_is_masked(mock: Mock, page: Page) -> None:
    await mock.submit(
        prompt="my key is me:secret, keep it", headers={"Authorization": "Key me:secret-secret"}
    )

    assert "secret-secret" not in (await mock.http.get("/")).text


async def test_an_image_in_the_input_is_not_taken_for_its_prompt(mock: Mock, page: Page) -> None:
    body = {"image_url": data_uri(png()), "note": "words"}
    await mock.http.post(f"/{ENDPOINT}", json=body, headers=KEY)

    assert prompts(await page()) == ["words"]


async def test_selections_leave_their_turn_to_others(mock: Mock, page: Page) -> None:
    store = mock.emulator.store
    submitted = await mock.submit()
    request = store.request(submitted["request_id"])
    assert request is not None
    with store.transaction():
        for number in range(5_000):
            store.insert(dataclasses.replace(request, id=f"x{number}", seq=number + 2, state="COMPLETED"))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(others())
    shown = await page(state="in_queue")
    task.cancel()

    assert (len(prompts(shown)), turns >= 5) == (1, True)
