"""The facts of one endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]
Medium = Literal["image", "video", "audio", "text", "mesh", "weights", "unknown"]
Certainty = Literal["page", "document", "schema", "types", "guess"]

REFERENCE: Final = "#/components/schemas/"  # before the name of a component
ORDER: Final = "x-fal-order-properties"  # the names of the fields in the order of the class


@dataclass(frozen=True, slots=True)
class Price:
    """A list price in US dollars."""

    unit: str  # in the plural, as "seconds"
    usd: float  # for one unit
    source: str  # a URL or description
    date: str  # of the source: "2026-07-28", "2026-07" or "2026"

    @property
    def is_by_time(self) -> bool:
        """Whether the seconds of the run are billed, whatever it makes."""
        return self.unit == "compute seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One endpoint of the catalogue."""

    endpoint: str  # the full id, as "fal-ai/flux/dev"
    # The components of its OpenAPI document by name: input, output, and what they refer to as
    # `{"$ref": "#/components/schemas/Image"}`. `title` is fal's Python class.
    schemas: Mapping[str, Json]
    input: str  # its name in `schemas`
    output: str
    medium: Medium = "unknown"  # of the main output
    category: str = ""  # in the words of fal's model list: "text-to-image"
    price: Price | None = None  # None if unknown
    price_rule: Json | None = None  # the price by option, in dollars and words, if there are several
    # Where the schemas come from, the most certain first: its page at fal, an OpenAPI document of fal,
    # JSON Schemas made of such documents, the types of a package of fal, which have no bounds, or the name.
    certainty: Certainty = "document"
    date: str = ""  # of that source: "2026-05-12"
    validation: Literal[1, 2] = 2  # the pydantic of its lists of invalid fields; both are live at fal
    retired: str | None = None  # since when fal does not list it
    # What `x-fal-metadata` of its document has beside id and category: "about", "thumbnailUrl"
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fields(self) -> list[str]:
        """The names of the input's fields, in the order of the class."""
        return ordered(self.schemas.get(self.input, {}))


def ordered(schema: Json) -> list[str]:
    """Return the names of the fields of an object, in the order of fal's class."""
    fields = schema.get("properties", {})
    order = [name for name in schema.get(ORDER, ()) if name in fields]
    return list(dict.fromkeys([*order, *fields]))
