"""fal's OpenAPI documents of models: PROTOCOL.md 15."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from published import LIMITED, OPEN, PUBLISHED, RECENT, Published

from falmock.catalogue import bundled, documents, schema
from falmock.catalogue.entries import Entry
from falmock.protocol import validation
from falmock.protocol.errors import InvalidBody

if TYPE_CHECKING:
    from pydantic import BaseModel

EACH = pytest.mark.parametrize("published", PUBLISHED.values(), ids=PUBLISHED)


def model(document: Any) -> type[BaseModel]:
    entry = documents.read(document)
    return schema.build(entry.schemas, entry.input)


@EACH
def test_a_document_of_fal_names_endpoint_input_and_output(published: Published) -> None:
    entry = documents.read(published.document)
    heading = published.document["info"]["x-fal-metadata"]

    assert (entry.endpoint, entry.category) == (heading["endpointId"], heading.get("category", ""))
    assert entry.input.endswith("Input")
    assert entry.output.endswith("Output")
    assert "QueueStatus" not in entry.schemas


@EACH
def test_a_valid_input_passes_the_model_of_a_document(published: Published) -> None:
    read = validation.read(model(published.document), json.dumps(published.valid).encode(), None)

    assert json.loads(read.model_dump_json(exclude_unset=True)) == published.valid


@EACH
def test_an_invalid_input_fails_at_the_places_of_fal_in_its_order(published: Published) -> None:
    with pytest.raises(InvalidBody) as refused:
        validation.read(model(published.document), json.dumps(published.invalid).encode(), None)

    assert [(error["loc"], error["type"]) for error in refused.value.body["detail"]] == published.errors


@EACH
def test_a_document_that_is_read_is_served_as_it_was(published: Published) -> None:
    served = documents.document(documents.read(published.document))

    assert served == published.document
    assert [*served["paths"]] == [*published.document["paths"]]


@EACH
def test_the_document_of_an_entry_is_read_as_that_entry(published: Published) -> None:
    entry = documents.read(published.document)

    assert documents.read(json.loads(json.dumps(documents.document(entry)))) == entry


@EACH
def test_the_output_of_a_document_is_built_too(published: Published) -> None:
    entry = documents.read(published.document)

    assert schema.build(entry.schemas, entry.output).__name__ in {
        entry.schemas[entry.output].get("title"),
        entry.output,
    }


def test_the_medium_follows_from_the_output_or_the_id() -> None:
    media = {name: documents.read(published.document).medium for name, published in PUBLISHED.items()}

    assert media == {
        "null as a branch": "image",
        "null left out": "image",
        "limits of files": "video",
        "a reference to nothing": "video",
        "an output of any form": "unknown",
        "no order": "text",
        "tuples and mappings": "text",
        "keywords of forms": "weights",
        "objects as defaults": "image",
        "recursion": "video",
        "names": "audio",
        "no category": "mesh",
    }


def test_the_schemas_true_and_false_are_read_as_anything() -> None:
    document = deepcopy(RECENT.document)
    document["components"]["schemas"]["PaintDevInput"]["properties"]["image_size"] = {
        "anyOf": [True, {"type": "array", "items": False}]
    }

    entry = documents.read(document)

    field = entry.schemas["PaintDevInput"]["properties"]["image_size"]
    assert field == {"anyOf": [{}, {"type": "array", "items": {}}]}


def test_an_object_in_a_default_becomes_a_model() -> None:
    size = model(PUBLISHED["objects as defaults"].document)().image_size  # type: ignore[attr-defined]

    assert (type(size).__name__, size.width) == ("ImageSize", 2048)


def test_schemas_that_are_no_components_become_components() -> None:
    document = deepcopy(OPEN.document)
    schemas = document["components"]["schemas"]
    for end, place in (
        ("Input", document["paths"]["/owner/erase"]["post"]["requestBody"]),
        ("Output", document["paths"]["/owner/erase/requests/{request_id}"]["get"]["responses"]["200"]),
    ):
        place["content"]["application/json"]["schema"] = schemas.pop(f"Erase{end}")

    assert documents.document(documents.read(document)) == OPEN.document


@pytest.mark.parametrize("endpoint", list(bundled.ids())[::10])
def test_the_document_of_a_bundled_endpoint_is_read_as_its_entry(endpoint: str) -> None:
    entry = bundled.entry(endpoint)
    assert entry is not None

    published = replace(
        entry, price=None, price_rule=None, certainty="document", date="", validation=2, retired=None
    )
    assert documents.read(documents.document(entry)) == published


def test_a_document_without_metadata_is_of_the_endpoint_that_takes_post() -> None:
    document = deepcopy(RECENT.document)
    del document["info"]

    assert documents.read(document).endpoint == "fal-ai/paint/dev"


Broken = tuple[tuple[str, ...], Any, str]
FIELD = ("components", "schemas", "PaintDevInput", "properties", "image_size")
INPUT = FIELD[:3]
BROKEN: list[Broken] = [
    (("paths",), [], "the document has no object at paths"),
    (("components",), None, "the document has no object at components.schemas"),
    (("paths",), {}, "paths: one path takes POST in a document of fal, here: none"),
    (
        ("paths",),
        {"/a/b": {"post": {}}, "/a/c": {"post": {}}},
        "paths: one path takes POST in a document of fal, here: /a/b, /a/c",
    ),
    (("info", "x-fal-metadata"), 5, "the document has no object at info.x-fal-metadata"),
    (
        ("info", "x-fal-metadata", "endpointId"),
        "paint",
        'the endpoint "paint" is not of the form owner/alias/path',
    ),
    (
        ("info", "x-fal-metadata", "endpointId"),
        "a/b",
        'info.x-fal-metadata.endpointId is "a/b", but POST goes to "/fal-ai/paint/dev"',
    ),
    (("info", "x-fal-metadata", "category"), 5, "info.x-fal-metadata.category: 5 is not a text"),
    (
        ("paths", "/fal-ai/paint/dev", "post", "requestBody"),
        {},
        "paths./fal-ai/paint/dev.post.requestBody: no schema of JSON",
    ),
    (
        ("paths", "/fal-ai/paint/dev/requests/{request_id}"),
        {},
        "paths./fal-ai/paint/dev/requests/{request_id}.get.responses.200: no schema of JSON",
    ),
    (
        (
            *("paths", "/fal-ai/paint/dev", "post", "requestBody", "content", "application/json", "schema"),
            "$ref",
        ),
        "#/components/schemas/Gone",
        'paths./fal-ai/paint/dev.post.requestBody: "#/components/schemas/Gone" does not exist',
    ),
    (INPUT, True, "PaintDevInput: true is not a schema"),
    (
        INPUT,
        {"anyOf": [{"$ref": "#/components/schemas/PaintDevInput"}, {"type": "null"}]},
        "PaintDevInput: it refers to itself with no object or list in between",
    ),
    ((*INPUT, "required"), "prompt", 'PaintDevInput.required: "prompt" is not a list of names'),
    ((*INPUT, "required"), ["prompts"], 'PaintDevInput.required: "prompts" is not in properties'),
    ((*INPUT, "properties"), [], "PaintDevInput.properties: [] is not an object"),
    (
        (*INPUT, "x-fal-order-properties"),
        {"prompt": 1},
        'PaintDevInput.x-fal-order-properties: {"prompt": 1} is not a list of names',
    ),
    (FIELD, "text", 'PaintDevInput.properties.image_size: "text" is not a schema'),
    (FIELD, {"$ref": 5}, "PaintDevInput.properties.image_size.$ref: 5 is not a text"),
    (
        FIELD,
        {"type": "text"},
        'PaintDevInput.properties.image_size.type: "text" is not one of array, boolean, integer, null, '
        "number, object, string",
    ),
    (FIELD, {"anyOf": []}, "PaintDevInput.properties.image_size.anyOf: [] is not a list of schemas"),
    (FIELD, {"anyOf": [{}, 5]}, "PaintDevInput.properties.image_size.anyOf[1]: 5 is not a schema"),
    (
        FIELD,
        {"enum": []},
        "PaintDevInput.properties.image_size.enum: [] is not a list of texts, numbers, true, false or null",
    ),
    (
        FIELD,
        {"const": {}},
        "PaintDevInput.properties.image_size.const: {} is not a text, a number, true, false or null",
    ),
    (
        FIELD,
        {"type": "array", "items": {"type": "number", "minimum": "one"}},
        'PaintDevInput.properties.image_size.items.minimum: "one" is not a number',
    ),
    (
        FIELD,
        {"type": "integer", "maximum": 4.5},
        "PaintDevInput.properties.image_size.maximum: 4.5 is not a whole number, but the type is integer",
    ),
    (
        FIELD,
        {"type": "string", "maxLength": -1},
        "PaintDevInput.properties.image_size.maxLength: -1 is not a number of items or characters",
    ),
    (
        FIELD,
        {"type": "number", "multipleOf": 0},
        "PaintDevInput.properties.image_size.multipleOf: 0 is not a number above 0",
    ),
    (
        FIELD,
        {"type": "string", "pattern": "(?=a)"},
        'PaintDevInput.properties.image_size.pattern: "(?=a)" is not a pattern that pydantic takes',
    ),
    (
        FIELD,
        {"type": "object", "additionalProperties": 5},
        "PaintDevInput.properties.image_size.additionalProperties: 5 is not a schema, true or false",
    ),
    (
        (*FIELD, "default"),
        {"width": 0},
        "PaintDevInput.properties.image_size.ImageSize.width: the default is not valid: Input should be "
        "greater than 0",
    ),
]


def changed(document: Any, place: tuple[str, ...], value: Any) -> Any:
    document = deepcopy(document)
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return document


@pytest.mark.parametrize(("place", "value", "line"), BROKEN, ids=[broken[2] for broken in BROKEN])
def test_a_broken_document_gives_a_line_that_says_what_and_where(
    place: tuple[str, ...], value: Any, line: str
) -> None:
    with pytest.raises(documents.Problems) as broken:
        documents.read(changed(RECENT.document, place, value))

    assert broken.value.lines[0] == line
    assert "\n" not in line


def test_a_document_with_several_problems_gives_a_line_for_each() -> None:
    document = deepcopy(LIMITED.document)
    document["info"]["x-fal-metadata"]["category"] = None
    fields = document["components"]["schemas"]["AnimateV21ImageToVideoInput"]["properties"]
    fields["duration"]["type"] = "text"
    fields["image_url"]["minLength"] = "long"

    with pytest.raises(documents.Problems) as broken:
        documents.read(document)

    assert [line.partition(": ")[0] for line in broken.value.lines] == [
        "info.x-fal-metadata.category",
        "AnimateV21ImageToVideoInput.properties.duration.type",
        "AnimateV21ImageToVideoInput.properties.image_url.minLength",
    ]
    assert str(broken.value) == "\n".join(broken.value.lines)


@pytest.mark.parametrize(
    "document", [None, 5, "text", [], {}, {"paths": {}}, float("nan"), "\ud800"], ids=repr
)
def test_a_value_that_is_no_document_is_a_problem(document: Any) -> None:
    with pytest.raises(documents.Problems):
        documents.read(document)


KEYWORDS = [
    "$ref",
    "title",
    "type",
    "const",
    "enum",
    "nullable",
    "properties",
    "required",
    "items",
    "prefixItems",
    "anyOf",
    "oneOf",
    "allOf",
    "additionalProperties",
    "discriminator",
    "minimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "pattern",
    "maxItems",
    "default",
    "x-fal-order-properties",
]
NAMES = st.sampled_from(["a", "_b", "schema", "model_fields", "Loop", "0", ""])
REFERENCES = st.sampled_from(["Loop", "ImageSize", "Gone"]).map("#/components/schemas/{}".format)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.floats(-2, 2),
    st.sampled_from(
        ["string", "integer", "number", "boolean", "null", "array", "object", "text", "^a", "\0"]
    ),
    REFERENCES,
    NAMES,
    st.lists(NAMES, max_size=2),
    st.just({"propertyName": "a"}),
)
LOOP = {"$ref": "#/components/schemas/Loop"}
SOUND: list[Any] = [
    True,
    LOOP,
    {"type": "integer", "minimum": 1},
    {"type": ["string", "null"], "maxLength": 1},
    {"enum": ["a", 2, None], "default": "a"},
    {"const": "a"},
    {"type": "array", "items": LOOP, "default": []},
    {"oneOf": [LOOP, {"$ref": "#/components/schemas/ImageSize"}], "discriminator": {"propertyName": "a"}},
]
SCHEMAS = st.recursive(
    st.sampled_from(SOUND) | st.dictionaries(st.sampled_from(KEYWORDS), VALUES, max_size=3),
    lambda inner: st.one_of(
        st.builds(dict, type=st.just("object"), properties=st.dictionaries(NAMES, inner, max_size=3)),
        st.builds(dict, anyOf=st.lists(inner, min_size=1, max_size=3), default=VALUES),
        st.builds(dict, allOf=st.lists(inner, min_size=1, max_size=2)),
        st.builds(dict, type=st.just("array"), items=inner, default=st.lists(VALUES, max_size=1)),
        st.builds(dict, type=st.just("array"), prefixItems=st.lists(inner, max_size=2)),
        st.builds(dict, type=st.just("object"), additionalProperties=inner),
    ),
    max_leaves=6,
)
INPUTS = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)


def entry_or_problems(document: Any) -> Entry | list[str]:
    try:
        return documents.read(document)
    except documents.Problems as broken:
        return broken.lines


def understood(model: type[BaseModel], body: bytes) -> BaseModel | list[Any]:
    try:
        return validation.read(model, body, None)
    except InvalidBody as refused:
        return list(refused.body["detail"])


@given(loop=SCHEMAS, field=SCHEMAS, value=INPUTS)
def test_any_schema_is_a_problem_or_builds_a_model_that_accepts_or_refuses(
    loop: Any, field: Any, value: Any
) -> None:
    document = changed(RECENT.document, FIELD, field)
    document["components"]["schemas"]["Loop"] = loop
    document["components"]["schemas"]["PaintDevOutput"]["properties"]["images"] = field
    entry = entry_or_problems(document)
    if not isinstance(entry, Entry):
        assert not any("\n" in line for line in entry)
        return

    model = schema.build(entry.schemas, entry.input)
    assert understood(model, json.dumps({"prompt": "a", "image_size": value}).encode()) != []
    assert documents.read(documents.document(entry)) == entry
