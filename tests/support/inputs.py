"""Makes valid inputs from the schema of a model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from falmock.catalogue.entries import Entry, Json

TEXT = "A lighthouse on a cliff at dawn, waves below"
DEEPEST = 4


def make(entry: Entry, *, full: bool) -> Json:
    """Return an input with the required fields, or with all.

    Of a choice, a full input has the last one, and of a range about the middle.
    """
    return _Maker(entry.schemas, full=full).object(entry.schemas[entry.input])


class _Maker:
    def __init__(self, schemas: Mapping[str, Json], *, full: bool) -> None:
        self.schemas = schemas
        self.full = full

    def object(self, schema: Json, depth: int = 0) -> Json:
        required = schema.get("required", ())
        names = schema.get("properties", {})
        wanted = [name for name in names if name in required or (self.full and depth < DEEPEST)]
        return {name: self.value(name, names[name], depth) for name in wanted}

    def value(self, name: str, schema: Json, depth: int) -> Any:
        if "$ref" in schema:
            return self.value(name, self.schemas[schema["$ref"].rpartition("/")[2]], depth)
        if branches := schema.get("anyOf") or schema.get("allOf"):
            return self.value(name, next(each for each in branches if each.get("type") != "null"), depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][-1 if self.full else 0]
        kind = schema.get("type", "object" if "properties" in schema else None)
        if kind == "object" or kind is None:
            return self.object(schema, depth + 1)
        if kind == "array":
            return self.list(name, schema, depth)
        return (
            {"boolean": True, "null": None}[kind]
            if kind in {"boolean", "null"}
            else scalar(name, schema, kind)
        )

    def list(self, name: str, schema: Json, depth: int) -> list[Any]:
        if "prefixItems" in schema:
            return [self.value(name, item, depth + 1) for item in schema["prefixItems"]]
        count = max(schema.get("minItems", 0), 2 if name in {"shot_size", "padding_values"} else 1)
        return [self.value(name, schema.get("items", {"type": "string"}), depth + 1) for _ in range(count)]


def scalar(name: str, schema: Json, kind: str) -> Any:
    if kind == "string":
        return text(name, schema)
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    high = schema.get("maximum", schema.get("exclusiveMaximum", max(low, 0) + 16))
    # Sizes stay small, so that an emulator can render them in a test
    middle = min((low + high) / 2, low + 1024)
    if kind == "integer":
        step = schema.get("multipleOf", 1)
        return math.ceil(middle / step) * step
    return middle


def text(name: str, schema: Json) -> str:
    if name.endswith(("url", "urls")) or name in {"model_image", "garment_image"}:
        suffix = next((end for word, end in (("video", "mp4"), ("audio", "wav")) if word in name), "png")
        return f"https://example.com/{name}.{suffix}"
    longest = schema.get("maxLength", 1000)
    return TEXT.ljust(schema.get("minLength", 0), ".")[:longest]
