"""The list of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from emulated import ENDPOINT, veo

from falmock.catalogue import Catalogue, Price
from falmock.web.site import rate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulated import Mock
    from markup import Element

    Page = Callable[..., Awaitable[Element]]

HOSTILE = "<script>alert(1)</script>"


def endpoints(page: Element) -> list[str]:
    return [cell.one("a").text for cell in page.all("td", class_="what")]


async def test_a_row_has_the_required_fields_medium_price_and_certainty(page: Page) -> None:
    (row,) = (await page("/ui/models", text=ENDPOINT, certainty="page")).one("tbody").all("tr")

    assert [cell.text for cell in row.all("td")] == [
        f"{ENDPOINT} prompt, image_url +2 more",
        "video",
        "$0.50 per second",
        "page 2026",
    ]


async def test_the_models_are_listed_in_pages(mock: Mock, page: Page) -> None:
    first = await page("/ui/models")
    second = await page(first.one("a", rel="next")["href"])

    assert (len(endpoints(first)), len(endpoints(second))) == (50, 50)
    assert [*endpoints(first), *endpoints(second)] == list(mock.emulator.catalogue.endpoints)[:100]
    assert second.one("a", rel="prev")["href"] == "/ui/models"


async def test_the_last_page_ends_the_list(mock: Mock, page: Page) -> None:
    total = len(mock.emulator.catalogue)
    last = await page("/ui/models", page=-(-total // 50))

    assert last.all("a", rel="next") == []
    assert f"to {total:,} of {total:,}" in last.one("nav", class_="pages").text


@pytest.mark.parametrize("number", ["0", "-1", "x", "1000", "9" * 30, "٣"])
async def test_a_page_that_is_not_there_is_explained(mock: Mock, number: str) -> None:
    answer = await mock.http.get("/ui/models", params={"page": number})

    assert (answer.status_code, "no page" in answer.text or "no such page" in answer.text) == (404, True)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "abc"),
        ({"text": "One"}, "a"),
        ({"text": "owner two"}, "b"),
        ({"text": "two one"}, ""),
        ({"text": "dubbing"}, "c"),
        ({"medium": "audio"}, "c"),
        ({"medium": "video", "text": "two"}, "b"),
        ({"medium": "mesh"}, ""),
        ({"certainty": "types"}, "b"),
        ({"text": "", "medium": ""}, "abc"),
    ],
)
async def test_models_are_filtered_by_the_address(
    start: Callable[..., Awaitable[Mock]], query: dict[str, str], expected: str
) -> None:
    models = [
        veo(endpoint="owner/one"),
        veo(endpoint="owner/two", certainty="types"),
        veo(endpoint="owner/three", medium="audio", category="dubbing"),
    ]
    mock = await start(catalogue=Catalogue(models))
    letters = {model.endpoint: letter for model, letter in zip(models, "abc", strict=True)}

    answer = await mock.http.get("/ui/models", params=query)

    assert "".join(letters[name] for name in letters if f">{name}<" in answer.text) == expected


async def test_filters_are_kept_in_the_links_to_other_pages(page: Page) -> None:
    shown = await page("/ui/models", text="kling", medium="video")
    following = shown.one("a", rel="next")["href"]

    assert following == "/ui/models?text=kling&medium=video&page=2"
    assert shown.one("input", name="text")["value"] == "kling"
    options = (await page(following)).one("select", name="medium").all("option")
    assert [option["value"] for option in options if "selected" in option.attributes] == ["video"]


async def test_a_model_that_is_written_wrongly_is_suggested(page: Page) -> None:
    shown = await page("/ui/models", text="fal-ai/veo2/image-to-vidio")

    assert shown.one("section", class_="blank").all("a")[0]["href"] == f"/ui/models/{ENDPOINT}"


async def test_a_retired_model_is_marked(start: Callable[..., Awaitable[Mock]]) -> None:
    mock = await start(catalogue=Catalogue([veo(retired="2026-01-01")]))

    assert "not listed by fal since 2026-01-01" in (await mock.http.get("/ui/models")).text


async def test_hostile_names_stay_text(start: Callable[..., Awaitable[Mock]]) -> None:
    mock = await start(catalogue=Catalogue([veo(endpoint=f"owner/{HOSTILE}", category=HOSTILE)]))

    for query in ({}, {"text": HOSTILE}, {"text": "nothing"}, {"medium": HOSTILE}):
        answer = await mock.http.get("/ui/models", params=query)

        assert (answer.status_code, HOSTILE in answer.text) == (200, False)


@pytest.mark.parametrize(
    ("unit", "usd", "says"),
    [
        ("seconds", 0.5, "$0.50 per second"),
        ("megapixels", 0.0125, "$0.0125 per megapixel"),
        ("1000 characters", 3, "$3.00 per 1000 characters"),
        ("compute seconds", 0.00111, "$0.00111 per compute second"),
        ("images", 0, "$0.00 per image"),
    ],
)
def test_a_price_has_all_its_digits(unit: str, usd: float, says: str) -> None:
    assert rate(Price(unit, usd, "", "")) == says


async def test_a_search_that_is_too_long_is_refused(mock: Mock) -> None:
    answer: Any = await mock.http.get("/ui/models", params={"text": "x" * 201})

    assert (answer.status_code, "too long" in answer.text) == (422, True)
