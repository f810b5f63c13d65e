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
ORDER: Final = "x-fal-order-properties"


@dataclass(frozen=True, slots=True)
class Price:
    """A list price in US dollars.

    Attributes:
        unit: in the plural, as "seconds".
        usd: for one unit.
        source: a URL or description.
        date: of the source: "2026-07-28", "2026-07" or "2026".
    """

    unit: str
    usd: float
    source: str
    date: str

    @property
    def is_by_time(self) -> bool:
        """Whether the seconds of the run are billed, whatever it makes."""
        return self.unit == "compute seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One endpoint of the catalogue.

    Attributes:
        endpoint: the full id, as "fal-ai/flux/dev".
        schemas: the components of its OpenAPI document by name: input, output, and what they refer to as
            `{"$ref": "#/components/schemas/Image"}`. `title` is fal's Python class, and
            `x-fal-order-properties` the order of its fields.
        input: the name of the input in `schemas`.
        output: the name of the output.
        medium: of the main output.
        category: as fal's model list has it: "text-to-image".
        price: None if unknown.
        price_rule: the price by option, in dollars and words; None if there is one price or none is known.
        certainty: where the schemas come from, the most certain first: fal's page of the model; an OpenAPI
            document of fal; JSON Schemas made of such documents; the types of a package of fal, which have no
            bounds; a guess from the name.
        date: of that source: "2026-05-12".
        validation: the generation of pydantic that its lists of invalid fields come from; both are live at
            fal.
        retired: since when fal does not list it, or None.
        metadata: what `x-fal-metadata` of its document has beside id and category: "about", "thumbnailUrl".
    """

    endpoint: str
    schemas: Mapping[str, Json]
    input: str
    output: str
    medium: Medium = "unknown"
    category: str = ""
    price: Price | None = None
    price_rule: Json | None = None
    certainty: Certainty = "document"
    date: str = ""
    validation: Literal[1, 2] = 2
    retired: str | None = None
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
