"""Both clients against a running emulator, from the submit to the file on disk."""

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


def test_a_picture_becomes_a_clip_on_disk(client: Client, request_: Veo2ImageToVideo, tmp_path: Path) -> None:
    output = client.subscribe(request_, check=True)
    clip = client.download(output.video, tmp_path / "out.mp4")
    assert probe(clip).seconds == pytest.approx(6.0, abs=0.1)


def test_a_handle_is_picked_up_by_another_client(
    connect: Callable[..., Client], emulator: str, request_: Veo2ImageToVideo
) -> None:
    text = str(connect(emulator).submit(request_))
    handle = Handle.from_text(text, Veo2ImageToVideo)
    assert connect(emulator).wait(handle).video.content_type == "video/mp4"


def test_addresses_lead_back_to_the_emulator(
    client: Client, emulator: str, request_: Veo2ImageToVideo
) -> None:
    handle = client.submit(request_)
    assert handle.url == f"{emulator}/queue.fal.run/fal-ai/veo2/requests/{handle.request_id}"
    assert client.wait(handle).video.url.startswith(f"{emulator}/v3b.fal.media/files/")


@pytest.mark.parametrize("way", ["events", "stream"])
def test_statuses_end_with_completed(client: Client, request_: Veo2ImageToVideo, way: str) -> None:
    statuses = list(getattr(client, way)(client.submit(request_), logs=True))
    assert isinstance(statuses[-1], Completed)
    assert not any(isinstance(status, Completed) for status in statuses[:-1])


def test_both_ways_to_follow_show_the_same_log_lines(client: Client, request_: Veo2ImageToVideo) -> None:
    handle = client.submit(request_)
    polled = [entry for status in client.events(handle, logs=True) for entry in getattr(status, "logs", ())]
    streamed = [entry for status in client.stream(handle, logs=True) for entry in getattr(status, "logs", ())]
    assert polled == streamed != []


def test_a_running_job_can_be_cancelled(patient: Client, request_: Veo2ImageToVideo) -> None:
    handle = patient.submit(request_)
    assert patient.cancel(handle) is Cancellation.REQUESTED
    with pytest.raises(falqueue.Cancelled, match=handle.request_id):
        patient.wait(handle)


def test_a_job_that_is_over_cannot(client: Client, request_: Veo2ImageToVideo) -> None:
    handle = client.submit(request_)
    client.wait(handle)
    assert client.cancel(handle) is Cancellation.ALREADY_COMPLETED


def test_a_timeout_cancels_at_the_other_end(patient: Client, request_: Veo2ImageToVideo) -> None:
    with pytest.raises(falqueue.TookTooLong) as caught:
        patient.subscribe(request_, timeout=0.2)
    assert caught.value.cancellation is Cancellation.REQUESTED
    assert caught.value.handle
    assert isinstance(list(patient.events(caught.value.handle))[-1], Completed)


def test_a_result_that_is_asked_for_too_early_is_not_there(
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
def test_what_the_model_refuses_is_named_by_field(client: Client, given: Any, fields: list[str]) -> None:
    with pytest.raises(falqueue.InputRejected) as caught:
        client.subscribe(ENDPOINT, given)
    assert [error.loc[-1] for error in caught.value.errors] == fields


def test_an_unknown_path_is_found_out_by_the_runner(client: Client) -> None:
    with pytest.raises(falqueue.UnknownPath):
        client.subscribe("fal-ai/veo2/image-to-audio", {"prompt": "x"})


def test_an_unknown_application_is_refused_at_once(client: Client) -> None:
    with pytest.raises(falqueue.NotFound, match="veo-nothing"):
        client.submit("fal-ai/veo-nothing", {})


def test_an_unknown_request_is_not_found(client: Client, emulator: str) -> None:
    stranger = Handle.from_text(f"{emulator}/queue.fal.run/fal-ai/veo2/requests/019e#{ENDPOINT}")
    with pytest.raises(falqueue.NotFound, match="019e"):
        client.status(stranger)


def test_without_a_key_nothing_is_taken(connect: Callable[..., Client], emulator: str) -> None:
    client = connect(emulator, key=falqueue.Credentials.anonymous())
    with pytest.raises(falqueue.Unauthorized, match="Authentication is required"):
        client.submit(ENDPOINT, {})


def test_a_start_timeout_is_taken(client: Client, request_: Veo2ImageToVideo) -> None:
    assert client.subscribe(request_, start_timeout=60, priority="low", no_retry=True).video.url


def test_the_run_host_answers_at_once(client: Client, request_: Veo2ImageToVideo) -> None:
    assert client.run(request_).video.content_type == "video/mp4"


def test_a_large_picture_is_uploaded_and_used(client: Client, tmp_path: Path, picture: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(picture.read_bytes() + bytes(2 << 20))
    assert client.subscribe(Veo2ImageToVideo(prompt="x", image_url=large)).video.url


def test_an_upload_comes_back_as_it_was(client: Client, tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000
    url = client.upload(content, name="numbers.bin")
    assert client.download(url, tmp_path / "numbers.bin").read_bytes() == content


def test_an_upload_above_100_mib_comes_back_as_it_was(client: Client, tmp_path: Path) -> None:
    source = tmp_path / "large.bin"
    with source.open("wb") as file:
        file.truncate((100 << 20) + 1)
    target = client.download(client.upload(source), tmp_path / "back.bin")
    assert target.stat().st_size == (100 << 20) + 1
