"""Models built from JSON Schema, where fal's documents are unusual or a schema is not of fal's making."""

from __future__ import annotations

import json
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import RootModel

from falmock.catalogue import schema
from falmock.protocol import validation
from falmock.protocol.errors import InvalidBody

if TYPE_CHECKING:
    from pydantic import BaseModel

Json = dict[str, Any]
NULL = {"type": "null"}


def model(field: Any, **components: Json) -> type[BaseModel]:
    """Return the model of an object that has one field, called field."""
    return schema.build({"Input": {"type": "object", "properties": {"field": field}}, **components}, "Input")


def errors(built: type[BaseModel], value: Any) -> list[Json]:
    """Return the errors of an input; none if it is valid."""
    try:
        validation.read(built, json.dumps(value).encode(), None)
    except InvalidBody as refused:
        return list(refused.body["detail"])
    return []


def types(field: Any, value: Any, **components: Json) -> list[str]:
    return [error["type"] for error in errors(model(field, **components), {"field": value})]


ORDERS = [list(order) for order in permutations(["b", "a", "c"])]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda enum: {"type": "string", "enum": enum},
        lambda enum: {"anyOf": [{"type": "string", "enum": enum}, NULL]},
        lambda enum: {"anyOf": [{"type": "integer"}, {"type": "string", "enum": enum}, NULL]},
        lambda enum: {"type": "array", "items": {"anyOf": [{"type": "string", "enum": enum}, NULL]}},
    ],
)
def test_an_enumeration_keeps_its_order_whatever_models_were_built_before(wrap: Any) -> None:
    built = [model(wrap(order)) for order in ORDERS]

    for order, one in zip(ORDERS, built, strict=True):
        first, second, third = order
        assert f"'{first}', '{second}' or '{third}'" in {
            error["ctx"]["expected"]
            for value in ("d", ["d"])
            for error in errors(one, {"field": value})
            if "ctx" in error
        }


def test_a_union_keeps_its_order_whatever_models_were_built_before() -> None:
    branches = [{"type": "integer"}, {"type": "boolean"}, {"type": "number"}]
    wrapped = [
        model({"anyOf": [{"type": "array", "items": {"anyOf": list(order)}}, NULL]})
        for order in permutations(branches)
    ]

    places = [[error["loc"][-1] for error in errors(one, {"field": ["x"]})] for one in wrapped]
    assert places == [list(order) for order in permutations(["int", "bool", "float"])]


def test_fields_come_in_the_order_that_fal_gives_and_others_after_them() -> None:
    fields = {name: {"type": "integer"} for name in ("a", "b", "c", "d")}
    order = ["c", "gone", "a", "c"]
    built = schema.build({"Input": {"properties": fields, "x-fal-order-properties": order}}, "Input")

    assert list(built.model_fields) == ["c", "a", "b", "d"]


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("prompt", "prompt"),
        ("model_image", "model_image"),
        ("top-p", "top-p"),
        ("_hidden", "field__hidden"),
        ("schema", "field_schema"),
        ("model_fields", "field_model_fields"),
        ("field_schema", "field_field_schema"),
    ],
)
def test_a_field_has_an_attribute_and_keeps_its_name_in_errors_and_in_json(name: str, attribute: str) -> None:
    built = schema.build({"Input": {"properties": {name: {"type": "integer"}}}}, "Input")

    assert schema.attribute(name) == attribute
    assert getattr(built.model_validate({name: 5}), attribute) == 5
    assert built.model_validate({name: 5}).model_dump() == {name: 5}
    assert [error["loc"] for error in errors(built, {name: "x"})] == [["body", name]]


@pytest.mark.parametrize(
    ("field", "accepted", "refused"),
    [
        ({"type": ["string", "null"]}, ["a", None], [5]),
        ({"type": "string", "nullable": True}, ["a", None], [5]),
        ({"type": "string", "nullable": False, "default": "a"}, ["a"], [None]),
        ({"type": "integer", "default": None}, [1, None], ["a"]),
        ({"oneOf": [{"type": "integer"}, {"type": "boolean"}]}, [1, True], ["a", []]),
        ({"type": "integer", "minimum": 1.0, "maximum": 2.0}, [1, 2], [0, 3]),
        ({"anyOf": [{"type": "integer"}, NULL], "minimum": 1}, [1, None], [0]),
        ({"anyOf": [NULL, NULL]}, [None], [0]),
        ({"allOf": [{"type": "integer"}, {"minimum": 5}]}, [1, "a"], []),
        ({"type": "array"}, [[], [1, "a"]], [5, {}]),
        ({"type": "array", "items": [{"type": "integer"}, {"type": "string"}]}, [[1, "a"]], [[1], ["a", 1]]),
        ({"type": "object"}, [{}, {"a": 1}], [[], "a"]),
        ({"const": 0}, [0], [1, ""]),
        ({"type": "string", "format": "date-time"}, ["now"], [5]),
        ({}, [1, "a", None, []], []),
        (True, [1, "a", None, []], []),
    ],
)
def test_a_schema_accepts_and_refuses(field: Any, accepted: list[Any], refused: list[Any]) -> None:
    assert [value for value in accepted if types(field, value)] == []
    assert [value for value in refused if not types(field, value)] == []


def test_a_default_of_a_plain_type_is_not_validated() -> None:
    built = model({"type": "integer", "maximum": 12, "default": 28})

    assert built.model_validate({}).model_dump() == {"field": 28}


def test_a_default_is_not_shared_between_inputs() -> None:
    built = model({"type": "array", "items": {"type": "integer"}, "default": [1]})
    built.model_validate({}).field.append(2)  # type: ignore[attr-defined]

    assert built.model_validate({}).model_dump() == {"field": [1]}


REFERENCE = {"$ref": "#/components/schemas/Loop"}


@pytest.mark.parametrize(
    "loop", [REFERENCE, {"anyOf": [REFERENCE, {"type": "integer"}]}, {"allOf": [REFERENCE]}, None]
)
def test_a_reference_that_leads_nowhere_takes_any_value(loop: Json | None) -> None:
    components = {} if loop is None else {"Loop": loop}

    assert types(REFERENCE, {"any": ["thing"]}, **components) == []
    assert types({"type": "array", "items": REFERENCE, "maxItems": 1}, [1, 2], **components) == ["too_long"]


@pytest.mark.parametrize("name", ["1 / 0", "not a name", "BaseModel", "Component0"])
def test_the_name_of_a_recursive_component_is_only_a_name(name: str) -> None:
    reference = {"$ref": f"#/components/schemas/{name}"}
    inner = {"properties": {"name": {"type": "string"}, "inner": reference}}

    (error,) = errors(model(reference, **{name: inner}), {"field": {"inner": {"inner": {"name": 5}}}})
    assert error["loc"] == ["body", "field", "inner", "inner", "name"]


def test_an_object_without_a_component_may_contain_the_one_that_it_is_in() -> None:
    options = {"type": "object", "properties": {"inner": REFERENCE}}
    loop = {"properties": {"name": {"type": "string"}, "options": options}}
    value = {"options": {"inner": {"options": {"inner": {"name": 5}}}}}

    (error,) = errors(model(REFERENCE, Loop=loop), {"field": value})
    assert error["loc"] == ["body", "field", "options", "inner", "options", "inner", "name"]


@pytest.mark.parametrize("kind", [{"type": "string"}, True, None])
def test_a_field_without_constants_does_not_discriminate_a_union(kind: Any) -> None:
    branch = {"properties": {} if kind is None else {"kind": kind}}
    union = {
        "oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in "AB"],
        "discriminator": {"propertyName": "kind"},
    }

    assert types(union, {"kind": "a"}, A=branch, B=branch) == []
    assert types(union, 5, A=branch, B=branch) == ["model_attributes_type"] * 2


def test_an_output_without_a_schema_takes_any_fields() -> None:
    built = schema.build({"Output": {}}, "Output")

    assert built(colour="red").model_dump() == {"colour": "red"}


def test_a_component_that_is_no_object_is_a_root_model() -> None:
    built = schema.build({"Output": {"type": "array", "items": {"type": "integer"}}}, "Output")

    assert issubclass(built, RootModel)
    assert built.model_validate([1]).model_dump() == [1]
    assert [error["loc"] for error in errors(built, ["a"])] == [["body", 0]]
