"""Log entries, byte for byte: PROTOCOL.md 4.4."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import fal_client
import pytest
from emulated import veo
from recorded import recorded

from falmock.catalogue import Catalogue, Model
from falqueue import Client, Completed

ID = "01a0c450-6c00-7085-9207-97ffcbc75b2f"
LABELS = (
    '"app":"github_39952488-veo2","app_id":"8525ea8e-7def-4d91-957f-6f1243f754b2",'
    '"fal_endpoint":"fal-ai/veo2","fal_env":"prod","fal_job_id":"151bf0cb-336c-42e9-8524-0657f63e1363",'
    '"fal_multiplexing_app":"1","fal_node_id":"4a739d0d-f9ce-41f6-b20b-3eb1b75d9b44","fal_public_logs":"1",'
    f'"fal_request_id":"{ID}","fal_user_nickname":"fal-ai",'
    '"fal_worker_id":"fal-jobs/GPU-0ed08794-2d58-4581-adae-f1e04bd28ab5/151bf0cb-336c-42e9-8524-0657f63e1363",'
    '"isolate_source":"USER","level":"INFO"'
)
RECORDED = (
    *("app", "app_id", "fal_endpoint", "fal_env", "fal_job_id", "fal_multiplexing_app", "fal_node_id"),
    *("fal_public_logs", "fal_request_id", "fal_user_nickname", "fal_worker_id", "isolate_source", "level"),
    *("logged_at", "message", "source"),
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def logs(seconds: float, query: str = "?logs=1", **settings: Any) -> Any:
    """Return the `logs` of a request that was accepted some seconds ago."""
    async with recorded(**settings) as mock:
        submitted = await mock.submit()
        await mock.pass_time(seconds)
        return (await mock.status(submitted, query)).json()["logs"]


async def test_an_entry_has_a_timestamp_without_a_zone_then_the_message_then_the_labels() -> None:
    async with recorded() as mock:
        submitted = await mock.submit()
        await mock.pass_time(1.25)

        text = (await mock.status(submitted, "?logs=1")).text

    time = "2026-09-21T14:13:21.200000"
    own = f'"logged_at":"{time}+00:00","message":"Starting video generation","source":"gateway"'
    assert f'"logs":[{{"timestamp":"{time}","message":"Starting video generation",' in text
    assert f'"labels":{{{LABELS},{own}}}}}],"metrics":{{}}}}' in text


async def test_the_labels_are_the_recorded_ones_in_alphabetical_order() -> None:
    entries = await logs(60)

    for entry in entries:
        assert list(entry) == ["timestamp", "message", "labels"]
        assert tuple(entry["labels"]) == RECORDED


async def test_the_last_entry_is_the_access_line_of_the_web_server() -> None:
    entries = await logs(60)

    assert [entry["message"] for entry in entries] == [
        "Starting video generation",
        "Reading the input image",
        "Generating video: 25%",
        "Generating video: 50%",
        "Generating video: 75%",
        "Uploading the video",
        'INFO:     10.137.11.213:39768 - "POST /image-to-video HTTP/1.1" 200 OK',
    ]


@pytest.mark.parametrize(
    ("fault", "ending"),
    [
        ("content_policy_violation", ["Uploading the video", "422 Unprocessable Entity"]),
        ("internal_server_error", ["Uploading the video", "500 Internal Server Error"]),
        ("file_download_error", ["Reading the input image", "422 Unprocessable Entity"]),
        ("runner_server_error", ["Generating video: 75%", "Uploading the video"]),  # it has not answered
    ],
)
async def test_the_access_line_has_the_status_that_the_runner_answers(fault: str, ending: list[str]) -> None:
    async with recorded() as mock:
        submitted = await mock.submit(headers={"x-falmock-fault": fault})
        await mock.pass_time(60)

        entries = (await mock.status(submitted, "?logs=1")).json()["logs"]

    assert [entry["message"].rpartition('" ')[2] for entry in entries[-2:]] == ending


async def test_the_message_in_the_labels_has_no_bars() -> None:
    bar = "  4%|▍         | 1/25 [00:00<00:05]"

    class Counting(Model):
        logs = ((0.5, bar),)

    async with recorded(Catalogue([Counting(veo().entry)])) as mock:
        submitted = await mock.submit()
        await mock.pass_time(60)

        entry = (await mock.status(submitted, "?logs=1")).json()["logs"][0]

    assert (entry["message"], entry["labels"]["message"]) == (bar, bar.replace("|", "_"))


async def test_logs_that_are_asked_for_are_an_empty_list_before_the_first_line() -> None:
    assert (await logs(0), await logs(1.1), await logs(1.1, query="")) == ([], [], None)


async def test_flat_fields_are_a_setting() -> None:
    (entry, *_) = await logs(60, flat_logs=True)

    assert list(entry) == ["timestamp", "message", "level", "source", "labels"]
    assert (entry["level"], entry["source"]) == ("INFO", "USER")


async def test_the_stream_sends_the_same_entries() -> None:
    async with recorded() as mock:
        submitted = await mock.submit()
        await mock.pass_time(60)
        stream = await mock.get(submitted["status_url"] + "/stream?logs=1")
        entries = (await mock.status(submitted, "?logs=1")).json()["logs"]

    assert json.loads(stream.text.removeprefix("data: "))["logs"] == entries


def test_clients_of_fal_read_the_entries(falmock: Any) -> None:
    endpoint, given = "fal-ai/veo2/image-to-video", {"prompt": "x", "image_url": "https://example.com/x.png"}
    handle = fal_client.submit(endpoint, given)
    falmock.wait(handle.request_id)

    done = handle.status(with_logs=True)
    with Client("me:secret") as client:
        (*_, last) = client.events(client.submit(endpoint, given), logs=True)

    assert isinstance(done, fal_client.Completed)
    assert done.logs is not None
    assert "level" not in done.logs[0]
    assert isinstance(last, Completed)
    assert {entry.level for entry in last.logs} == {"INFO"}
    assert datetime.fromisoformat(last.logs[0].timestamp).replace(tzinfo=UTC).timestamp() < falmock.now
