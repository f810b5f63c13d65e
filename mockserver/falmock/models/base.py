"""The parts of a model in the catalogue."""

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
    """Services of the runner for a model that runs."""

    async def picture(self, url: str, *, loc: tuple[str, ...]) -> Picture | None:
        """Return the image at a URL or in a data URI; None for a remote one, which is not fetched.

        Raises:
            ModelError: it could not be fetched or decoded.
        """
        ...

    async def video(self, clip: Clip, *, name: str) -> File:
        """Render a clip and publish it on the CDN under a file name like "output.mp4"."""
        ...

    @property
    def seed(self) -> int:
        """The emulator's seed."""
        ...

    @property
    def style(self) -> Any:
        """The style of videos, from the settings: "animate" or "plain"."""
        ...


@dataclass(frozen=True, slots=True)
class Price:
    """A list price in US dollars.

    Attributes:
        unit: in the plural, as "seconds".
        usd: for one unit.
        source: a URL or description.
        date: of the source: "2026-07" or "2026".
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
        input: validates the body of a request.
        output: of a successful run.
        price: fal's list price.
        units: returns the number of billed units for an input: its price divided by the price of a unit. The
            header of the result has it as Python writes it, an int as 5 and a float as 5.0.
        perform: makes the output; may raise ModelError.
        logs: the log lines of a run, as (share of the run, message).
    """

    endpoint: str
    input: type[BaseModel]
    output: type[BaseModel]
    price: Price
    units: Callable[[Any], float]
    perform: Callable[[Any, Tools], Awaitable[BaseModel]]
    logs: tuple[tuple[float, str], ...]
