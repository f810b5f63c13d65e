"""Fills an output by its schema: finds the places of files, and gives every other field a valid value."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from falmock.catalogue.entries import ordered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from falmock.catalogue.entries import Json

Path = tuple[str, ...]

_LONGEST: Final = 16  # of a list that a schema asks for
_DEEPEST: Final = 6  # levels of objects; a schema may refer to itself
_MOST: Final = 10_000  # values or characters that are made for one output; a schema may ask for any number
_URL: Final = re.compile(r"(^|_)urls?$")
_OMIT: Final = object()
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
    "null": type(None),
}


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in an output for one file or a list of files."""

    path: Path  # names of fields, from the outside
    many: bool  # a list
    bare: bool  # a URL, instead of an object with one
    required: bool  # the output needs it, and everything around it
    schema: Json  # of the file

    @property
    def name(self) -> str:
        return self.path[-1]


class Filler:
    """Fills the outputs of one model, from the components of its document by name.

    `known` returns the value of a field by its name and schema, or `Filler.UNKNOWN`.
    """

    UNKNOWN: Final = object()

    def __init__(self, schemas: Mapping[str, Json], known: Callable[[str, Json], Any]) -> None:
        self._schemas = schemas
        self._known = known
        self._left = _MOST

    def fill(self, schema: Json, files: Mapping[Path, Any], path: Path = ()) -> Json:
        """Return an object with all its fields in their order; those that are unknown and optional are null.

        `files` are the contents of the slots by their paths.
        """
        required = schema.get("required", ())
        output: Json = {}
        for name, field in _fields(schema):
            value = self._field(name, field, files, (*path, name), required=name in required)
            if value is not _OMIT:
                output[name] = value
        return output

    def file(self, schema: Json, facts: Mapping[str, Any]) -> Json:
        """Return a file object: its fields by name from the facts about the file."""
        required = schema.get("required", ())
        output: Json = {}
        for name, field in _fields(schema):
            if name in facts:
                output[name] = self.fit(field, facts[name])
            elif name in required or (name != "file_data" and "default" in field):
                output[name] = self.fit(field, field.get("default"))
            elif name != "file_data" and self.matches(field, None):
                output[name] = None
        return output

    def fit(self, schema: Json, value: Any) -> Any:
        """Return a value in a spelling that the schema accepts, else one that `make` makes."""
        for candidate in _candidates(value):
            if self.matches(schema, candidate):
                return candidate
        return self.make(schema)

    def matches(self, schema: Json, value: Any) -> bool:
        """Check a value against a schema, without patterns and formats."""
        if "$ref" in schema:
            return self.matches(resolve(self._schemas, schema), value)
        if branches := _branches(schema):
            return any(self.matches(branch, value) for branch in branches)
        kind = schema.get("type")
        return (
            (kind is None or is_of(kind, value))
            and ("const" not in schema or value == schema["const"])
            and ("enum" not in schema or value in schema["enum"])
            and all(self.matches(branch, value) for branch in schema.get("allOf", ()))
            and self._matches_inside(schema, value)
        )

    def _matches_inside(self, schema: Json, value: Any) -> bool:
        if isinstance(value, dict):
            properties = schema.get("properties", {})
            others = schema.get("additionalProperties")
            return set(schema.get("required", ())) <= set(value) and all(
                self.matches(properties.get(name) or (others if isinstance(others, dict) else {}), member)
                for name, member in value.items()
            )
        if isinstance(value, list):
            items = _items(schema, len(value))
            fits = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
            return fits and len(items) == len(value) and all(map(self.matches, items, value))
        return _is_within(schema, value)

    def make(self, schema: Json, depth: int = 0) -> Any:
        """Return a simple value that a schema accepts: its default, the first choice, the least number."""
        self._left -= 1
        for key in ("const", "default"):
            if key in schema and self.matches({**schema, "default": None}, schema[key]):
                return schema[key]
        if "enum" in schema:
            return schema["enum"][0]
        if "$ref" in schema:
            return self.make(resolve(self._schemas, schema), depth)
        if branches := _branches(schema) or schema.get("allOf"):
            return None if any(map(_is_null, branches)) else self.make(branches[0], depth)
        return self._of_type(schema, depth if self._left > 0 else _DEEPEST)

    def _of_type(self, schema: Json, depth: int) -> Any:
        kind = schema.get("type")
        if kind == "array":
            items = _items(schema, min(schema.get("minItems", 0), self._left)) if depth < _DEEPEST else []
            return [self.make(item, depth + 1) for item in items]
        if kind in {"integer", "number"}:
            return _number(schema, whole=kind == "integer")
        if kind == "boolean":
            return False
        if kind == "string":
            return "-" * min(schema.get("minLength", 0), _MOST)
        if kind == "object" or "properties" in schema:
            required = schema.get("required", ()) if depth < _DEEPEST else ()
            return {
                name: self._member(name, field, depth) for name, field in _fields(schema) if name in required
            }
        return None if kind == "null" else {}

    def _member(self, name: str, field: Json, depth: int) -> Any:
        value = self._known(name, field)
        fits = value is not self.UNKNOWN and self.matches(field, value)
        return value if fits else self.make(field, depth + 1)

    def _field(self, name: str, field: Json, files: Mapping[Path, Any], path: Path, *, required: bool) -> Any:
        if path in files:
            return files[path]
        if any(slot[: len(path)] == path for slot in files):
            target, many, _ = target_of(self._schemas, field)
            filled = self.fill(target, files, path)
            lists = ([filled] * length for length in range(1, _LONGEST))
            return next((each for each in lists if self.matches(field, each)), [filled]) if many else filled
        value = self._known(name, field)
        if value is not self.UNKNOWN and (value is not None or self.matches(field, None)):
            return self.fit(field, value)
        if "default" in field:
            return self.fit(field, field["default"])
        if required:
            return self.make(field)
        return None if self.matches(field, None) else _OMIT


def slots(
    schemas: Mapping[str, Json], schema: Json, path: Path = (), *, required: bool = True
) -> Iterator[Slot]:
    """Yield the places of an object that hold files, in the order of its fields."""
    if len(path) >= _DEEPEST:
        return
    for name, field in _fields(schema):
        here = (*path, name)
        target, many, nullable = target_of(schemas, field)
        needed = required and name in schema.get("required", ()) and not nullable
        bare = target.get("type") == "string" and _URL.search(name) is not None and "enum" not in target
        if bare or "url" in target.get("properties", {}):
            yield Slot(here, many, bare, needed, target)
        elif target.get("properties"):
            yield from slots(schemas, target, here, required=needed)


def _fields(schema: Json) -> list[tuple[str, Json]]:
    return [(name, schema["properties"][name]) for name in ordered(schema)]


def resolve(schemas: Mapping[str, Json], schema: Json) -> Json:
    """Follow a reference; one that leads nowhere allows anything."""
    for _ in range(_DEEPEST):
        if "$ref" not in schema:
            return schema
        schema = schemas.get(str(schema["$ref"]).rpartition("/")[2], {})
    return {}


def target_of(schemas: Mapping[str, Json], schema: Json) -> tuple[Json, bool, bool]:
    """Return the schema of a field or of its items, whether it is a list, and whether it may be null."""
    nullable = many = False
    for _ in range(_DEEPEST):
        schema = resolve(schemas, schema)
        branches = _branches(schema) or schema.get("allOf")
        if branches:
            nullable = nullable or any(map(_is_null, branches))
            real = [branch for branch in branches if not _is_null(branch)]
            schema = real[0] if real else {}
        elif schema.get("type") == "array" and isinstance(schema.get("items"), dict) and not many:
            many, schema = True, schema["items"]
        else:
            break
    return schema, many, nullable


def _branches(schema: Json) -> list[Json]:
    """Return the schemas of which a value needs to match one; none for a schema that is no union."""
    kind = schema.get("type")
    if isinstance(kind, list):
        return [{**schema, "type": each} for each in kind]
    branches: list[Json] = schema.get("anyOf") or schema.get("oneOf") or []
    return branches


def _items(schema: Json, count: int) -> list[Json]:
    """Return the schema of each item of a list."""
    items = schema.get("prefixItems") or schema.get("items", {})
    return items if isinstance(items, list) else [items] * count


def _is_null(schema: Json) -> bool:
    return schema.get("type") == "null"


def is_of(kind: str, value: Any) -> bool:
    """Check whether a value has a type of JSON Schema."""
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES.get(kind, ()))


def _is_within(schema: Json, value: Any) -> bool:
    if isinstance(value, str):
        return bool(schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return bool(
            schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)
            and schema.get("exclusiveMinimum", -math.inf) < value < schema.get("exclusiveMaximum", math.inf)
        )
    return True


def _candidates(value: Any) -> Iterator[Any]:
    """Yield a value and its other spellings: 5.2, 5 and "5.2"; or a list of it."""
    yield value
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)
        yield round(value)
        yield str(value)
    if isinstance(value, list):
        yield value[0] if value else None
    else:
        yield [value]


def _number(schema: Json, *, whole: bool) -> int | float:
    """Return 0 or the nearest number to it within the bounds."""
    if (low := schema.get("exclusiveMinimum", -1)) >= 0:
        high = schema.get("maximum", schema.get("exclusiveMaximum", low + 2))
        return math.floor(low) + 1 if whole else float(low + high) / 2
    found = min(max(schema.get("minimum", 0), 0), schema.get("maximum", math.inf))
    if found >= schema.get("exclusiveMaximum", math.inf):
        found = schema["exclusiveMaximum"] - 1
    return math.ceil(found) if whole else float(found)
