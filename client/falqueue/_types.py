"""Types and functions that most modules share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias, TypeVar

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

Json: TypeAlias = dict[str, Any]
T_co = TypeVar("T_co", covariant=True)


class TypedRequest(Protocol[T_co]):
    """A typed request: `submit` accepts it, and `result` returns its parsed output.

    `Veo2ImageToVideo` is one. Write your own for any other endpoint.

    >>> from falqueue import Veo2ImageToVideo
    >>> Veo2ImageToVideo.endpoint
    'fal-ai/veo2/image-to-video'
    """

    endpoint: ClassVar[str]

    def arguments(self) -> Mapping[str, Any]:
        """Return the input for fal. Files may still be paths, bytes or Pillow images."""

    def check(self) -> None:
        """Raise `InvalidInput` if fal would reject the input."""

    @staticmethod
    def output(body: Json) -> T_co:
        """Parse the model's output. Raise KeyError, TypeError or ValueError if it is malformed."""


def as_json(body: Json) -> Json:
    """Return `body`: the `output` of requests that have no type."""
    return body


def parse_url(url: str) -> httpx.URL | None:
    """Return `url`, or None unless it is an http or https URL with a host and without user info.

    httpx parses it, which also sends the requests: both agree on the host.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return None
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.userinfo:
        return None
    return parsed


def origin(url: str) -> tuple[str, str, int | None] | None:
    """Return scheme, host and port; None if `parse_url` rejects `url`."""
    parsed = parse_url(url)
    return (parsed.scheme, parsed.host, parsed.port) if parsed else None
