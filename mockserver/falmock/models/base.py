"""The parts of a model in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from falmock.media import Clip, Picture


# A result has the fields that the model sets, null or not, and no others. The docstring is in the OpenAPI
# document that the emulator serves.
class File(BaseModel):
    """What the page of a model calls File."""

    url: str = Field(description="The URL where the file can be downloaded from.")
    content_type: str | None = Field(default=None, description="The mime type of the file.")
    file_name: str | None = Field(
        default=None, description="The name of the file. It will be auto-generated if not provided."
    )
    file_size: int | None = Field(default=None, description="The size of the file in bytes.")
    file_data: str | None = Field(default=None, description="File data")


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
        output: of a successful run. The result has the fields that `perform` sets.
        price: fal's list price.
        units: returns the number of billed units for an input: its price divided by the price of a unit. The
            header of the result has it as Python writes it, an int as 5 and a float as 5.0.
        perform: makes the output; may raise ModelError.
        logs: the log lines of a run, as (share of the run, message).
        pydantic: the generation that its lists of invalid fields come from; both are live at fal.
    """

    endpoint: str
    input: type[BaseModel]
    output: type[BaseModel]
    price: Price
    units: Callable[[Any], float]
    perform: Callable[[Any, Tools], Awaitable[BaseModel]]
    logs: tuple[tuple[float, str], ...]
    pydantic: Literal[1, 2] = 2
