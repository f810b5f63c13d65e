"""Finds the problems in the schemas of a document. Each is one line with its place."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from pydantic import PydanticUserError, ValidationError
from pydantic_core import SchemaError, SchemaValidator, core_schema

from falmock.catalogue.entries import ORDER, REFERENCE
from falmock.catalogue.schema import LIST_BOUNDS, NUMBER_BOUNDS, TEXT_BOUNDS, build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from falmock.catalogue.entries import Json

_TYPES: Final = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_LONGEST: Final = 40  # characters of a value in a problem
_MOST: Final = 2**63 - 1  # items or characters


def problems(schemas: Mapping[str, Any]) -> list[str]:
    """Return a line for each problem of these components.

    Keywords that `schema.build` ignores are not checked, and a reference may lead nowhere.
    """
    found = [
        line
        for name, schema in schemas.items()
        for line in (
            _schema(schema, name)
            if isinstance(schema, dict)
            else [f"{name}: {short(schema)} is not a schema"]
        )
    ]
    found = found or [
        f"{name}: it refers to itself with no object or list in between"
        for name in schemas
        if _stands_for(schemas, name, name, set())
    ]
    return found or [line for name in schemas for line in _building(schemas, name)]


def _stands_for(schemas: Mapping[str, Any], name: str, other: str, seen: set[str]) -> bool:
    """Return whether the type of a component is that of another, or may be."""
    seen.add(name)
    todo = [schemas[name]]
    while todo:
        schema = todo.pop()
        if not isinstance(schema, dict):
            continue
        todo += [each for keyword in ("anyOf", "oneOf", "allOf") for each in schema.get(keyword, ())]
        target = schema.get("$ref", "").removeprefix(REFERENCE)
        if target == other:
            return True
        if target in schemas and target not in seen and _stands_for(schemas, target, other, seen):
            return True
    return False


def short(value: object) -> str:
    """Return a value as JSON, cut to one short line."""
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _schema(schema: object, place: str) -> Iterator[str]:
    if isinstance(schema, bool):  # anything, or nothing
        return
    if not isinstance(schema, dict):
        yield f"{place}: {short(schema)} is not a schema"
        return
    for keyword, (check, expected) in _KEYWORDS.items():
        if keyword in schema and not check(schema[keyword]):
            yield f"{place}.{keyword}: {short(schema[keyword])} is not {expected}"
    yield from _whole_bounds(schema, place)
    yield from _fields(schema, place)
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield from _schema(schema[keyword], f"{place}.{keyword}")
    for keyword in ("anyOf", "oneOf", "allOf", "prefixItems", "items"):
        if isinstance(schema.get(keyword), list):
            for index, inner in enumerate(schema[keyword]):
                yield from _schema(inner, f"{place}.{keyword}[{index}]")


def _fields(schema: Json, place: str) -> Iterator[str]:
    fields = schema.get("properties")
    if not isinstance(fields, dict):
        return
    for name, inner in fields.items():
        yield from _schema(inner, f"{place}.properties.{name}")
    required = schema.get("required", [])
    for name in required if _is_texts(required) else ():
        if name not in fields:
            yield f"{place}.required: {short(name)} is not in properties"


def _whole_bounds(schema: Json, place: str) -> Iterator[str]:
    if schema.get("type") == "integer":
        for keyword in NUMBER_BOUNDS:
            bound = schema.get(keyword, 0)
            if _is_number(bound) and bound != int(bound):
                yield f"{place}.{keyword}: {short(bound)} is not a whole number, but the type is integer"


def _building(schemas: Mapping[str, Any], name: str) -> Iterator[str]:
    """Build a component, and check the defaults that are validated."""
    try:
        model = build(schemas, name)
        if "properties" in schemas[name]:
            model.model_validate({})
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False):
            if error["type"] != "missing" or len(error["loc"]) > 1:
                field = ".".join(map(str, error["loc"]))
                yield f"{name}.properties.{field}: the default is not valid: {error['msg']}"
    except (PydanticUserError, SchemaError, TypeError) as error:
        yield f"{name}: pydantic has no such model: {str(error).partition(chr(10))[0]}"


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _is_length(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _is_type(value: Any) -> bool:
    return (
        value in _TYPES
        if isinstance(value, str)
        else _is_texts(value) and bool(value) and set(value) <= _TYPES
    )


def _is_pattern(value: Any) -> bool:
    try:
        SchemaValidator(core_schema.str_schema(pattern=value))
    except SchemaError:
        return False
    return True


_Check = tuple["Callable[[Any], bool]", str]
_LENGTH: Final[_Check] = (_is_length, "a number of items or characters")
_BRANCHES: Final[_Check] = (lambda value: isinstance(value, list) and bool(value), "a list of schemas")
_KEYWORDS: Final[Mapping[str, _Check]] = {
    "$ref": (_is_text, "a text"),
    "title": (lambda value: _is_text(value) and "\0" not in value, "a text"),
    "type": (_is_type, f"one of {', '.join(sorted(_TYPES))}"),
    "const": (_is_plain, "a text, a number, true, false or null"),
    "enum": (
        lambda value: isinstance(value, list) and bool(value) and all(map(_is_plain, value)),
        "a list of texts, numbers, true, false or null",
    ),
    "properties": (lambda value: isinstance(value, dict), "an object"),
    "required": (_is_texts, "a list of names"),
    ORDER: (_is_texts, "a list of names"),
    "discriminator": (
        lambda value: isinstance(value, dict) and _is_text(value.get("propertyName")),
        "an object with propertyName",
    ),
    "items": (lambda value: isinstance(value, dict | list | bool) and value != [], "a schema"),
    "prefixItems": _BRANCHES,
    **dict.fromkeys(("anyOf", "oneOf", "allOf"), _BRANCHES),
    "additionalProperties": (lambda value: isinstance(value, dict | bool), "a schema, true or false"),
    **dict.fromkeys(NUMBER_BOUNDS, (_is_number, "a number")),
    "multipleOf": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    **dict.fromkeys((*TEXT_BOUNDS, *LIST_BOUNDS), _LENGTH),
    "pattern": (_is_pattern, "a pattern that pydantic takes"),
}
