"""Outputs are filled by their schemas: files in their places, and a valid value in every other field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falmock.catalogue import outputs, schema
from falmock.catalogue.outputs import Filler

Json = dict[str, Any]

FILE: Json = {
    "type": "object",
    "title": "File",
    "required": ["url"],
    "properties": {
        "url": {"type": "string"},
        "content_type": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "file_size": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "file_data": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "duration": {"type": "number"},
    },
}
SOUND: Json = {
    **FILE,
    "properties": {**FILE["properties"], "media_type": {"type": "string", "default": "audio"}},
}
REFERENCE = {"$ref": "#/components/schemas/File"}
NULL = {"type": "null"}


def nothing(*_: object) -> Any:
    return Filler.UNKNOWN


def test_the_places_of_files_are_found_at_any_depth() -> None:
    schemas: Json = {
        "File": FILE,
        "Urls": {"type": "object", "properties": {"glb": REFERENCE, "count": {"type": "integer"}}},
    }
    output: Json = {
        "type": "object",
        "required": ["images", "thumbnail_url"],
        "properties": {
            "video": {"anyOf": [REFERENCE, NULL]},
            "images": {"type": "array", "items": REFERENCE},
            "thumbnail_url": {"type": "string"},
            "model_urls": {"allOf": [{"$ref": "#/components/schemas/Urls"}]},
            "sets": {"type": "array", "items": {"$ref": "#/components/schemas/Urls"}},
            "gone": {"$ref": "#/components/schemas/Gone"},
            "prompt": {"type": "string"},
        },
    }

    found = {slot.path: (slot.many, slot.bare, slot.required) for slot in outputs.slots(schemas, output)}

    assert found == {
        ("video",): (False, False, False),
        ("images",): (True, False, True),
        ("thumbnail_url",): (False, True, True),
        ("model_urls", "glb"): (False, False, False),
        ("sets", "glb"): (False, False, False),
    }
    filled = Filler(schemas, nothing).fill(output, {("images",): [1], ("sets", "glb"): 2})
    assert filled == {"video": None, "images": [1], "thumbnail_url": "", "sets": [{"glb": 2}], "gone": None}


def test_a_schema_that_refers_to_itself_has_an_end() -> None:
    node: Json = {
        "type": "object",
        "required": ["next", "image"],
        "properties": {"next": {"$ref": "#/components/schemas/Node"}, "image": REFERENCE},
    }
    schemas = {"Node": node, "File": FILE}

    assert len(list(outputs.slots(schemas, node))) < 20
    assert Filler(schemas, nothing).make(node)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "array", "minItems": 10**9, "items": {"type": "string"}},
        {"type": "array", "minItems": 30, "items": {"$ref": "#/components/schemas/Part"}},
        {"type": "string", "minLength": 10**10},
        {
            "type": "object",
            "required": list("abcdefghijkl"),
            "properties": {name: {"$ref": "#/components/schemas/Part"} for name in "abcdefghijkl"},
        },
    ],
    ids=["items", "lists of lists", "characters", "fields"],
)
def test_an_output_is_limited_in_size(part: Json) -> None:
    made = Filler({"Part": part}, nothing).make(part)

    assert len(str(made)) < 200_000


@pytest.mark.parametrize(
    "field",
    [
        {"oneOf": [REFERENCE, NULL]},
        {"oneOf": [{**NULL, "title": "None"}, REFERENCE], "discriminator": {"propertyName": "kind"}},
        {"type": ["string", "null"]},
    ],
)
def test_a_file_is_found_in_every_kind_of_union(field: Json) -> None:
    output = {"type": "object", "properties": {"image_url": field}, "required": ["image_url"]}

    assert [slot.path for slot in outputs.slots({"File": FILE}, output)] == [("image_url",)]
    assert Filler({"File": FILE}, nothing).fill(output, {}) == {"image_url": None}


def test_a_field_of_several_types_has_the_first_one() -> None:
    assert Filler({}, nothing).make({"type": ["integer", "string"], "minimum": 3}) == 3


def test_a_file_has_true_facts_and_null_for_what_is_unknown() -> None:
    filler = Filler({}, nothing)

    file = filler.file(FILE, {"url": "u", "content_type": "video/mp4", "duration": 5, "width": 9})

    assert file == {"url": "u", "content_type": "video/mp4", "file_size": None, "duration": 5}


def test_a_file_has_the_defaults_of_its_shape() -> None:
    assert Filler({}, nothing).file(SOUND, {"url": "u"})["media_type"] == "audio"


def test_an_optional_field_that_cannot_be_null_is_left_out() -> None:
    output: Json = {
        "type": "object",
        "required": ["a"],
        "properties": {
            "a": {"type": "integer", "minimum": 3},
            "b": {"type": "integer"},
            "c": {"anyOf": [{"type": "integer"}, NULL]},
            "d": {"type": "integer", "default": 7},
        },
    }

    assert Filler({}, nothing).fill(output, {}) == {"a": 3, "c": None, "d": 7}


@pytest.mark.parametrize(
    ("field", "value", "fitted"),
    [
        ({"type": "integer"}, 5.2, 5),
        ({"type": "number"}, 5, 5),
        ({"type": "string"}, 192000, "192000"),
        ({"type": "array", "items": {"type": "boolean"}}, False, [False]),
        ({"type": "boolean"}, [False, False], False),
        ({"type": "integer", "maximum": 3}, 9, 0),
        ({"enum": ["en", "de"]}, "xx", "en"),
        ({"const": "json"}, "xml", "json"),
        ({"anyOf": [{"type": "string"}, NULL]}, None, None),
        ({"type": "string", "minLength": 3}, "", "---"),
        ({}, {"any": "thing"}, {"any": "thing"}),
    ],
)
def test_a_value_is_made_to_fit(field: Json, value: object, fitted: object) -> None:
    assert Filler({}, nothing).fit(field, value) == fitted


NUMBERS = st.builds(
    lambda kind, low, width, open_low: {
        "type": kind,
        "exclusiveMinimum" if open_low else "minimum": low,
        "maximum": low + width,
    },
    st.sampled_from(["integer", "number"]),
    st.integers(-20, 20),
    st.integers(1, 20),
    st.booleans(),
)
TEXTS = st.builds(lambda low: {"type": "string", "minLength": low, "maxLength": low + 3}, st.integers(0, 9))
CHOICES = st.lists(st.text(max_size=3), min_size=1, max_size=3, unique=True).map(lambda each: {"enum": each})
SIMPLE = NUMBERS | TEXTS | CHOICES | st.just({"type": "boolean"}) | st.just(REFERENCE)


def objects(fields: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.dictionaries(st.sampled_from("abcd"), fields, min_size=1).flatmap(
        lambda properties: st.sets(st.sampled_from(sorted(properties))).map(
            lambda required: {"type": "object", "properties": properties, "required": sorted(required)}
        )
    )


SCHEMAS = st.recursive(
    SIMPLE,
    lambda inner: (
        inner.map(lambda each: {"anyOf": [each, NULL]})
        | st.tuples(inner, st.integers(0, 2)).map(
            lambda pair: {"type": "array", "items": pair[0], "minItems": pair[1]}
        )
        | objects(inner)
    ),
    max_leaves=8,
)


@given(objects(SCHEMAS), st.integers() | st.text() | st.none())
def test_a_filled_output_is_valid(output: Json, value: Any) -> None:
    schemas = {"File": FILE, "Out": output}
    filler = Filler(schemas, lambda *_: value)
    wanted = [slot.path for slot in outputs.slots(schemas, output) if slot.required and not slot.many]

    filled = filler.fill(output, {path: {"url": "u"} for path in wanted})

    schema.build(schemas, "Out").model_validate(filled)
    assert filler.matches(output, filled)
