"""The fields of an input as controls of a form."""

from __future__ import annotations

import json
from typing import Any

import pytest
import valid_inputs
from hypothesis import given
from hypothesis import strategies as st

from falmock.catalogue import BUNDLED, Entry
from falmock.web.fields import Field, compose, fields, show
from falmock.web.schemas import lines

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(
        ["", " ", "5", "true", "null", "[]", '"x"', "a\nb", "a\r\nb", "\ud800", "5s", "\0", "{"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def entry(**properties: Any) -> Entry:
    schema = {"type": "object", "properties": properties, "required": []}
    size = {"type": "object", "properties": {"width": {"type": "integer", "minimum": 8}}}
    return Entry(endpoint="owner/one", schemas={"Input": schema, "Size": size}, input="Input", output="")


def field(schema: Any, name: str = "plain") -> Field:
    (found,) = fields(entry(**{name: schema}))
    return found


NULL = {"type": "null"}
SIZE = {"$ref": "#/components/schemas/Size"}
CHOICE = {"enum": ["5s", "6s"], "type": "string"}
SCHEMAS = {
    "text": {"type": "string"},
    "number": {"type": "number"},
    "whole": {"anyOf": [{"type": "integer"}, NULL]},
    "switch": {"type": "boolean"},
    "choice": CHOICE,
    "numbers": {"enum": [1, 2, 5], "type": "integer"},
    "size": {"anyOf": [SIZE, CHOICE]},
    "list": {"type": "array", "items": SIZE},
    "mixed": {"anyOf": [{"type": "string"}, {"type": "object"}]},
    "anything": {},
    "prompt": {"type": "string"},
    "image_url": {"type": "string"},
    "image_urls": {"type": "array", "items": {"type": "string"}},
}


@pytest.mark.parametrize(
    ("name", "schema", "control"),
    [
        ("prompt", {"type": "string"}, "long"),
        ("negative_prompt", {"anyOf": [{"type": "string"}, NULL]}, "long"),
        ("voice", {"type": "string"}, "text"),
        ("seed", {"anyOf": [{"type": "integer"}, NULL]}, "number"),
        ("strength", {"type": "number"}, "number"),
        ("seed", {"type": ["integer", "null"]}, "number"),
        ("sync_mode", {"type": "boolean"}, "switch"),
        ("duration", CHOICE, "choice"),
        ("duration", {"const": "5s"}, "choice"),
        ("image_size", {"anyOf": [SIZE, CHOICE]}, "choice"),
        ("image_url", {"type": "string"}, "file"),
        ("tail_image_url", {"anyOf": [{"type": "string"}, NULL]}, "file"),
        ("model_image", {"type": "string"}, "file"),
        ("lora_url", {"type": "string"}, "file"),
        ("hinted", {"type": "string", "_fal_ui_field": "video"}, "file"),
        ("image_urls", {"type": "array", "items": {"type": "string"}}, "files"),
        ("images", {"type": "array", "items": SIZE}, "json"),
        ("tags", {"type": "array", "items": {"type": "string"}}, "json"),
        ("size", SIZE, "json"),
        ("anything", {}, "json"),
        ("anything", True, "json"),
        ("nothing", {"$ref": "#/components/schemas/Nowhere"}, "json"),
        ("data_archive_format", CHOICE, "choice"),
    ],
)
def test_a_field_has_the_control_for_its_type(name: str, schema: Any, control: str) -> None:
    assert field(schema, name).control == control


@pytest.mark.parametrize(
    ("name", "accept"),
    [("image_url", "image/*"), ("video_url", "video/*"), ("audio_urls", "audio/*"), ("lora_url", "")],
)
def test_a_browser_offers_files_of_the_kind_that_a_field_takes(name: str, accept: str) -> None:
    assert field({"type": "string"}, name).accept == accept


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "string"}, " a ", " a "),
        ({"type": "integer"}, "7", 7),
        ({"type": "integer"}, "7.5", 7.5),
        ({"type": "number"}, "1e-3", 0.001),
        ({"type": "number"}, "many", "many"),
        ({"type": "number"}, "9" * 5000, "9" * 5000),
        ({"type": "boolean"}, "false", False),
        ({"type": "boolean"}, "perhaps", "perhaps"),
        (CHOICE, "6s", "6s"),
        (CHOICE, "9s", "9s"),
        ({"enum": [1, 2]}, "2", 2),
        ({"enum": ["1", "2"]}, "2", "2"),
        ({"type": "array", "items": SIZE}, '[{"width": 8}]', [{"width": 8}]),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "7", 7),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "random", "random"),
        ({"anyOf": [{"type": "object"}, {"type": "string"}]}, "7", "7"),
        ({"anyOf": [{"type": "object"}, {"type": "string"}]}, '{"a": 1}', {"a": 1}),
    ],
)
def test_a_text_stands_for_a_value_of_the_fields_type(schema: Any, text: str, value: Any) -> None:
    composed, problems = compose([field(schema)], {"value.plain": text}, {})

    assert (composed, type(composed["plain"]), problems) == ({"plain": value}, type(value), {})


def test_urls_of_files_are_lines() -> None:
    urls = field({"type": "array", "items": {"type": "string"}}, "image_urls")

    assert compose([urls], {"value.image_urls": "https://a\n\n https://b \n"}, {})[0] == {
        "image_urls": ["https://a", "https://b"]
    }


def test_a_value_besides_the_choices_wins() -> None:
    texts = {"value.plain": "5s", "other.plain": '{"width": 9}'}

    assert compose([field(SCHEMAS["size"])], texts, {})[0] == {"plain": {"width": 9}}


@pytest.mark.parametrize("schema", [SCHEMAS["number"], SCHEMAS["choice"], SCHEMAS["list"], SCHEMAS["switch"]])
def test_an_empty_control_is_not_sent(schema: Any) -> None:
    assert compose([field(schema)], {"value.plain": " "}, {}) == ({}, {})


def test_more_fields_win_and_follow() -> None:
    texts = {"value.plain": "one", "more": '{"plain": 2, "other": 3}'}

    assert compose([field({"type": "string"})], texts, {})[0] == {"plain": 2, "other": 3}


def test_an_input_without_known_fields_is_any_json() -> None:
    assert compose([], {"more": "[1]"}, {}) == ([1], {})


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "nul", "1" * 5000])
def test_a_text_that_is_not_json_is_a_problem(text: str) -> None:
    value, problems = compose([field(SCHEMAS["list"])], {"value.plain": text, "more": text}, {})

    assert (value, set(problems)) == ({}, {"value.plain", "more"})


def test_more_fields_that_are_no_object_are_a_problem() -> None:
    assert set(compose([field({"type": "string"})], {"more": "[1]"}, {})[1]) == {"more"}


def test_a_kept_value_gives_way_to_a_text() -> None:
    known = [field({"type": "string"}, "a"), field({"type": "string"}, "b")]

    assert compose(known, {"value.a": "new"}, {"a": "old", "b": "old", "c": 1})[0] == {
        "a": "new",
        "b": "old",
        "c": 1,
    }


@given(st.sampled_from(sorted(SCHEMAS)), JSON)
def test_the_texts_that_show_a_value_stand_for_it(name: str, value: Any) -> None:
    known = field(SCHEMAS[name], name)
    texts = show(known, value)

    if texts is not None:
        composed, problems = compose([known], texts, {})
        assert (json.dumps(composed), problems) == (json.dumps({name: value}), {})
        assert not any("\r" in text or "\0" in text for text in texts.values())


@pytest.mark.parametrize("endpoint", list(BUNDLED.endpoints)[::40])
@pytest.mark.parametrize("full", [False, True])
def test_a_valid_input_of_a_model_can_be_shown(endpoint: str, full: bool) -> None:
    model = BUNDLED.get(endpoint)
    assert model is not None
    known = {each.name: each for each in fields(model.entry)}
    value = valid_inputs.make(model.entry, full=full)

    texts = {name: show(known[name], each) for name, each in value.items() if each is not None}

    assert [name for name, text in texts.items() if text is None and value[name] != ""] == []


@pytest.mark.parametrize("endpoint", list(BUNDLED.endpoints)[::40])
def test_the_value_to_start_from_is_an_object_of_all_required_fields(endpoint: str) -> None:
    model = BUNDLED.get(endpoint)
    assert model is not None
    start = {each.name: each.start for each in fields(model.entry) if each.required}

    model.input.model_validate_json(json.dumps(start))


def test_a_type_that_contains_itself_has_an_example() -> None:
    tree = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#/x/Tree"}}}}
    schemas: Any = {"Input": {"properties": {"tree": {"$ref": "#/x/Tree"}}}, "Tree": tree}
    (found,) = fields(Entry(endpoint="owner/one", schemas=schemas, input="Input", output=""))

    assert json.loads(found.example)["children"][0]["children"] != []


def test_a_row_has_type_default_bounds_and_values() -> None:
    schema = {
        "anyOf": [{"type": "integer", "minimum": 1, "maximum": 4}, NULL],
        "default": 2,
        "description": "How many.",
    }
    (row,) = lines(entry(count=schema), "input")

    assert (row.type, row.default, row.limits, row.description) == (
        "integer or null",
        "2",
        "1 to 4",
        "How many.",
    )


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"maxLength": 2500}, "at most 2500 characters"),
        ({"minItems": 1, "maxItems": 4}, "1 to 4 items"),
        ({"exclusiveMinimum": 0, "maximum": 9}, "above 0, at most 9"),
        ({"minimum": 8, "multipleOf": 8}, "at least 8, multiple of 8"),
        ({}, ""),
    ],
)
def test_bounds_are_words(schema: Any, says: str) -> None:
    assert lines(entry(x=schema), "input")[0].limits == says
