"""The compact notation of the bundled catalogue, and the JSON Schema components it stands for."""

from __future__ import annotations

from typing import Any

import pytest

from falmock.catalogue import notation

Json = dict[str, Any]
TYPES: dict[str, Json] = {
    "Size": {"class": "Size", "fields": {"width": {"type": "integer", "above": 0}}},
    "File": {"class": "File", "fields": {"url": {"required": True, "type": "string"}}},
    "File~2": {
        "class": "File",
        "description": "A file.",
        "fields": {"url": {"required": True, "type": "string"}, "size": {"ref": "Size"}},
    },
    "Node": {"class": "Node", "fields": {"next": {"ref": "Node", "null": True}}},
}


def facts(given: Json | None = None, made: Json | None = None, **more: Any) -> Json:
    """Return the facts of an endpoint with the fields of its input and of its output."""
    return {"certainty": "schema", "date": "2026-05-12", "input": given or {}, "output": made or {}, **more}


def components(given: Json | None = None, made: Json | None = None, **more: Any) -> Json:
    return dict(notation.entry("fal-ai/x", facts(given, made, **more), TYPES).schemas)


@pytest.mark.parametrize(
    ("field", "schema"),
    [
        ({}, {"title": "A Field"}),
        ({"type": "string"}, {"title": "A Field", "type": "string"}),
        (
            {"type": "string", "description": "Text."},
            {"description": "Text.", "title": "A Field", "type": "string"},
        ),
        ({"type": "integer", "default": 0}, {"default": 0, "title": "A Field", "type": "integer"}),
        (
            {"type": "integer", "min": 1, "max": 4},
            {"maximum": 4, "minimum": 1, "title": "A Field", "type": "integer"},
        ),
        (
            {"type": "number", "above": 0, "below": 1, "step": 0.1},
            {
                "exclusiveMaximum": 1,
                "exclusiveMinimum": 0,
                "multipleOf": 0.1,
                "title": "A Field",
                "type": "number",
            },
        ),
        (
            {"type": "string", "min_length": 1, "max_length": 9},
            {"maxLength": 9, "minLength": 1, "title": "A Field", "type": "string"},
        ),
        (
            {"type": "string", "enum": ["a", "b"], "default": "a"},
            {"default": "a", "enum": ["a", "b"], "title": "A Field", "type": "string"},
        ),
        ({"type": "string", "const": "a"}, {"const": "a", "title": "A Field", "type": "string"}),
        (
            {"type": "array", "items": {"type": "string", "min_length": 1}, "min_items": 1, "max_items": 2},
            {
                "items": {"minLength": 1, "type": "string"},
                "maxItems": 2,
                "minItems": 1,
                "title": "A Field",
                "type": "array",
            },
        ),
        (
            {"type": "array", "tuple": [{"type": "number", "null": True}, {"type": "number"}]},
            {
                "prefixItems": [{"anyOf": [{"type": "number"}, {"type": "null"}]}, {"type": "number"}],
                "title": "A Field",
                "type": "array",
            },
        ),
        (
            {"type": "object", "values": {"type": "number"}},
            {"additionalProperties": {"type": "number"}, "title": "A Field", "type": "object"},
        ),
        ({"ref": "Size"}, {"$ref": "#/components/schemas/Size"}),
        (
            {"ref": "Size", "default": {"width": 1}},
            {"$ref": "#/components/schemas/Size", "default": {"width": 1}},
        ),
        ({"ref": "Size", "null": True}, {"anyOf": [{"$ref": "#/components/schemas/Size"}, {"type": "null"}]}),
        ({"ref": "Gone"}, {"$ref": "#/components/schemas/Gone"}),
        (
            {"type": "integer", "min": 1, "null": True, "default": 3},
            {
                "anyOf": [{"minimum": 1, "type": "integer"}, {"type": "null"}],
                "default": 3,
                "title": "A Field",
            },
        ),
        (
            {
                "any": [{"ref": "Size"}, {"type": "string", "enum": ["auto", "hd"]}],
                "default": "hd",
                "null": True,
            },
            {
                "anyOf": [
                    {"$ref": "#/components/schemas/Size"},
                    {"enum": ["auto", "hd"], "type": "string"},
                    {"type": "null"},
                ],
                "default": "hd",
                "title": "A Field",
            },
        ),
        (
            {"type": "string", "file": "image", "limits": {"min_width": 300}, "null": True},
            {
                "_fal_ui_field": "image",
                "anyOf": [{"type": "string"}, {"type": "null"}],
                "title": "A Field",
                "x-fal": {"min_width": 300},
            },
        ),
        (
            {"type": "array", "items": {"type": "string", "file": "video"}, "file": "video"},
            {
                "_fal_ui_field": "video",
                "items": {"_fal_ui_field": "video", "type": "string"},
                "title": "A Field",
                "type": "array",
            },
        ),
        ({"type": "string", "file": "any"}, {"title": "A Field", "type": "string"}),
    ],
)
def test_a_field_stands_for_a_json_schema(field: Json, schema: Json) -> None:
    component = components({"a_field": {"required": True, **field}})["XInput"]

    property_ = component["properties"]["a_field"]
    assert property_ == schema
    assert list(property_) == sorted(property_)


def test_a_component_has_the_class_as_its_title_and_the_order_of_its_fields() -> None:
    given: Json = {"b": {"type": "integer", "default": 1}, "a": {"required": True, "type": "string"}}

    assert components(given, classes={"input": "BaseInput"})["XInput"] == {
        "properties": {
            "b": {"default": 1, "title": "B", "type": "integer"},
            "a": {"title": "A", "type": "string"},
        },
        "required": ["a"],
        "title": "BaseInput",
        "type": "object",
        "x-fal-order-properties": ["b", "a"],
    }


def test_without_a_known_class_the_title_is_the_name_of_the_component() -> None:
    assert components()["XOutput"]["title"] == "XOutput"


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("fal-ai/flux/dev", "FluxDev"),
        ("fal-ai/kling-video/v3/pro/image-to-video", "KlingVideoV3ProImageToVideo"),
        ("bytedance/seedance-2.0/text-to-video", "Seedance20TextToVideo"),
        ("fal-ai/trellis", "Trellis"),
        ("fal-ai/wan/v2.2-5b/text-to-video/fast-wan", "WanV225bTextToVideoFastWan"),
    ],
)
def test_components_are_named_after_the_endpoint_without_its_owner(endpoint: str, name: str) -> None:
    entry = notation.entry(endpoint, facts(), TYPES)

    assert (entry.input, entry.output) == (f"{name}Input", f"{name}Output")
    assert set(entry.schemas) == {entry.input, entry.output}


def test_only_the_types_that_are_used_become_components() -> None:
    assert set(components(made={"file": {"ref": "File"}})) == {"XInput", "XOutput", "File"}


def test_a_type_is_found_through_other_types_and_in_every_part_of_a_field() -> None:
    fields = {
        "nested": {"type": "array", "items": {"any": [{"type": "string"}, {"ref": "File~2"}]}},
        "node": {"type": "object", "values": {"ref": "Node"}},
    }

    assert set(components(fields)) == {"XInput", "XOutput", "File", "Size", "Node"}


def test_a_type_may_refer_to_itself() -> None:
    assert components({"node": {"ref": "Node"}})["Node"]["properties"]["next"]["anyOf"][0] == {
        "$ref": "#/components/schemas/Node"
    }


def test_two_types_with_one_class_are_two_components_with_one_title() -> None:
    schemas = components({"a": {"ref": "File"}, "b": {"ref": "File~2"}})

    assert [schemas["XInput"]["properties"][name]["$ref"].rpartition("/")[2] for name in "ab"] == [
        "File",
        "File2",
    ]
    assert [schemas[name]["title"] for name in ("File", "File2")] == ["File", "File"]
    assert schemas["File2"]["description"] == "A file."


def test_a_document_may_name_and_describe_its_components_in_another_way() -> None:
    entry = notation.entry(
        "fal-ai/x",
        facts(components={"input": "Given", "output": "Made"}, descriptions={"input": "What is given."}),
        TYPES,
    )

    assert (entry.input, entry.output) == ("Given", "Made")
    assert entry.schemas["Given"]["description"] == "What is given."
    assert "description" not in entry.schemas["Made"]


def test_a_misspelt_key_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="no such key of a field: maximum"):
        components({"a": {"type": "integer", "maximum": 3}})


def test_what_is_not_known_of_an_endpoint_is_left_empty() -> None:
    entry = notation.entry("fal-ai/x", facts(), TYPES)

    assert (entry.price, entry.price_rule, entry.retired, entry.validation) == (None, None, None, 2)


def test_price_certainty_date_and_retirement_are_those_of_the_facts() -> None:
    price = {"usd": 0.5, "unit": "images", "date": "2026-07-28", "source": "a page"}
    more: Json = {"price": price, "price_rule": {"4k": 1}, "retired": "2026-08-02", "validation": 1}
    entry = notation.entry("fal-ai/x/text-to-image", facts(**more), TYPES)

    assert entry.price is not None
    assert (entry.price.usd, entry.price.unit, entry.price.date, entry.price.source) == tuple(price.values())
    assert (entry.price_rule, entry.retired, entry.validation) == ({"4k": 1}, "2026-08-02", 1)
    assert (entry.certainty, entry.date, entry.category) == ("schema", "2026-05-12", "text-to-image")


FILE: Json = {"ref": "File"}
FILES: Json = {"type": "array", "items": {"ref": "File"}}


@pytest.mark.parametrize(
    ("output", "medium"),
    [
        ({"images": FILES, "seed": {"type": "integer"}}, "image"),
        ({"image": {**FILE, "null": True}}, "image"),
        ({"video": FILE, "thumbnail_image": FILE}, "video"),
        ({"video_url": {"type": "string"}}, "video"),
        ({"audio_file": FILE, "lyrics": {"type": "string"}}, "audio"),
        ({"model_glb": FILE, "texture_image": FILE}, "mesh"),
        ({"diffusers_lora_file": FILE, "debug_video": FILE}, "weights"),
        ({"video_summary": {"type": "string"}}, "text"),
        ({}, "video"),  # the id says it
        ({"result": FILE}, "video"),
    ],
)
def test_the_medium_is_that_of_the_main_file_in_the_output(output: Json, medium: str) -> None:
    assert notation.entry("fal-ai/x/image-to-video", facts(made=output), TYPES).medium == medium


def test_a_file_within_an_object_of_the_output_decides_the_medium() -> None:
    types = {**TYPES, "Made": {"class": "Made", "fields": {"audio": {"ref": "File"}}}}
    output = {"audio": {"type": "array", "items": {"ref": "Made"}}, "prompt": {"type": "string"}}

    assert notation.entry("fal-ai/x/video-to-audio", facts(made=output), types).medium == "audio"


def test_a_stated_medium_goes_before_the_names_of_fields() -> None:
    assert notation.entry("fal-ai/x", facts(made={"video": FILE}, medium="audio"), TYPES).medium == "audio"


@pytest.mark.parametrize(
    ("endpoint", "medium"),
    [
        ("fal-ai/new/text-to-video", "video"),
        ("fal-ai/new/video-to-audio", "audio"),
        ("fal-ai/new/image-to-3d", "mesh"),
        ("fal-ai/new/edit-image", "image"),
        ("fal-ai/new/trainer", "weights"),
        ("fal-ai/new/speech-to-text", "text"),
        ("fal-ai/video-tools/something", "video"),
        ("fal-ai/new", "unknown"),
        ("video/new", "unknown"),
    ],
)
def test_the_medium_of_an_id_is_guessed_from_its_last_words(endpoint: str, medium: str) -> None:
    assert notation.medium_of(endpoint) == medium
