"""The inputs of the checked endpoints, compared with pydantic models that the test makes of the facts."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any, Literal, Optional, Union

import pytest
from pydantic import BaseModel, ConfigDict, Field, create_model
from spoiling import spoilt

from falmock.catalogue import bundled, schema
from falmock.protocol import validation
from falmock.protocol.errors import InvalidBody

FACTS = json.loads(bundled.CHECKED.read_text())
Json = dict[str, Any]
BOUNDS = {
    "min": "ge",
    "max": "le",
    "above": "gt",
    "below": "lt",
    "step": "multiple_of",
    "min_length": "min_length",
    "max_length": "max_length",
    "min_items": "min_length",
    "max_items": "max_length",
}
PLAIN = {"string": str, "integer": int, "number": float, "boolean": bool}


def type_of(field: Json) -> Any:
    """Return the Python type of a field, null included."""
    # The metadata keeps Python from taking types for equal that differ in the order.
    kind: Any = Annotated[bare(field), object()]
    return Optional[kind] if field.get("null") else kind  # noqa: UP045 - the type is a value


def bare(field: Json) -> Any:
    if "any" in field:
        return Union[tuple(type_of(branch) for branch in field["any"])]  # noqa: UP007 - the same
    if "ref" in field:
        return class_of(field["ref"])
    if "enum" in field or "const" in field:
        return Literal[tuple(field.get("enum", [field.get("const")]))]
    bounds = {BOUNDS[key]: value for key, value in field.items() if key in BOUNDS}
    if "tuple" in field:
        return tuple[tuple(type_of(item) for item in field["tuple"])]  # type: ignore[misc]
    if field.get("type") == "array":
        kind: Any = list[inner_of(field, "items")]  # type: ignore[misc]
    elif field.get("type") == "object":
        kind = dict[str, inner_of(field, "values")]  # type: ignore[misc]
    else:
        kind = PLAIN[field["type"]] if "type" in field else Any
    return Annotated[kind, Field(**bounds)] if bounds else kind


def inner_of(field: Json, key: str) -> Any:
    return type_of(field[key]) if key in field else Any


@cache
def class_of(name: str) -> Any:
    known = FACTS["types"].get(name)
    return made(known["class"], known["fields"]) if known else Any


def made(name: str, fields: Json) -> type[BaseModel]:
    model: type[BaseModel] = create_model(
        name,
        __config__=ConfigDict(protected_namespaces=(), validate_default=True),
        **{key: argument(field) for key, field in fields.items()},
    )
    return model


def argument(field: Json) -> Any:
    if field.get("required"):
        return type_of(field), ...
    if "default" not in field:
        return type_of(field | {"null": True}), None
    return type_of(field), field["default"]


def sample(field: Json) -> Any:
    """Return a valid value of a field, with all fields of its objects."""
    if "any" in field:
        return sample(field["any"][0])
    if "ref" in field:
        known = FACTS["types"].get(field["ref"], {"fields": {}})
        return {key: sample(inner) for key, inner in known["fields"].items()}
    if "enum" in field or "const" in field:
        return field.get("enum", [field.get("const")])[0]
    if "tuple" in field:
        return [sample(item) for item in field["tuple"]]
    if field.get("type") == "array":
        return [sample(field.get("items", {}))] * field.get("min_items", 1)
    number = field.get("min", field.get("above", 0) + 1)
    values = {"object": {"a": number}, "string": "x" * field.get("min_length", 1), "boolean": True}
    return values.get(field.get("type", ""), number)


def understood(model: type[BaseModel], body: bytes) -> tuple[str, Any]:
    """Return the input that a model understands, or the list of invalid fields."""
    try:
        read = validation.read(model, body, None)
    except InvalidBody as refused:
        return "refused", refused.body
    return "understood", read.model_dump(mode="json", by_alias=True, warnings=False)


@pytest.mark.parametrize("endpoint", FACTS["endpoints"])
def test_each_field_of_a_checked_endpoint_broken_in_each_way_gives_the_list_of_plain_pydantic(
    endpoint: str,
) -> None:
    fields = FACTS["endpoints"][endpoint]["input"]
    entry = bundled.entry(endpoint)
    assert entry is not None
    built = schema.build(entry.schemas, entry.input)
    plain = made(built.__name__, fields)
    complete = {key: sample(field) for key, field in fields.items()}

    for value in ({}, complete, *spoilt(complete)):
        body = json.dumps(value).encode()

        assert understood(built, body) == understood(plain, body), body
    assert understood(built, json.dumps(complete).encode())[0] == "understood"
