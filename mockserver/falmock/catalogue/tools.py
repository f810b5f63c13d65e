"""Services of the runner for a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import random

    from falmock.media import Picture, Recording, Specification


class Published(Protocol):
    """A file on the CDN."""

    @property
    def url(self) -> str: ...

    @property
    def file_size(self) -> int | None: ...


class Tools(Protocol):
    """Services of the runner for a model that runs."""

    async def picture(self, url: str, *, loc: tuple[str | int, ...]) -> Picture | None:
        """Return the image at a URL or in a data URI; None for a remote one, which is not fetched.

        Raises:
            ModelError: it could not be fetched or decoded.
        """
        ...

    async def recording(
        self, url: str, *, loc: tuple[str | int, ...], medium: Literal["video", "audio"]
    ) -> Recording | None:
        """Measure the video or sound at a URL or in a data URI; None for a remote one.

        Raises:
            ModelError: it could not be fetched or decoded.
        """
        ...

    async def publish(self, spec: Specification, *, name: str) -> Published:
        """Render a medium and publish it under a file name, which no other file of the request has."""
        ...

    async def inline(self, spec: Specification) -> str:
        """Render a medium and return it as a data URI."""
        ...

    @property
    def seed(self) -> int:
        """A seed that the emulator's seed and the input decide."""
        ...

    @property
    def style(self) -> Any:
        """The style of media, from the settings: "animate" or "plain"."""
        ...

    @property
    def random(self) -> random.Random:
        """Numbers that the emulator's seed and the input decide."""
        ...
