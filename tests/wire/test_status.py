"""Statuses, byte for byte: PROTOCOL.md 4.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from emulated import KEY, Mock

if TYPE_CHECKING:
    import httpx

FIRST = "01a0c450-6c00-7085-9207-97ffcbc75b2f"  # with seed 1, at the time of the fixture
BASE = f"http://queue.fal.run/fal-ai/veo2/requests/{FIRST}"
URLS = f'"response_url":"{BASE}","status_url":"{BASE}/status","cancel_url":"{BASE}/cancel"'
LINKS = f'"request_id":"{FIRST}",{URLS}'


async def status(mock: Mock, seconds: float, query: str = "", **more: Any) -> httpx.Response:
    """Return the status of a request some seconds after its submit."""
    await mock.submit(**more)
    await mock.pass_time(seconds)
    path = f"/fal-ai/veo2/requests/{FIRST}/status{query}"
    return await mock.http.get(path, headers=KEY | {"Host": "queue.fal.run"})


@pytest.mark.parametrize(
    ("seconds", "code", "body"),
    [
        (0, 202, f'{{"status":"IN_QUEUE",{LINKS},"logs":null,"metrics":{{}},"queue_position":0}}'),
        (2, 202, f'{{"status":"IN_PROGRESS",{LINKS},"logs":null,"metrics":{{}}}}'),
        (6, 200, f'{{"status":"COMPLETED",{LINKS},"logs":null,"metrics":{{"inference_time":4.0}}}}'),
    ],
    ids=["queued", "running", "completed"],
)
async def test_each_state_has_these_bytes(mock: Mock, seconds: float, code: int, body: str) -> None:
    answer = await status(mock, seconds)

    assert (answer.status_code, answer.text) == (code, body)


@pytest.mark.parametrize("seconds", [0, 1])
async def test_logs_are_an_empty_list_before_the_first_entry(mock: Mock, seconds: float) -> None:
    answer = await status(mock, seconds, "?logs=1")

    assert '"logs":[],"metrics":{}' in answer.text


async def test_failure_of_a_model_leaves_the_status_plain(mock: Mock) -> None:
    answer = await status(mock, 6, duration="4s")

    time = answer.json()["metrics"]["inference_time"]
    assert (answer.status_code, answer.text) == (
        200,
        f'{{"status":"COMPLETED",{LINKS},"logs":null,"metrics":{{"inference_time":{time!r}}}}}',
    )


async def test_failure_of_the_platform_is_in_the_status(mock: Mock) -> None:
    answer = await status(mock, 60, prompt="[[fal: internal_error]]")

    assert answer.status_code == 200
    assert list(answer.json())[-3:] == ["metrics", "error", "error_type"]
    assert answer.text.endswith('"error":"Internal Server Error","error_type":"internal_error"}')


@pytest.mark.parametrize("seconds", [0, 2, 6])
async def test_status_does_not_depend_on_earlier_polls(mock: Mock, seconds: float) -> None:
    first = await status(mock, seconds, "?logs=1")

    again = await mock.http.get(first.request.url, headers=KEY | {"Host": "queue.fal.run"})

    assert again.content == first.content
