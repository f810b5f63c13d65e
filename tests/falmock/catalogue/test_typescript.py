"""Types of `@fal-ai/client` as fields. The declarations are written for these tests."""

from __future__ import annotations

from typing import Any

import pytest

from falmock.catalogue.typescript import Types, Unreadable

Json = dict[str, Any]
COLOUR = "export type Colour = { /** Red. */ r?: number; };"


def package(members: str, *declarations: str) -> Types:
    """Return types with one endpoint, the members of its input, and more declarations."""
    lines = [
        f"export type MyModelInput = {{\n{members}\n}};",
        "export type MyModelOutput = {};",
        *declarations,
        "export type EndpointTypeMap = {",
        '"fal-ai/my-model": { input: MyModelInput; output: MyModelOutput; };',
        "};",
    ]
    return Types("\n".join(lines))


def field(member: str, *declarations: str) -> Json:
    """Return the only field of an input."""
    (found,) = package(member, *declarations).listing("fal-ai/my-model").input.values()
    return found


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("string", {"type": "string"}),
        ("number", {"type": "integer"}),
        ("boolean", {"type": "boolean"}),
        ("any", {}),
        ("unknown", {}),
        ("void", {}),
        ("object", {"type": "object"}),
        ("Record<string, any>", {"type": "object"}),
        ("Record<string, number>", {"type": "object", "values": {"type": "integer"}}),
        ("{ a: string; b?: { c: number } }", {"type": "object"}),
        ('"a" | "b"', {"type": "string", "enum": ["a", "b"]}),
        ("'a' | 'it\\'s'", {"type": "string", "enum": ["a", "it's"]}),
        ('\n        | "a"\n        | "b"', {"type": "string", "enum": ["a", "b"]}),
        ('"a"', {"type": "string", "const": "a"}),
        ('"say \\"a\\"; {b}"', {"type": "string", "const": 'say "a"; {b}'}),
        ("4 | 8 | -1", {"type": "integer", "enum": [4, 8, -1]}),
        ("1 | 1.5", {"type": "number", "enum": [1, 1.5]}),
        ('1 | "a"', {"type": "string", "enum": [1, "a"]}),
        ("true", {"type": "boolean", "const": True}),
        ('"a" | string', {"any": [{"type": "string", "const": "a"}, {"type": "string"}]}),
        ("string | null", {"type": "string", "null": True}),
        ("string | undefined", {"type": "string", "null": True}),
        ('"a" | "b" | null', {"type": "string", "enum": ["a", "b"], "null": True}),
        ("string | number", {"any": [{"type": "string"}, {"type": "integer"}]}),
        ("number | number", {"type": "number"}),
        ("string | string", {"type": "string"}),
        ("unknown | number", {"any": [{"type": "object"}, {"type": "integer"}]}),
        ("(string | number) | null", {"any": [{"type": "string"}, {"type": "integer"}], "null": True}),
        ("Array<string>", {"type": "array", "items": {"type": "string"}}),
        ("string[]", {"type": "array", "items": {"type": "string"}}),
        ("(string | null)[]", {"type": "array", "items": {"type": "string", "null": True}}),
        ("Array<Array<number>>", {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}),
        ("Array<void>", {"type": "array"}),
        ('Array<"a" | "b">', {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}),
        (
            "[number, string]",
            {
                "type": "array",
                "min_items": 2,
                "max_items": 2,
                "tuple": [{"type": "integer"}, {"type": "string"}],
            },
        ),
        ("string | Blob | File", {"type": "string", "file": "any"}),
        ("Blob", {"type": "string", "file": "any"}),
        (
            "Array<string | Blob | File>",
            {"type": "array", "items": {"type": "string", "file": "any"}, "file": "any"},
        ),
        (
            "Array<string | Blob | File> | string | Blob | File",
            {
                "any": [
                    {"type": "array", "items": {"type": "string", "file": "any"}, "file": "any"},
                    {"type": "string", "file": "any"},
                ]
            },
        ),
        ("NotDeclared", {"type": "object"}),
    ],
)
def test_a_type_becomes_a_field(type_: str, expected: Json) -> None:
    assert field(f"a: {type_};") == {"required": True, **expected}


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ("a?: boolean;", {"type": "boolean", "default": False}),
        ("a?: string;", {"type": "string", "null": True}),
        ("a?: number;", {"type": "integer", "null": True}),
        ('a?: "x" | "y";', {"type": "string", "enum": ["x", "y"], "null": True}),
        ("a?: Array<string>;", {"type": "array", "items": {"type": "string"}, "null": True}),
        ("a?: any;", {}),
    ],
)
def test_an_optional_field_without_a_default_is_false_or_takes_null(member: str, expected: Json) -> None:
    assert field(member) == expected


@pytest.mark.parametrize(
    ("type_", "default", "expected"),
    [
        ("number", "28", {"type": "integer", "default": 28}),
        ("number", "3.5", {"type": "number", "default": 3.5}),
        ("number", "-1", {"type": "integer", "default": -1}),
        ("string", '"jpeg"', {"type": "string", "default": "jpeg"}),
        ("string", "no quotes: `code`", {"type": "string", "default": "no quotes: `code`"}),
        ("string", '"5"', {"type": "string", "default": "5"}),
        ("string", "5", {"type": "string", "default": "5"}),
        ("boolean", "true", {"type": "boolean", "default": True}),
        (
            '"square_hd" | "auto"',
            "auto",
            {"type": "string", "enum": ["square_hd", "auto"], "default": "auto"},
        ),
        ('"a"', '"a"', {"type": "string", "const": "a", "default": "a"}),
        ("string | number", "0.5", {"any": [{"type": "string"}, {"type": "number"}], "default": 0.5}),
        ("Array<string>", "", {"type": "array", "items": {"type": "string"}, "default": []}),
        ("Array<number>", "[1, 2]", {"type": "array", "items": {"type": "integer"}, "default": [1, 2]}),
        ("Colour", '{"r": 1}', {"ref": "Colour", "default": {"r": 1}}),
        ("Colour", "[object Object]", {"ref": "Colour", "null": True}),
        ('"a" | "b"', '"c"', {"type": "string", "enum": ["a", "b"], "null": True}),
        ("number", '"many"', {"type": "integer", "null": True}),
        ("number", "true", {"type": "integer", "null": True}),
    ],
)
def test_the_default_is_taken_from_the_comment_if_the_field_can_have_it(
    type_: str, default: str, expected: Json
) -> None:
    member = f"""
    /**
     * The first line of a text
     * that ends with it. Default value: `{default}`
     */
    a?: {type_};"""

    assert field(member, COLOUR) == expected


@pytest.mark.parametrize(
    "comment",
    [
        "/** Default value: `1` is usual. */",
        "/* Default value: 1 */",
        "// Default value: `1`",
        "/** Size. */",
        "",
    ],
)
def test_a_comment_that_only_mentions_a_default_gives_none(comment: str) -> None:
    assert field(f"{comment}\na?: number;") == {"type": "integer", "null": True}


def test_a_comment_belongs_to_the_next_member_only() -> None:
    found = package("/** Default value: `2` */\n a?: number;\n b?: number;").listing("fal-ai/my-model").input

    assert found["b"] == {"type": "integer", "null": True}


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("num_images", "integer"),
        ("num_inference_steps", "integer"),
        ("seed", "integer"),
        ("width", "integer"),
        ("duration_ms", "integer"),
        ("guidance_scale", "number"),
        ("strength", "number"),
        ("temperature", "number"),
        ("speed", "number"),
        ("controlnet_weight", "number"),
        ("mask_threshold", "number"),
        ("duration_seconds", "number"),
    ],
)
def test_the_name_of_a_number_says_whether_it_is_an_integer(name: str, type_: str) -> None:
    assert field(f"{name}: number;")["type"] == type_


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ("image_url: string | Blob | File;", {"type": "string", "file": "image"}),
        ("tail_image_url: string;", {"type": "string", "file": "image"}),
        ("video_url: string;", {"type": "string", "file": "video"}),
        ("audio_url: string;", {"type": "string", "file": "audio"}),
        ("config_url: string | Blob | File;", {"type": "string", "file": "any"}),
        ("image: string;", {"type": "string"}),
        (
            "image_urls: Array<string>;",
            {"type": "array", "items": {"type": "string", "file": "image"}, "file": "image"},
        ),
        ("timings: any;", {"type": "object", "values": {"type": "number"}}),
    ],
)
def test_the_name_of_a_field_says_which_file_it_takes(member: str, expected: Json) -> None:
    assert field(member) == {"required": True, **expected}


def test_the_type_file_is_fals_when_it_is_declared_and_the_browsers_beside_blob() -> None:
    file = "export type File = { url: string; };"

    assert field("a: File;", file) == {"required": True, "ref": "File"}
    assert field("a: string | Blob | File;", file) == {"required": True, "type": "string", "file": "any"}
    assert field("a: string | File;", file) == {
        "required": True,
        "any": [{"type": "string"}, {"ref": "File"}],
    }


def test_objects_are_gathered_with_all_that_they_refer_to() -> None:
    found = package(
        "palette?: Palette;",
        "export type Palette = { members: Array<Member>; };",
        "export interface Member { colour: Colour; parent?: Palette; }",
        COLOUR,
        "export type Unused = { a: string; };",
    ).listing("fal-ai/my-model")

    assert found.input == {"palette": {"ref": "Palette", "null": True}}
    assert found.types == {
        "Palette": {
            "class": "Palette",
            "fields": {"members": {"required": True, "type": "array", "items": {"ref": "Member"}}},
        },
        "Member": {
            "class": "Member",
            "fields": {
                "colour": {"required": True, "ref": "Colour"},
                "parent": {"ref": "Palette", "null": True},
            },
        },
        "Colour": {"class": "Colour", "fields": {"r": {"type": "integer", "null": True}}},
    }


def test_a_name_that_stands_for_another_type_is_followed() -> None:
    assert (
        field("a: Shade;", "export type Shade = Hue;", "export type Hue = Colour;", COLOUR)["ref"] == "Colour"
    )
    assert field("a: Mode;", 'export type Mode = "x" | "y";')["enum"] == ["x", "y"]
    assert field("a: Text;", "export type Text = string;")["type"] == "string"
    assert field("a: Far;", "export type Far = Away;")["type"] == "object"


def test_a_type_with_its_module_in_its_name_keeps_only_the_class() -> None:
    name = "fal__toolkit__image__image__Image"
    found = package(f"a: {name};", f"export type {name} = {{ url: string; }};").listing("fal-ai/my-model")

    assert found.types[name]["class"] == "Image"


def test_fields_keep_their_order_and_their_names() -> None:
    found = package('b: string; "a-1": string; H264_output?: boolean, 3: string').listing("fal-ai/my-model")

    assert list(found.input) == ["b", "a-1", "H264_output", "3"]


def test_an_endpoint_with_the_type_of_another_is_a_separate_entry() -> None:
    types = Types(
        "export type OneInput = { prompt: string; };\nexport type OneOutput = { image: Image; };\n"
        "export type Image = { url: string; };\n"
        "export type TwoInput = OneInput;\nexport type TwoOutput = OneOutput;\n"
        'export type EndpointTypeMap = { "fal-ai/two": { input: TwoInput; output: TwoOutput; }; };'
    )
    entry = types.entry("fal-ai/two", date="2026-05-04")

    assert list(types.endpoints) == ["fal-ai/two"]
    assert (entry.input, entry.schemas[entry.input]["title"]) == ("TwoInput", "TwoInput")
    assert (entry.certainty, entry.date, entry.medium) == ("types", "2026-05-04", "image")
    assert set(entry.schemas) == {"TwoInput", "TwoOutput", "Image"}


def test_an_endpoint_that_may_take_anything_has_no_fields() -> None:
    types = Types('export type EndpointTypeMap = { "fal-ai/x": { input: any; output: any; }; };')

    assert types.listing("fal-ai/x") == ({}, {}, {})


def test_an_unused_type_is_not_parsed() -> None:
    assert field("a: string;", "export type Broken = { this is no type };") == {
        "required": True,
        "type": "string",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no type EndpointTypeMap"),
        ("{}", "no type EndpointTypeMap"),
        ('export type EndpointTypeMap = { "fal-ai/x": string; };', "fal-ai/x: `input` and `output`"),
        ('export type EndpointTypeMap = { "fal-ai/x": { input: A; }; };', "fal-ai/x: `input` and `output`"),
        ('export type EndpointTypeMap = {\n  "fal-ai/x" { input: A; };\n};', "line 2: '{' is not expected"),
        ("export type EndpointTypeMap = {", "line 1: 'the end' is not expected"),
        ("export type EndpointTypeMap = { a: Map<string>; };", "line 1: 'Map<' is not expected"),
        ("export type EndpointTypeMap = {\n\n a: #; };", "line 3: '#;' is not expected"),
        ("export type EndpointTypeMap = { a: ; };", "line 1: ';' is not expected"),
        ("export type EndpointTypeMap = { a: [string; };", "line 1: ';' is not expected"),
    ],
)
def test_another_text_is_refused_with_the_line(text: str, message: str) -> None:
    with pytest.raises(Unreadable, match=message.replace("[", r"\[")):
        _ = Types(text).endpoints


def test_a_type_that_stands_for_itself_is_refused() -> None:
    with pytest.raises(Unreadable, match="stands for itself"):
        field("a: A;", "export type A = B;", "export type B = A;")
