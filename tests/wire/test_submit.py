"""The answer to a submit, byte for byte: PROTOCOL.md 4.1."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from emulated import ENDPOINT, GOOD, KEY, Mock, veo

from falmock.catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Start = Callable[..., Awaitable[Mock]]

FIRST = "01a0c450-6c00-7085-9207-97ffcbc75b2f"  # with seed 1, at the time of the fixture
HOST = {"Host": "queue.fal.run"}


async def test_submit_is_answered_with_these_bytes(mock: Mock) -> None:
    answer = await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY | HOST)

    base = f"http://queue.fal.run/fal-ai/veo2/requests/{FIRST}"
    assert (answer.status_code, answer.text) == (
        200,
        f'{{"status":"IN_QUEUE","request_id":"{FIRST}","response_url":"{base}",'
        f'"status_url":"{base}/status","cancel_url":"{base}/cancel","logs":null,"metrics":{{}},'
        '"queue_position":0}',
    )


async def test_bodies_have_the_recorded_lengths(start: Start) -> None:
    wan = Catalogue([veo(endpoint="fal-ai/wan/v2.7/text-to-video")])
    mock = await start(catalogue=wan, trusted_proxies=("127.0.0.1",))
    headers = KEY | HOST | {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https"}

    submitted = await mock.http.post("/fal-ai/wan/v2.7/text-to-video", json=GOOD, headers=headers)
    await mock.pass_time(2)
    path = f"/fal-ai/wan/requests/{submitted.json()['request_id']}/status"
    running = await mock.http.get(path, headers=headers)

    assert (submitted.headers["content-length"], running.headers["content-length"]) == ("415", "399")


async def test_request_id_is_a_uuid7_of_the_time_of_the_submit(mock: Mock) -> None:
    await mock.pass_time(12.345)

    request_id = uuid.UUID((await mock.submit())["request_id"])

    assert (request_id.version, request_id.int >> 80) == (7, 1_790_000_012_345)


async def test_positions_count_from_zero(mock: Mock) -> None:
    assert [(await mock.submit())["queue_position"] for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("body", [b"{}", b'{"prompt": 1}', b"no json", b""])
async def test_input_is_not_looked_at_before_the_run(mock: Mock, body: bytes) -> None:
    headers = KEY | {"Content-Type": "application/json"}

    answer = await mock.http.post(f"/{ENDPOINT}", content=body, headers=headers)
    await mock.pass_time(6)

    assert (answer.status_code, answer.json()["status"]) == (200, "IN_QUEUE")
    assert (await mock.status(answer.json())).json()["status"] == "COMPLETED"
    assert (await mock.result(answer.json())).status_code == 422


async def test_same_seed_gives_the_same_bytes(start: Start) -> None:
    answers = [
        await (await start(seed=7)).http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY | HOST) for _ in range(2)
    ]

    assert answers[0].content == answers[1].content
