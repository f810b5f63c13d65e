"""Entries of ids that are not in the catalogue: any input is valid, and the id decides the medium."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from falmock.catalogue import notation
from falmock.catalogue.entries import Entry, Medium

if TYPE_CHECKING:
    from collections.abc import Mapping

    from falmock.catalogue.notation import Fields

_FILE: Final[Fields] = {
    "url": {"type": "string", "required": True},
    "content_type": {"type": "string", "null": True},
    "file_name": {"type": "string", "null": True},
    "file_size": {"type": "integer", "null": True},
}
_IMAGE: Final[Fields] = {
    "url": {"type": "string", "required": True},
    "width": {"type": "integer", "required": True},
    "height": {"type": "integer", "required": True},
    "content_type": {"type": "string", "null": True},
}
_TYPES: Final = {"File": {"class": "File", "fields": _FILE}, "Image": {"class": "Image", "fields": _IMAGE}}
_OUTPUTS: Final[Mapping[Medium, Fields]] = {
    "image": {
        "images": {"type": "array", "items": {"ref": "Image"}, "required": True},
        "seed": {"type": "integer", "required": True},
    },
    "video": {"video": {"ref": "File", "required": True}},
    "audio": {"audio": {"ref": "File", "required": True}},
    "text": {"output": {"type": "string", "required": True}},
    "mesh": {"model_mesh": {"ref": "File", "required": True}},
    "weights": {
        "diffusers_lora_file": {"ref": "File", "required": True},
        "config_file": {"ref": "File", "required": True},
    },
}
_USUAL: Final[Medium] = "image"  # of an id that says nothing: most calls to fal are for images


def guess(endpoint: str) -> Entry:
    """Return an entry for any endpoint id."""
    found = notation.medium_of(endpoint)
    medium = found if found in _OUTPUTS else _USUAL
    facts = {"certainty": "guess", "date": "", "medium": medium, "input": {}, "output": _OUTPUTS[medium]}
    entry = notation.entry(endpoint, facts, _TYPES)
    anything = {**entry.schemas[entry.input], "additionalProperties": True}
    return Entry(
        endpoint=endpoint,
        schemas={**entry.schemas, entry.input: anything},
        input=entry.input,
        output=entry.output,
        medium=medium,
        category=entry.category,
        certainty="guess",
    )
