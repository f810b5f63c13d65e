"""Makes valid inputs by the schema of a model."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from falmock.catalogue.entries import Entry, Json

TEXT = "A lighthouse on a cliff at dawn, waves below"
DEEPEST = 4
_SMALL = {
    "image_size": 64,
    "video_size": 64,
    "width": 96,
    "height": 64,
    "resolution": 64,
    "duration": 1,
    "seconds_total": 1,
    "num_frames": 9,
    "fps": 8,
    "frames_per_second": 8,
    "num_images": 2,
}


def make(entry: Entry, *, full: bool, files: Mapping[str, str] | None = None) -> Json:
    """Return an input with the required fields, or with all.

    Of a choice, a full input has the last one, and of a range about the middle.

    Args:
        files: URLs of files by their suffixes; by default they are on another host.
    """
    return _Maker(entry.schemas, full=full, files=files).object(entry.schemas[entry.input])


def small(entry: Entry, files: Mapping[str, str]) -> Json:
    """Return an input with the required fields, and a small size and length where the model has them."""
    maker = _Maker(entry.schemas, full=False, files=files)
    properties = entry.schemas[entry.input].get("properties", {})
    chosen = {name: maker.small(name, schema) for name, schema in properties.items() if name in _SMALL}
    known = {name: value for name, value in chosen.items() if value is not None}
    return {**maker.object(entry.schemas[entry.input]), **known}


class _Maker:
    def __init__(
        self, schemas: Mapping[str, Json], *, full: bool, files: Mapping[str, str] | None = None
    ) -> None:
        self.schemas = schemas
        self.full = full
        self.files = files

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
        return makers[kind]() if kind in makers else self.scalar(name, schema, kind)

    def scalar(self, name: str, schema: Json, kind: str) -> Any:
        suffix = file_of(name) if kind == "string" else None
        if suffix is None:
            return scalar(schema, kind)
        return self.files[suffix] if self.files else f"https://example.com/{name}.{suffix}"

    def small(self, name: str, schema: Json) -> Any:
        """Return a small value of a field in `_SMALL`; None if it is not that kind of field."""
        resolved = self.schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        branches = resolved.get("anyOf") or resolved.get("allOf")
        if branches:
            found = [value for each in branches if (value := self.small(name, each)) is not None]
            return next((value for value in found if isinstance(value, dict)), found[0] if found else None)
        if numbered := [each for each in resolved.get("enum", ()) if re.match(r"\d", str(each))]:
            return min(numbered, key=number)
        if {"width", "height"} <= set(resolved.get("properties", ())):
            return {side: self.small(side, resolved["properties"][side]) for side in ("width", "height")}
        if resolved.get("type") not in {"integer", "number"} or "enum" in resolved:
            return None
        low = resolved.get("minimum", 0)
        return min(max(low, _SMALL[name]), resolved.get("maximum", _SMALL[name]))

    def list(self, name: str, schema: Json, depth: int) -> list[Any]:
        if "prefixItems" in schema:
            return [self.value(name, item, depth + 1) for item in schema["prefixItems"]]
        count = max(schema.get("minItems", 0), 2 if name in {"shot_size", "padding_values"} else 1)
        return [self.value(name, schema.get("items", {"type": "string"}), depth + 1) for _ in range(count)]


def scalar(schema: Json, kind: str) -> Any:
    if kind == "string":
        return text(schema)
    low: float = schema["exclusiveMinimum"] if "exclusiveMinimum" in schema else schema.get("minimum", 0)
    high: float = schema["exclusiveMaximum"] if "exclusiveMaximum" in schema else low + 8
    high = schema.get("maximum", high)
    # Sizes stay small, so that an emulator can render them in a test
    middle = min((low + high) / 2, low + 1024)
    if kind == "integer":
        step = int(schema.get("multipleOf", 1))
        return math.ceil(middle / step) * step
    return middle


def text(schema: Json) -> str:
    longest = schema.get("maxLength", 1000)
    return TEXT.ljust(schema.get("minLength", 0), ".")[:longest]


def number(value: object) -> float:
    """Return the number at the start of a choice: 5 for "5s", 4000 for "4k"."""
    found = re.match(r"([\d.]+)(k?)", str(value).lower())
    return float(found[1]) * (1000 if found[2] else 1) if found else 0.0


def file_of(name: str) -> str | None:
    """Return the suffix of a file that a field takes; None for another text."""
    if re.search(r"(data|archive)_url$|archive$", name):
        return "zip"
    plain = re.sub(r"(_url|_urls|_\d+)+$", "", name)
    kinds = (
        ("mp4", r"(^|_)(videos?|media)$"),
        ("wav", r"(^|_)(audios?|voice)$"),
        ("png", r"(^|_)images?$"),
    )
    takes_file = name.endswith(("url", "urls"))
    known = next((suffix for suffix, words in kinds if re.search(words, plain)), None)
    return None if plain == "voice" and not takes_file else known or ("png" if takes_file else None)
