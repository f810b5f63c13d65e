"""Both clients against a running emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import falqueue
from falmock.media.probe import probe
from falqueue import Cancellation, Client, Completed, Handle, Veo2ImageToVideo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENDPOINT = "fal-ai/veo2/image-to-video"


@pytest.fixture
def client(connect: Callable[..., Client], emulator: str) -> Client:
    return connect(emulator)


@pytest.fixture
def patient(connect: Callable[..., Client], slow_emulator: str) -> Client:
    return connect(slow_emulator)


@pytest.fixture
def request_(picture: Path) -> Veo2ImageToVideo:
    return Veo2ImageToVideo(prompt="It waves", image_url=picture, duration="6s")


def test_an_image_becomes_a_video_on_disk(client: Client, request_: Veo2ImageToVideo, tmp_path: Path) -> None:
    output = client.subscribe(request_, check=True)
    clip = client.download(output.video, tmp_path / "out.mp4")
    assert probe(clip).seconds == pytest.approx(6.0, abs=0.1)


def test_another_client_can_wait_for_a_handle(
    connect: Callable[..., Client], emulator: str, request_: Veo2ImageToVideo
) -> None:
    text = str(connect(emulator).submit(request_))
    handle = Handle.from_text(text, Veo2ImageToVideo)
    assert connect(emulator).wait(handle).video.content_type == "video/mp4"


def test_returned_urls_point_to_the_emulator(
    client: Client, emulator: str, request_: Veo2ImageToVideo
) -> None:
    handle = client.submit(request_)
    assert handle.url == f"{emulator}/queue.fal.run/fal-ai/veo2/requests/{handle.request_id}"
    assert client.wait(handle).video.url.startswith(f"{emulator}/v3b.fal.media/files/")


@pytest.mark.parametrize("way", ["events", "stream"])
def test_events_and_stream_end_with_completed(client: Client, request_: Veo2ImageToVideo, way: str) -> None:
    statuses = list(getattr(client, way)(client.submit(request_), logs=True))
    assert isinstance(statuses[-1], Completed)
    assert not any(isinstance(status, Completed) for status in statuses[:-1])


def test_events_and_stream_yield_the_same_log_entries(client: Client, request_: Veo2ImageToVideo) -> None:
    handle = client.submit(request_)
    polled = [entry for status in client.events(handle, logs=True) for entry in getattr(status, "logs", ())]
    streamed = [entry for status in client.stream(handle, logs=True) for entry in getattr(status, "logs", ())]
    assert polled == streamed != []


def test_a_running_job_can_be_cancelled(patient: Client, request_: Veo2ImageToVideo) -> None:
    handle = patient.submit(request_)
    assert patient.cancel(handle) is Cancellation.REQUESTED
    with pytest.raises(falqueue.Cancelled, match=handle.request_id):
        patient.wait(handle)


def test_a_completed_job_cannot_be_cancelled(client: Client, request_: Veo2ImageToVideo) -> None:
    handle = client.submit(request_)
    client.wait(handle)
    assert client.cancel(handle) is Cancellation.ALREADY_COMPLETED


def test_a_timeout_cancels_the_job_at_the_server(patient: Client, request_: Veo2ImageToVideo) -> None:
    with pytest.raises(falqueue.TookTooLong) as caught:
        patient.subscribe(request_, timeout=0.2)
    assert caught.value.cancellation is Cancellation.REQUESTED
    assert caught.value.handle
    assert isinstance(list(patient.events(caught.value.handle))[-1], Completed)


def test_the_result_of_a_running_job_is_still_in_progress(
    patient: Client, request_: Veo2ImageToVideo
) -> None:
    handle = patient.submit(request_)
    with pytest.raises(falqueue.StillInProgress):
        patient.result(handle)


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({}, ["prompt", "image_url"]),
        ({"prompt": "x", "image_url": "https://example.com/a.png", "duration": 8}, ["duration"]),
    ],
)
def test_a_rejected_input_is_an_error_that_names_the_fields(
    client: Client, given: Any, fields: list[str]
) -> None:
    with pytest.raises(falqueue.InputRejected) as caught:
        client.subscribe(ENDPOINT, given)
    assert [error.loc[-1] for error in caught.value.errors] == fields


def test_an_unknown_path_is_an_error_of_the_runner(client: Client) -> None:
    with pytest.raises(falqueue.UnknownPath):
        client.subscribe("fal-ai/veo2/image-to-audio", {"prompt": "x"})


def test_a_submit_to_an_unknown_application_is_refused(client: Client) -> None:
    with pytest.raises(falqueue.NotFound, match="veo-nothing"):
        client.submit("fal-ai/veo-nothing", {})


def test_the_status_of_a_request_unknown_to_the_server_is_not_found(client: Client, emulator: str) -> None:
    unknown = Handle.from_text(f"{emulator}/queue.fal.run/fal-ai/veo2/requests/019e#{ENDPOINT}")
    with pytest.raises(falqueue.NotFound, match="019e"):
        client.status(unknown)


def test_a_submit_without_a_key_is_refused(connect: Callable[..., Client], emulator: str) -> None:
    client = connect(emulator, key=falqueue.Credentials.anonymous())
    with pytest.raises(falqueue.Unauthorized, match="Authentication is required"):
        client.submit(ENDPOINT, {})


def test_the_server_accepts_the_options_of_a_job(client: Client, request_: Veo2ImageToVideo) -> None:
    assert client.subscribe(request_, start_timeout=60, priority="low", no_retry=True).video.url


def test_run_returns_the_output_of_the_server(client: Client, request_: Veo2ImageToVideo) -> None:
    assert client.run(request_).video.content_type == "video/mp4"


def test_a_large_image_is_uploaded_and_used(client: Client, tmp_path: Path, picture: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(picture.read_bytes() + bytes(2 << 20))
    assert client.subscribe(Veo2ImageToVideo(prompt="x", image_url=large)).video.url


def test_an_upload_can_be_downloaded_unchanged(client: Client, tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000
    url = client.upload(content, name="numbers.bin")
    assert client.download(url, tmp_path / "numbers.bin").read_bytes() == content


def test_an_upload_in_parts_can_be_downloaded_unchanged(client: Client, tmp_path: Path) -> None:
    source = tmp_path / "large.bin"
    with source.open("wb") as file:
        file.truncate((100 << 20) + 1)
    target = client.download(client.upload(source), tmp_path / "back.bin")
    assert target.stat().st_size == (100 << 20) + 1
