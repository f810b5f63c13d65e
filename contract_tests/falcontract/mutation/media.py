"""Mutants of the output and its file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from falcontract.mutation.internals import object_lifecycle, runner, veo
from falcontract.mutation.patching import Patch, change_answer, with_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response


def _change_file(patch: Patch, change: Callable[[Any], dict[str, Any]]) -> None:
    """Change members of the file in the output."""

    async def video(original: Any, *args: Any, **kwargs: Any) -> Any:
        file = await original(*args, **kwargs)
        return file.model_copy(update=change(file))

    patch.around(runner._Tools, "video", video)


def file_size_is_zero(patch: Patch) -> None:
    """The output has a file size of 0."""
    _change_file(patch, lambda _: {"file_size": 0})


def video_urls_are_dead(patch: Patch) -> None:
    """The URL of a video is a 404."""
    _change_file(patch, lambda file: {"url": file.url + "x"})


def videos_are_landscape(patch: Patch) -> None:
    """Every video is landscape."""
    patch.around(veo, "frame_size", lambda original, *args: veo.LANDSCAPE)


def videos_last_five_seconds(patch: Patch) -> None:
    """Every video lasts five seconds."""
    patch.around(veo, "seconds", lambda original, *args: 5)


def output_has_an_envelope(patch: Patch) -> None:
    """The output is wrapped in an object."""

    def change(response: Response, job: Any) -> Response:
        if job.status != 200:
            return response
        return with_body(response, {"data": json.loads(bytes(response.body))})

    change_answer(patch, "_result", change)


def lifetimes_are_ignored(patch: Patch) -> None:
    """A file does not expire."""
    patch.around(object_lifecycle.Lifecycle, "expires_at", lambda original, *args: None)


def files_expire_early(patch: Patch) -> None:
    """Every file expires after 20 seconds."""
    patch.around(object_lifecycle.Lifecycle, "expires_at", lambda original, lifecycle, now: now + 20)
