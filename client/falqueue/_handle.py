"""A submitted job, as something that fits into one line of text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from falqueue._errors import InvalidHandle, ProtocolError, UsageError
from falqueue._hosts import origin
from falqueue._requests import Json, as_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from falqueue._requests import TypedRequest

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

NAMESPACES: Final = ("workflows", "comfy")
REQUEST_ID: Final = re.compile(r"(?!\.+$)[A-Za-z0-9._~-]+")
ENDPOINT: Final = re.compile(r"[\w.~|-]+(/[\w.~|-]+)+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Handle(Generic[T_co]):
    """A job that fal has taken: what to keep so that any process can fetch its output without paying twice.

    `str(handle)` is one line; `Handle.from_text` reads it back. The line holds no key.

    >>> line = "https://queue.fal.run/fal-ai/veo2/requests/019e-4b3e#fal-ai/veo2/image-to-video"
    >>> handle = Handle.from_text(line)
    >>> handle.request_id, handle.endpoint, str(handle) == line
    ('019e-4b3e', 'fal-ai/veo2/image-to-video', True)
    """

    endpoint: str
    request_id: str
    url: str
    output: Callable[[Json], T_co] = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.url}#{self.endpoint}"

    @overload
    @classmethod
    def from_text(cls, text: str) -> Handle[Json]: ...
    @overload
    @classmethod
    def from_text(cls, text: str, model: type[TypedRequest[T]]) -> Handle[T]: ...
    @classmethod
    def from_text(cls, text: str, model: type[TypedRequest[Any]] | None = None) -> Handle[Any]:
        """Read back what `str(handle)` wrote. With `model`, the result is typed as that model's output.

        Raises:
            InvalidHandle: the text is no handle, or one of another model.
        """
        url, _, endpoint = text.strip().partition("#")
        request_id = url.rpartition("/requests/")[2]
        if origin(url) is None or not REQUEST_ID.fullmatch(request_id) or not ENDPOINT.fullmatch(endpoint):
            raise InvalidHandle(
                "not a handle; it looks like https://queue.fal.run/owner/app/requests/ID#owner/app"
            )
        if model is not None and model.endpoint != endpoint:
            raise InvalidHandle(f"a handle of {endpoint}, not of {model.endpoint}")
        return Handle(endpoint, request_id, url, model.output if model else as_json)


def application(endpoint: str) -> str:
    """Return `[namespace/]owner/alias` of an endpoint id: what its requests are filed under (PROTOCOL.md 3).

    Raises:
        UsageError: not an endpoint id.

    >>> application("fal-ai/veo2/image-to-video"), application("workflows/me/clip/run")
    ('fal-ai/veo2', 'workflows/me/clip')
    """
    if not ENDPOINT.fullmatch(endpoint) or {".", ".."} & set(endpoint.split("/")):
        raise UsageError(f"{endpoint!r:.80} is not an endpoint id such as fal-ai/veo2/image-to-video")
    parts = endpoint.split("/")
    return "/".join(parts[: 3 if parts[0] in NAMESPACES else 2])


def handle_from(body: Json, *, endpoint: str, queue: str, output: Callable[[Json], T]) -> Handle[T]:
    """Return the handle that a submit answer describes.

    Addresses that fal returns are kept where they are on the queue host (an alias may be filed under another
    name); any other would carry the key to a stranger, so the address is then built from the endpoint id.

    Raises:
        ProtocolError: the answer names no request.
    """
    request_id = body.get("request_id")
    if not isinstance(request_id, str) or not REQUEST_ID.fullmatch(request_id):
        raise ProtocolError("the answer names no request")
    built = f"{queue}/{application(endpoint)}/requests/{request_id}"
    returned = str(body.get("response_url", "")).rstrip("/").removesuffix("/response")
    family = (body.get("status_url"), body.get("cancel_url"))
    usable = (
        origin(returned) == origin(queue)
        and returned.endswith(f"/requests/{request_id}")
        and not {"?", "#"} & set(returned)
        and family == (f"{returned}/status", f"{returned}/cancel")
    )
    return Handle(endpoint, request_id, returned if usable else built, output)
