"""Makes valid inputs by the schema of a model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
        choices = [schema["const"]] if "const" in schema else schema.get("enum")
        if choices:
            return choices[-1 if self.full else 0]
        kind = schema.get("type", "object")
        makers: dict[str, Callable[[], Any]] = {
            "object": lambda: self.object(schema, depth + 1),
            "array": lambda: self.list(name, schema, depth),
            "boolean": lambda: True,
            "null": lambda: None,
        }
        return makers[kind]() if kind in makers else scalar(name, schema, kind)

    def list(self, name: str, schema: Json, depth: int) -> list[Any]:
        if "prefixItems" in schema:
            return [self.value(name, item, depth + 1) for item in schema["prefixItems"]]
        count = max(schema.get("minItems", 0), 2 if name in {"shot_size", "padding_values"} else 1)
        return [self.value(name, schema.get("items", {"type": "string"}), depth + 1) for _ in range(count)]


def scalar(name: str, schema: Json, kind: str) -> Any:
    if kind == "string":
        return text(name, schema)
    low: float = schema["exclusiveMinimum"] if "exclusiveMinimum" in schema else schema.get("minimum", 0)
    high: float = schema["exclusiveMaximum"] if "exclusiveMaximum" in schema else low + 8
    high = schema.get("maximum", high)
    # Sizes stay small, so that an emulator can render them in a test
    middle = min((low + high) / 2, low + 1024)
    if kind == "integer":
        step = int(schema.get("multipleOf", 1))
        return math.ceil(middle / step) * step
    return middle


def text(name: str, schema: Json) -> str:
    if name.endswith(("url", "urls")) or name in {"model_image", "garment_image"}:
        suffix = next((end for word, end in (("video", "mp4"), ("audio", "wav")) if word in name), "png")
        return f"https://example.com/{name}.{suffix}"
    longest = schema.get("maxLength", 1000)
    return TEXT.ljust(schema.get("minLength", 0), ".")[:longest]
