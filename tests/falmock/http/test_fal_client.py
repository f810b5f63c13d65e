"""fal's own Python client, from PyPI, with an emulator in another process.

The client has fal's addresses built in as four constants; here they lead to the emulator. Nothing
else about it is touched.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import fal_client
import pytest
from emulated import png
from fal_client import client as constants
from processes import Served, served

from falmock.media.probe import probe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

ENDPOINT = "fal-ai/veo2/image-to-video"
GOOD = {"prompt": "A lego chef cooking eggs", "image_url": "https://example.com/chef.png"}
QUICK = ["--queue-seconds", "0.2", "--run-seconds", "0.5", "--keys", "me:secret"]


# The client leaves the connections of its uploads to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Close the connections that the client leaves open, so that no other test gets their warnings."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served("--ephemeral", *QUICK) as server:
        yield server


@pytest.fixture
def led_here(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "QUEUE_URL_FORMAT", f"{server.address}/queue.fal.run/")
    monkeypatch.setattr(constants, "RUN_URL_FORMAT", f"{server.address}/fal.run/")
    monkeypatch.setattr(constants, "REST_URL", f"{server.address}/rest.fal.ai")
    monkeypatch.setattr(constants, "CDN_URL", f"{server.address}/v3.fal.media")


@pytest.fixture
def client(led_here: None) -> Iterator[fal_client.SyncClient]:
    client = fal_client.SyncClient(key="me:secret")
    yield client
    client._client.close()


@pytest.fixture
async def async_client(led_here: None) -> AsyncIterator[fal_client.AsyncClient]:
    client = fal_client.AsyncClient(key="me:secret")
    yield client
    await (await client._client).aclose()


def test_subscribe_reports_each_state_and_returns_the_video(client: fal_client.SyncClient) -> None:
    updates: list[Any] = []

    result = client.subscribe(ENDPOINT, GOOD, with_logs=True, on_queue_update=updates.append)

    states = list(dict.fromkeys(type(each) for each in updates))
    assert states == [fal_client.Queued, fal_client.InProgress, fal_client.Completed]
    assert updates[-1].logs[0]["message"] == "Starting video generation"
    assert result["video"]["content_type"] == "video/mp4"


def test_submit_status_and_result_work_as_single_calls(client: fal_client.SyncClient) -> None:
    handle = client.submit(ENDPOINT, GOOD)

    assert isinstance(client.status(ENDPOINT, handle.request_id), fal_client.Queued | fal_client.InProgress)
    assert handle.get() == client.result(ENDPOINT, handle.request_id)


def test_result_of_a_cancelled_request_raises_499(client: fal_client.SyncClient) -> None:
    handle = client.submit(ENDPOINT, GOOD)
    client.cancel(ENDPOINT, handle.request_id)

    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        handle.get()

    assert (caught.value.status_code, caught.value.error_type) == (499, "client_cancelled")


def test_cancel_of_a_completed_request_raises_the_error_in_the_body(client: fal_client.SyncClient) -> None:
    handle = client.submit(ENDPOINT, GOOD)
    handle.get()

    with pytest.raises(fal_client.FalClientHTTPError, match="ALREADY_COMPLETED"):
        handle.cancel()


def test_run_returns_the_result(client: fal_client.SyncClient) -> None:
    assert client.run(ENDPOINT, GOOD)["video"]["file_name"] == "output.mp4"


def test_invalid_input_raises_422_with_the_error_list(client: fal_client.SyncClient) -> None:
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        client.subscribe(ENDPOINT, GOOD | {"duration": "4s"})

    message: Any = caught.value.message
    assert (caught.value.status_code, message[0]["loc"]) == (422, ["body", "duration"])


def test_unknown_key_raises_401(led_here: None) -> None:
    other = fal_client.SyncClient(key="me:wrong")

    with pytest.raises(fal_client.FalClientHTTPError, match="No user found for Key ID and Secret") as caught:
        other.submit(ENDPOINT, GOOD)

    assert caught.value.status_code == 401
    other._client.close()


def test_start_timeout_raises_504_without_retries(client: fal_client.SyncClient) -> None:
    ahead = [client.submit(ENDPOINT, GOOD) for _ in range(8)]

    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        client.subscribe(ENDPOINT, GOOD, start_timeout=1.1)

    assert (caught.value.status_code, caught.value.response_headers["x-fal-request-timeout-type"]) == (
        504,
        "user",
    )
    for handle in ahead:
        handle.get()


def test_uploaded_image_can_be_an_input(client: fal_client.SyncClient, tmp_path: Path) -> None:
    url = client.upload(png(18, 32), "image/png", file_name="cat.png")
    result = client.subscribe(ENDPOINT, GOOD | {"image_url": url})

    video = tmp_path / "video.mp4"
    video.write_bytes(client._client.get(result["video"]["url"]).content)
    assert (probe(video).width, probe(video).height) == (720, 1280)


def test_data_uri_can_be_an_input(client: fal_client.SyncClient) -> None:
    url = fal_client.encode(png(), "image/png")

    assert "video" in client.subscribe(ENDPOINT, GOOD | {"image_url": url})


def test_older_upload_protocol_works(client: fal_client.SyncClient) -> None:
    url = client.upload(b"data", "text/plain", repository="fal")

    assert client._client.get(url).content == b"data"


def test_large_file_is_uploaded_in_parts_and_downloaded_whole(
    client: fal_client.SyncClient, tmp_path: Path
) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as sink:
        sink.truncate(101 * 1024 * 1024)
        sink.seek(50 * 1024 * 1024)
        sink.write(b"middle")

    url = client.upload_file(path)

    head = client._client.head(url)
    middle = client._client.get(url, headers={"Range": f"bytes={50 * 1024 * 1024}-{50 * 1024 * 1024 + 5}"})
    assert (head.headers["content-length"], middle.content) == (str(101 * 1024 * 1024), b"middle")


async def test_async_client_subscribes_to_a_request(async_client: fal_client.AsyncClient) -> None:
    updates: list[Any] = []

    result = await async_client.subscribe(ENDPOINT, GOOD, with_logs=True, on_queue_update=updates.append)

    assert isinstance(updates[-1], fal_client.Completed)
    assert "video" in result


async def test_async_client_submits_polls_and_reads_the_result(async_client: fal_client.AsyncClient) -> None:
    handle = await async_client.submit(ENDPOINT, GOOD)
    events = [event async for event in handle.iter_events(with_logs=True)]

    assert isinstance(events[-1], fal_client.Completed)
    assert "video" in await handle.get()


async def test_async_client_cancels_a_request(async_client: fal_client.AsyncClient) -> None:
    handle = await async_client.submit(ENDPOINT, GOOD)
    await handle.cancel()

    with pytest.raises(fal_client.FalClientHTTPError):
        await handle.get()


async def test_async_client_uploads_a_file(async_client: fal_client.AsyncClient) -> None:
    url = await async_client.upload(png(), "image/png")

    assert "video" in await async_client.subscribe(ENDPOINT, GOOD | {"image_url": url})


async def test_async_client_raises_the_same_error_classes(async_client: fal_client.AsyncClient) -> None:
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        await async_client.subscribe(ENDPOINT, {})

    assert caught.value.status_code == 422
