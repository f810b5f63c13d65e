"""Mutants of the output and its file."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from falcontract.mutation.internals import object_lifecycle, planning, reading, runner
from falcontract.mutation.patching import (
    Answer,
    Patch,
    change_answer,
    change_wire,
    planted,
    replaces,
    with_body,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response


def _change_file(patch: Patch, change: Callable[[Any], dict[str, Any]]) -> None:
    """Change members of the file in the output."""

    async def publish(original: Any, *args: Any, **kwargs: Any) -> Any:
        file = await original(*args, **kwargs)
        return dataclasses.replace(file, **change(file))

    patch.around(runner._Tools, "publish", publish)


def file_size_is_zero(patch: Patch) -> None:
    """The output has a file size of 0."""
    _change_file(patch, lambda _: {"file_size": 0})


def video_urls_are_dead(patch: Patch) -> None:
    """The URL of a video is a 404."""
    _change_file(patch, lambda file: {"url": file.url + "x"})


def videos_are_landscape(patch: Patch) -> None:
    """Every video is landscape."""
    patch.around(planning.Plan, "_frame_size", lambda original, plan: planning.LANDSCAPE)


def videos_last_five_seconds(patch: Patch) -> None:
    """Every video lasts five seconds."""
    patch.set(reading, "seconds", lambda _: 5)


@planted(change_answer, "_result")
def output_has_an_envelope(response: Response, job: Any) -> Response:
    """The output is wrapped in an object."""
    if job.status != 200:
        return response
    return with_body(response, {"data": json.loads(bytes(response.body))})


def lifetimes_are_ignored(patch: Patch) -> None:
    """A file does not expire."""
    patch.around(object_lifecycle.Lifecycle, "expires_at", lambda original, *args: None)


def files_expire_early(patch: Patch) -> None:
    """Every file expires after 20 seconds."""
    patch.around(object_lifecycle.Lifecycle, "expires_at", lambda original, lifecycle, now: now + 20)


def clips_forget_their_length(patch: Patch) -> None:
    """Clips that differ only in their length are one in the cache."""
    _forget(patch, "frames")


def clips_forget_their_frame(patch: Patch) -> None:
    """Clips that differ only in their frame are one in the cache."""
    _forget(patch, "height", "width")


def _forget(patch: Patch, *names: str) -> None:
    first: dict[Any, Any] = {}

    async def publish(original: Any, tools: Any, clip: Any, **more: Any) -> Any:
        known = tuple(value for name, value in vars_of(clip) if name not in names)
        return await original(tools, first.setdefault(str(known), clip), **more)

    def vars_of(clip: Any) -> Any:
        skipped = {"picture", "prompt", "seed"}
        return [(name, getattr(clip, name)) for name in clip.__dataclass_fields__ if name not in skipped]

    patch.around(runner._Tools, "publish", publish)


def _change_download(patch: Patch, change: Callable[[bytes], bytes]) -> None:
    def changed(answer: Answer) -> None:
        if answer.headers.get("content-type") == "video/mp4" and answer.status == 200 and answer.body:
            answer.body = change(answer.body)

    change_wire(patch, changed)


def _is_index(box: Any) -> bool:
    return bool(box[4:8] == b"moov")


@planted(_change_download)
def indexes_come_last(data: bytes) -> bytes:
    """The index of a video is after its data, so that players must load all of it first."""
    boxes: list[bytes] = []
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        boxes.append(data[at : at + size])
        at += size
    return b"".join(sorted(boxes, key=_is_index))


def videos_have_half_of_the_frames(patch: Patch) -> None:
    """A video has half as many frames a second."""
    patch.set(planning, "FRAMES_PER_SECOND", 12.0)


@replaces(runner, "_decode_data_uri")
def only_plain_data_uris_are_read(original: Any, uri: str) -> bytes:
    """A data URI with upper-case letters is refused."""
    return bytes(original(uri if uri.startswith("data:image/png;base64,") else "data:;base64,AAAA"))


def escapes_in_data_uris_are_kept(patch: Patch) -> None:
    """Escapes in a data URI are not read."""
    patch.set(runner, "unquote_to_bytes", lambda text: text.encode())
