"""Results, byte for byte: PROTOCOL.md 4.6."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from emulated import KEY, serving, veo
from recorded import recorded

from falmock.catalogue import Catalogue
from falmock.catalogue.performing import Performance
from falmock.catalogue.pricing import Made

BODY = (
    r'\{"video":\{"url":"http://127\.0\.0\.1:8787/v3b\.fal\.media/files/b/[0-9a-f]{8}/[\w-]{21}_output\.mp4",'
    r'"content_type":"video/mp4","file_name":"output\.mp4","file_size":2300\}\}'
)
DAY = 86_400
NOT_FOUND = '{"status":"NOT_FOUND"}'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_result_is_the_output_of_the_model_in_compact_json() -> None:
    async with recorded() as mock:
        result = await mock.finish()

    assert re.fullmatch(BODY, result.text)


async def perform(*_: Any) -> Performance:
    """Return an output with a null, as models do for optional fields."""
    return Performance({"files": [{"url": "https://example.com/x.png"}], "actual_prompt": None}, Made())


async def test_a_result_has_what_the_model_sets_nulls_included_and_no_other_fields() -> None:
    async with recorded(Catalogue([replace(veo(), perform=perform)])) as mock:
        result = await mock.finish()

    assert result.text == ('{"files":[{"url":"https://example.com/x.png"}],"actual_prompt":null}')


async def test_a_result_is_readable_for_thirty_days_with_the_same_body_and_units() -> None:
    async with recorded() as mock:
        submitted = await mock.submit()
        await mock.pass_time(6)
        first = await mock.result(submitted)
        await mock.pass_time(30 * DAY - 10)
        last = await mock.result(submitted)
        await mock.pass_time(10)
        gone = await mock.result(submitted)

    assert (first.status_code, first.content, first.headers["x-fal-billable-units"]) == (
        last.status_code,
        last.content,
        last.headers["x-fal-billable-units"],
    )
    assert (gone.status_code, gone.text) == (404, NOT_FOUND)


async def test_a_large_result_is_readable_as_long_as_a_small_one() -> None:
    async with recorded() as mock:
        submitted = await mock.submit("data:text/plain," + "x" * 20_000)
        await mock.pass_time(29 * DAY)
        result = await mock.result(submitted)

    assert (result.status_code, len(result.content) > 20_000) == (422, True)


@pytest.mark.parametrize(
    ("settings", "headers", "readable"),
    [
        ({"retention": 60}, {}, 60),
        ({}, {"x-falmock-fault": "result_expired seconds=60"}, 60),
        ({}, {"x-fal-store-io": "0"}, 3600),  # the documented hour, for payloads that are not stored
        ({"retention": 60}, {"x-fal-store-io": "0"}, 60),
    ],
)
async def test_a_shorter_life_is_a_setting_a_fault_or_a_header(
    settings: dict[str, Any], headers: dict[str, str], readable: int
) -> None:
    async with recorded(**settings) as mock:
        submitted = await mock.submit(headers=headers)
        await mock.pass_time(5 + readable - 1)
        before = await mock.result(submitted)
        await mock.pass_time(1)
        after = await mock.result(submitted)

    assert (before.status_code, after.status_code, after.text) == (200, 404, NOT_FOUND)


async def test_an_object_lifecycle_is_that_of_the_file_and_not_of_the_result() -> None:
    async with recorded() as mock:
        lifecycle = {"x-fal-object-lifecycle-preference": '{"expiration_duration_seconds": 60}'}
        submitted = await mock.submit(headers=lifecycle)
        await mock.pass_time(DAY)
        result = await mock.result(submitted)
        file = await mock.http.get(result.json()["video"]["url"])

    assert (result.status_code, file.status_code) == (200, 404)


async def test_date_is_the_time_of_the_fetch() -> None:
    async with (
        recorded() as mock,
        serving(mock.emulator) as address,
        httpx.AsyncClient(base_url=address, headers=KEY) as http,
    ):
        submitted = (await http.post("/fal-ai/veo2/image-to-video", json={})).json()
        await mock.pass_time(60)
        result = await http.get(f"/fal-ai/veo2/requests/{submitted['request_id']}")

    assert result.status_code == 422
    assert (datetime.now(UTC) - parsedate_to_datetime(result.headers["date"])).total_seconds() < 30
