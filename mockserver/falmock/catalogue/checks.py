"""Finds the problems in the schemas of a document. Each is one line with its place."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args

from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    Field,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import SchemaError, SchemaValidator, core_schema

from falmock.catalogue.entries import ORDER, REFERENCE
from falmock.catalogue.schema import LIST_BOUNDS, NUMBER_BOUNDS, TEXT_BOUNDS, build

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from falmock.catalogue.entries import Json

_LONGEST: Final = 40  # characters of a value in a problem


def problems(schemas: Mapping[str, Any]) -> list[str]:
    """Return a line for each problem of these components.

    Keywords that `schema.build` ignores are not checked, and a reference may lead nowhere.
    """
    found = [
        line
        for name, schema in schemas.items()
        for line in (
            [f"{name}: {short(schema)} is not a schema"]
            if isinstance(schema, bool)
            else _schema(schema, name)
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
    for keyword, (_, expected) in _KEYWORDS.items():
        if keyword in schema and not _is_valid(keyword, schema[keyword]):
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
    for name in required if _is_valid("required", required) else ():
        if name not in fields:
            yield f"{place}.required: {short(name)} is not in properties"


def _whole_bounds(schema: Json, place: str) -> Iterator[str]:
    if schema.get("type") == "integer":
        for keyword in NUMBER_BOUNDS:
            bound = schema.get(keyword, 0)
            if _is_valid("minimum", bound) and bound != int(bound):
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


def _pattern(value: Any) -> Any:
    """Refuse a pattern that pydantic does not take."""
    try:
        SchemaValidator(core_schema.str_schema(pattern=value))
    except SchemaError as error:
        raise ValueError from error
    return value


class _Discriminator(BaseModel):
    propertyName: str  # noqa: N815 - the name in OpenAPI


def _is_valid(keyword: str, value: object) -> bool:
    try:
        _validators()[keyword].validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


@cache
def _validators() -> Mapping[str, TypeAdapter[Any]]:
    return {keyword: TypeAdapter(kind) for keyword, (kind, _) in _KEYWORDS.items()}


_Number = Annotated[float, AllowInfNan(allow_inf_nan=False)]
_Length = Annotated[int, Field(ge=0, le=2**63 - 1)]
_Kind = Literal["array", "boolean", "integer", "null", "number", "object", "string"]
_Plain = str | int | float | bool | None
_Names = list[str]
_Branches = Annotated[list[Any], Field(min_length=1)]
_KEYWORDS: Final[Mapping[str, tuple[Any, str]]] = {  # the type of each, in Python and in words
    "$ref": (str, "a text"),
    "title": (Annotated[str, Field(pattern=r"^[^\x00]*$")], "a text"),
    "type": (_Kind | Annotated[list[_Kind], Field(min_length=1)], f"one of {', '.join(get_args(_Kind))}"),
    "const": (_Plain, "a text, a number, true, false or null"),
    "enum": (
        Annotated[list[_Plain], Field(min_length=1)],
        "a list of texts, numbers, true, false or null",
    ),
    "properties": (dict, "an object"),
    "required": (_Names, "a list of names"),
    ORDER: (_Names, "a list of names"),
    "discriminator": (_Discriminator, "an object with propertyName"),
    "items": (dict | bool | _Branches, "a schema"),
    **dict.fromkeys(("prefixItems", "anyOf", "oneOf", "allOf"), (_Branches, "a list of schemas")),
    "additionalProperties": (dict | bool, "a schema, true or false"),
    **dict.fromkeys(NUMBER_BOUNDS, (_Number, "a number")),
    "multipleOf": (Annotated[_Number, Field(gt=0)], "a number above 0"),
    **dict.fromkeys((*TEXT_BOUNDS, *LIST_BOUNDS), (_Length, "a number of items or characters")),
    "pattern": (Annotated[Any, AfterValidator(_pattern)], "a pattern that pydantic takes"),
}
