"""Ten wrong uses of falqueue. `test_typing` checks that mypy finds each at its mark."""

from pathlib import Path
from typing import assert_never

from falqueue import (
    AsyncClient,
    Client,
    Completed,
    Handle,
    InProgress,
    Queued,
    Status,
    Veo2ImageToVideo,
    VideoOutput,
    verify,
)


def a_number_for_a_duration() -> Veo2ImageToVideo:
    return Veo2ImageToVideo(prompt="It waves", image_url=Path("a.png"), duration=8)  # wrong: arg-type


def no_picture() -> Veo2ImageToVideo:
    return Veo2ImageToVideo(prompt="It waves")  # wrong: call-arg


def completed_taken_for_success(status: Completed) -> object:
    return status.video.url  # wrong: attr-defined


def a_typed_output_taken_for_a_dictionary(client: Client, request: Veo2ImageToVideo) -> object:
    return client.result(client.submit(request))["video"]  # wrong: index


def a_forgotten_status(status: Status) -> str:
    match status:
        case Queued():
            return "waiting"
        case InProgress():
            return "running"
    assert_never(status)  # wrong: arg-type


def a_forgotten_await(client: AsyncClient, handle: Handle[VideoOutput]) -> object:
    return client.result(handle).video.url  # wrong: attr-defined


def an_option_that_fal_lacks(client: Client, request: Veo2ImageToVideo) -> object:
    return client.subscribe(request, priority="high")  # wrong: call-overload


def an_id_for_a_handle(client: Client) -> Status:
    return client.status("019e7b6a-5c1d-7f3e-9a2b-4c5d6e7f8091")  # wrong: arg-type


def a_webhook_that_was_decoded_first(body: str, headers: dict[str, str], keys: list[bytes]) -> object:
    return verify(body, headers, keys, now=0)  # wrong: arg-type


def a_check_of_what_has_no_types(client: Client) -> object:
    return client.submit("fal-ai/veo2", {"prompt": "It waves"}, check=True)  # wrong: call-overload
