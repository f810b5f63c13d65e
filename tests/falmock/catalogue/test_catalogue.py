from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import httpx
import pytest
from emulated import BASE, ENDPOINT, GOOD, KEY, opened, veo

from falmock.app import create_app, open_emulator
from falmock.catalogue import BUNDLED, Catalogue, Price, bundled
from falmock.engine.clock import ManualClock
from falmock.media import Renderer, find_ffmpeg
from falmock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from falmock.catalogue import Entry

IMAGE_TO_VIDEO = veo()
FILMS = veo(endpoint="acme/films/animate", price=Price("seconds", 2.0, "a test", "2026"))


@pytest.fixture
async def renderer(renders: Path) -> AsyncIterator[Renderer]:
    made = Renderer(ffmpeg=find_ffmpeg(), cache=renders, at_once=1, timeout=60)
    yield made
    await made.close()


def test_a_catalogue_finds_a_model_by_its_endpoint() -> None:
    catalogue = Catalogue([IMAGE_TO_VIDEO, FILMS])

    assert catalogue.get("acme/films/animate") is FILMS
    assert catalogue.get("acme/films") is None


def test_a_catalogue_knows_the_applications_and_owners_of_its_models() -> None:
    catalogue = Catalogue([FILMS])

    assert catalogue.has_application("acme/films")
    assert catalogue.has_owner("acme")
    assert not catalogue.has_application("fal-ai/veo2")
    assert not catalogue.has_owner("fal-ai")


def test_a_catalogue_keeps_the_order_of_its_models() -> None:
    catalogue = Catalogue([FILMS, IMAGE_TO_VIDEO])

    assert list(catalogue) == [FILMS, IMAGE_TO_VIDEO]
    assert len(catalogue) == 2


def test_a_catalogue_yields_its_entries_without_keeping_those_that_it_reads() -> None:
    read: list[str] = []

    def entry(name: str) -> Entry:
        read.append(name)
        return veo(endpoint=name).entry

    catalogue = Catalogue([FILMS], (["acme/one/a", "acme/films/animate"], entry))

    assert [each.endpoint for each in [*catalogue.entries(), *catalogue.entries()]] == 2 * [
        "acme/films/animate",
        "acme/one/a",
    ]
    assert read == 2 * ["acme/one/a"]


def test_a_catalogue_refuses_two_models_for_one_endpoint() -> None:
    with pytest.raises(ValueError, match="two models for the endpoint acme/films/animate"):
        Catalogue([FILMS, FILMS])


def test_a_catalogue_refuses_a_model_without_an_endpoint_id() -> None:
    with pytest.raises(ValueError, match="not an endpoint id: 'films'"):
        Catalogue([veo(endpoint="films")])


async def test_an_emulator_serves_the_bundled_models_by_default(renderer: Renderer) -> None:
    async with open_emulator(Settings(media="plain"), ManualClock(0), renderer) as emulator:
        assert emulator.catalogue is BUNDLED


async def test_two_emulators_in_one_process_serve_different_catalogues(renderer: Renderer) -> None:
    answers = []
    async with AsyncExitStack() as stack:
        for catalogue in (BUNDLED, Catalogue([FILMS])):
            emulator = await stack.enter_async_context(
                open_emulator(Settings(media="plain"), ManualClock(0), renderer, catalogue=catalogue)
            )
            transport = httpx.ASGITransport(create_app(emulator))
            http = await stack.enter_async_context(
                httpx.AsyncClient(transport=transport, base_url=BASE, headers=KEY)
            )
            asked = {"endpoint_id": ENDPOINT if catalogue is BUNDLED else FILMS.endpoint}
            listed = (await http.get("/api.fal.ai/v1/models/pricing", params=asked)).json()["prices"]
            answers.append(
                {
                    "veo": (await http.post(f"/{ENDPOINT}", json=GOOD)).status_code,
                    "films": (await http.post("/acme/films/animate", json=GOOD)).status_code,
                    "prices": {price["endpoint_id"]: price["unit_price"] for price in listed},
                }
            )

    assert answers == [
        {"veo": 200, "films": 404, "prices": {ENDPOINT: 0.5}},
        {"veo": 404, "films": 200, "prices": {"acme/films/animate": 2.0}},
    ]


async def test_a_request_runs_and_costs_by_the_catalogue_of_its_emulator(renderer: Renderer) -> None:
    catalogue = Catalogue([FILMS])
    async with open_emulator(
        Settings(media="plain"), ManualClock(0), renderer, catalogue=catalogue
    ) as emulator:
        app = create_app(emulator)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE, headers=KEY) as http:
            submitted = (await http.post("/acme/films/animate", json=GOOD)).json()
            await emulator.timeline.pass_time(1000)
            result = await http.get(submitted["response_url"])

        assert result.status_code == 200
        assert app.state.ledger.account().usd == 10.0


async def test_an_emulator_reads_an_entry_when_it_is_listed_or_called_and_no_other(renders: Path) -> None:
    read: list[str] = []

    def entry(endpoint: str) -> Entry | None:
        read.append(endpoint)
        return bundled.entry(endpoint)

    catalogue = Catalogue(source=(bundled.ids(), entry))
    async with opened(renders, ManualClock(), catalogue=catalogue) as mock:
        await mock.http.get("/health")
        before = list(read)
        await mock.http.get("/api.fal.ai/v1/models?q=flux/&limit=2", headers=KEY)
        listed = list(read)
        for _ in range(2):
            await mock.http.post("/fal-ai/flux/dev", json={}, headers=KEY)
            await mock.pass_time(10)

    assert (before, len(listed)) == ([], 2)
    assert read == list(dict.fromkeys([*listed, "fal-ai/flux/dev"]))
