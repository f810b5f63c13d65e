"""The run host and the status stream, byte for byte: PROTOCOL.md 4.5, 5 and 6."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from emulated import ENDPOINT, GOOD, KEY, Mock

if TYPE_CHECKING:
    import httpx

RUN = f"/fal.run/{ENDPOINT}"
FIRST = "01a0c450-6c00-7085-9207-97ffcbc75b2f"  # with seed 1, at the time of the fixture
BASE = f"http://queue.fal.run/fal-ai/veo2/requests/{FIRST}"
URLS = f'"response_url":"{BASE}","status_url":"{BASE}/status","cancel_url":"{BASE}/cancel"'
LINKS = f'"request_id":"{FIRST}",{URLS}'


async def run(mock: Mock, path: str = RUN, body: Any = GOOD) -> httpx.Response:
    """Call the run host, and let the run end."""
    call = asyncio.create_task(mock.http.post(path, json=body, headers=KEY | {"Host": "fal.run"}))
    while not mock.emulator.store.open_requests():  # noqa: ASYNC110 - the call is on its way
        await asyncio.sleep(0)
    await mock.pass_time(60)
    return await call


async def test_run_returns_the_bytes_of_the_model(mock: Mock) -> None:
    answer = await run(mock, f"/{ENDPOINT}")

    assert re.fullmatch(
        r'\{"video":\{"url":"http://v3b\.fal\.media/files/b/[0-9a-f]{8}/[\w-]{21}_output\.mp4",'
        r'"content_type":"video/mp4","file_name":"output\.mp4","file_size":\d+\}\}',
        answer.text,
    )


async def test_run_and_result_of_one_input_have_the_same_shape(mock: Mock) -> None:
    direct, queued = await run(mock, f"/{ENDPOINT}"), await mock.finish()

    assert direct.json()["video"].keys() == queued.json()["video"].keys()
    assert direct.json()["video"]["file_size"] == queued.json()["video"]["file_size"]


async def test_model_without_a_stream_has_no_path_for_it(mock: Mock) -> None:
    answer = await run(mock, f"/{ENDPOINT}/stream")

    assert (answer.status_code, answer.text) == (404, '{"detail":"Path /image-to-video/stream not found"}')
    assert "x-fal-sse-last-event-as-body" not in answer.headers


async def test_status_stream_has_these_bytes(mock: Mock) -> None:
    await mock.submit()
    url = f"/fal-ai/veo2/requests/{FIRST}/status/stream"
    headers = KEY | {"Host": "queue.fal.run"}

    async with mock.http.stream("GET", url, headers=headers) as answer:
        pieces = answer.aiter_bytes()
        received = await anext(pieces)
        passing = asyncio.create_task(mock.pass_time(6))
        async for piece in pieces:
            received += piece
        await passing

    events = received.decode().split("\n\n")
    assert events == [
        f'data: {{"status":"IN_QUEUE",{LINKS},"logs":null,"metrics":{{}},"queue_position":0}}',
        f'data: {{"status":"IN_PROGRESS",{LINKS},"logs":null,"metrics":{{}}}}',
        f'data: {{"status":"COMPLETED",{LINKS},"logs":null,"metrics":{{"inference_time":4.0}}}}',
        "",
    ]
