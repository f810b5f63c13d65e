"""What a catalogue entry is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from falmock.media import Clip, Picture


class File(BaseModel):
    """fal's `File`, as every model that yields one returns it."""

    url: str
    content_type: str | None = None
    file_name: str | None = None
    file_size: int | None = None


class Tools(Protocol):
    """What a runner lends to a model while it runs."""

    async def picture(self, url: str, *, loc: tuple[str, ...]) -> Picture | None:
        """Return the image behind a URL or data URI; None for a hosted one that is taken on trust.

        Raises:
            ModelError: it could not be fetched, or is no usable image.
        """
        ...

    async def video(self, clip: Clip, *, name: str) -> File:
        """Render a clip and put it on the CDN under a name like "output.mp4"."""
        ...

    @property
    def seed(self) -> int:
        """The emulator's seed."""
        ...

    @property
    def style(self) -> Any:
        """Which kind of video the settings ask for: "animate" or "plain"."""
        ...


@dataclass(frozen=True, slots=True)
class Price:
    """A list price in US dollars.

    Attributes:
        unit: what is counted, as "second".
        usd: dollars for one unit.
        source: where it was read.
        date: of the source, as far as it is known: "2026-07" or "2026".
    """

    unit: str
    usd: float
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Model:
    """One endpoint of the catalogue.

    Attributes:
        endpoint: the full id, as "fal-ai/veo2/image-to-video".
        input: the schema that a runner validates against.
        output: the schema of a good result.
        price: what fal asks for a unit.
        units: how many units an input is worth.
        perform: makes the output; it may raise ModelError.
        logs: (share of the run, message) for each line that a run writes.
    """

    endpoint: str
    input: type[BaseModel]
    output: type[BaseModel]
    price: Price
    units: Callable[[Any], int]
    perform: Callable[[Any, Tools], Awaitable[BaseModel]]
    logs: tuple[tuple[float, str], ...]
