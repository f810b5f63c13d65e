"""The page of figures."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest
from emulated import ENDPOINT, GOOD, KEY
from markup import tree

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulated import Mock
    from markup import Element

    Page = Callable[..., Awaitable[Element]]

PATH = "/ui/overview"
HOSTILE = '<script>alert(1)</script> & "quotes"'


def totals(page: Element) -> dict[str, str]:
    return {each.one("dt").text: each.one("dd").text for each in page.one("dl", id="totals").all("div")}


def lines(page: Element, name: str) -> list[str]:
    """Return the texts of a table's lines."""
    section = page.one("section", id=name)
    return [row.text for body in section.all("tbody") for row in body.all("tr")]


def columns(page: Element, *numbers: int) -> list[list[str]]:
    """Return the cells of the rows with requests in them."""
    rows = [[cell.text for cell in row.all("td")] for row in page.one("tbody", id="buckets").all("tr")]
    return [[row[number - 1] for number in numbers] for row in rows if any(cell != "0" for cell in row[:4])]


async def test_without_requests_the_page_leads_to_the_first(page: Page) -> None:
    shown = await page(PATH)

    assert shown.one("div", id="nothing").text == "No requests yet. Submit the first one."
    assert shown.one("tbody", id="buckets").all("tr") == []


async def test_the_totals_are_shown(mock: Mock, page: Page) -> None:
    await mock.finish()
    await mock.finish(prompt=5)
    await mock.cancel(await mock.submit())
    await mock.submit()

    assert totals(await page(PATH)) == {
        "Requests": "4",
        "Succeeded": "1",
        "Failed": "1",
        "Cancelled": "1",
        "Not completed": "1",
        "Queue, median": "1.0 s",
        "Run, median": "70 ms",
        "Cost at fal": "$2.50",
    }


async def test_requests_are_shown_over_time(mock: Mock, page: Page) -> None:
    await mock.finish()
    await mock.submit()
    await mock.submit()

    shown = await page(PATH)
    rows = shown.one("tbody", id="buckets").all("tr")

    assert columns(shown, 1, 2, 3, 4) == [["1", "0", "0", "0"], ["0", "0", "0", "2"]]
    assert (rows[0].one("th").text, rows[0]["id"]) == ("2026-09-21 14:13:20", "b-1790000000")


async def test_the_time_in_the_queue_and_running_is_shown_over_time(mock: Mock, page: Page) -> None:
    await mock.finish()

    shown = await page(PATH)

    assert columns(shown, 5, 6, 7, 8) == [["1.0 s", "1.0 s", "4.0 s", "4.0 s"]]
    assert [cell["data-value"] for cell in shown.one("tr", id="b-1790000000").all("td")] == [
        *("1", "0", "0", "0"),
        *("1.0", "1.0", "4.0", "4.0"),
    ]


async def test_a_time_without_requests_has_no_lengths(mock: Mock, page: Page) -> None:
    await mock.finish()

    cells = (await page(PATH)).one("tr", id="b-1790000001").all("td")

    assert [cell.text for cell in cells] == ["0", "0", "0", "0", "–", "–", "–", "–"]
    assert not any("data-value" in cell.attributes for cell in cells[4:])


async def test_the_cost_is_shown_by_model(mock: Mock, page: Page) -> None:
    await mock.finish()
    await mock.finish()
    await mock.http.post("/fal-ai/kling-video/v2/master/text-to-video", json=GOOD, headers=KEY)

    shown = await page(PATH)

    assert lines(shown, "models") == [
        f"{ENDPOINT} ×2 $5.00",
        "fal-ai/kling-video/v2/master/text-to-video ×1 no price",
    ]
    assert [rect["width"] for rect in shown.one("section", id="models").all("rect")] == ["100.0%", "0.0%"]


async def test_the_cost_is_shown_by_test(mock: Mock, page: Page) -> None:
    await mock.finish(headers={"x-falmock-test": "checkout"})
    await mock.submit(headers={"x-falmock-test": HOSTILE})
    await mock.submit()

    shown = await page(PATH)

    assert lines(shown, "tests") == ["checkout ×1 $2.50", "no test ×1 $0.00", f"{HOSTILE} ×1 $0.00"]


async def test_the_cost_is_that_of_the_ledger(mock: Mock, page: Page) -> None:
    for seconds in ("5s", "8s"):
        await mock.finish(duration=seconds)
    await mock.finish(prompt=5)
    account = (await mock.http.get("/control/account")).json()

    assert totals(await page(PATH))["Cost at fal"] == f"${account['usd']:.2f}"


async def test_errors_are_shown_by_type(mock: Mock, page: Page) -> None:
    for fault in ("content_policy_violation", "internal_error", "content_policy_violation"):
        await mock.finish(headers={"x-falmock-fault": fault})
    await mock.finish(prompt=5)

    assert lines(await page(PATH), "errors") == [
        "content_policy_violation 2",
        "internal_error 1",
        "string_type 1",
    ]


async def test_a_figure_leads_to_its_requests(mock: Mock, page: Page) -> None:
    await mock.finish(headers={"x-falmock-fault": "internal_error", "x-falmock-test": "a & b"})
    shown = await page(PATH)

    links = [shown.one("section", id=name).one("a")["href"] for name in ("models", "tests", "errors")]

    assert [len((await page(link)).one("tbody", id="rows").all("tr")) for link in links] == [1, 1, 1]


async def test_of_many_tests_the_most_expensive_are_shown(mock: Mock, page: Page) -> None:
    for number in range(12):
        await mock.submit(headers={"x-falmock-test": f"t{number}"})

    shown = lines(await page(PATH), "tests")

    assert (len(shown), shown[-1]) == (11, "2 more ×2 $0.00")


@pytest.mark.parametrize(("last", "expected"), [("", "3"), ("86400", "3"), ("3600", "2"), ("600", "1")])
async def test_the_length_of_time_is_in_the_address(mock: Mock, page: Page, last: str, expected: str) -> None:
    await mock.submit()
    await mock.pass_time(7200)
    await mock.submit()
    await mock.pass_time(900)
    await mock.submit()

    shown = await page(PATH, last=last)

    assert totals(shown)["Requests"] == expected
    assert shown.one("a", **{"aria-current": "true"})["href"] == PATH + (f"?last={last}" if last else "")


async def test_a_length_of_time_without_requests_leads_to_all(mock: Mock, page: Page) -> None:
    await mock.submit()
    await mock.pass_time(7200)

    assert "Show all 1" in (await page(PATH, last="600")).one("div", id="nothing").text


async def test_an_unknown_length_of_time_is_explained(mock: Mock) -> None:
    answer = await mock.http.get(PATH, params={"last": "7"})

    assert (answer.status_code, "no such length" in tree(answer).text) == (422, True)


async def test_ten_thousand_requests_leave_their_turn_to_others(mock: Mock, page: Page) -> None:
    store = mock.emulator.store
    await mock.finish()
    (request,) = store.requests()
    with store.transaction():
        for number in range(10_000):
            at = request.submitted_at + number
            store.insert(dataclasses.replace(request, id=f"x{number}", seq=number + 2, submitted_at=at))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(others())
    shown = await page(PATH)
    task.cancel()

    assert (totals(shown)["Requests"], turns > 40) == ("10,001", True)
    assert len(shown.one("tbody", id="buckets").all("tr")) <= 60


async def test_of_very_many_requests_the_newest_count(mock: Mock, page: Page) -> None:
    store = mock.emulator.store
    await mock.finish()
    (request,) = store.requests()
    with store.transaction():
        for number in range(20_000):
            store.insert(dataclasses.replace(request, id=f"x{number}", seq=number + 2))

    assert "The newest 20,000 of 20,001 requests." in (await page(PATH)).one("div", id="nothing").text
