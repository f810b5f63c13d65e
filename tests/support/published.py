"""OpenAPI documents of models in the form that fal publishes, with its oddities. All are invented.

Each comes with an input that is valid, and one that is not with the places and types of its errors.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Json = dict[str, Any]
NULL: Json = {"type": "null"}


class Published(NamedTuple):
    document: Json
    valid: Json
    invalid: Json
    errors: list[tuple[list[str | int], str]]


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def component(title: str, order: list[str] | None, required: list[str], **properties: Json) -> Json:
    """Return an object; its properties are sorted, as fal's are in no order."""
    return {
        "title": title,
        "type": "object",
        **({"x-fal-order-properties": order} if order is not None else {}),
        "properties": dict(sorted(properties.items())),
        **({"required": required} if required else {}),
    }


def openapi(endpoint: str, name: str, components: Json, **metadata: Any) -> Json:
    """Return the document of an endpoint with the components `<name>Input` and `<name>Output`."""
    call, request = f"/{endpoint}", f"/{endpoint}/requests/{{request_id}}"
    identifier = {
        "name": "request_id",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "description": "Request ID"},
    }
    logs = {"name": "logs", "in": "query", "required": False, "schema": {"type": "number"}}

    def answer(schema: Json) -> Json:
        return {"200": {"description": "The answer.", "content": {"application/json": {"schema": schema}}}}

    return {
        "openapi": "3.0.4",
        "info": {
            "title": f"Queue OpenAPI for {endpoint}",
            "version": "1.0.0",
            "description": f"The OpenAPI schema for the {endpoint} queue.",
            "x-fal-metadata": {
                "endpointId": endpoint,
                "playgroundUrl": f"https://fal.ai/models/{endpoint}",
                "documentationUrl": f"https://fal.ai/models/{endpoint}/api",
                **metadata,
            },
        },
        "components": {
            "securitySchemes": {
                "apiKeyAuth": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "Fal Key",
                }
            },
            "schemas": {
                "QueueStatus": {
                    "type": "object",
                    "properties": {
                        "status": {"type": "string", "enum": ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]},
                        "request_id": {"type": "string", "description": "The request id."},
                        "response_url": {"type": "string"},
                        "status_url": {"type": "string"},
                        "cancel_url": {"type": "string"},
                        "logs": {"type": "object", "additionalProperties": True},
                        "metrics": {"type": "object", "additionalProperties": True},
                        "queue_position": {"type": "integer"},
                    },
                    "required": ["status", "request_id"],
                },
                **components,
            },
        },
        "paths": {
            f"{request}/status": {
                "get": {"parameters": [identifier, logs], "responses": answer(ref("QueueStatus"))}
            },
            f"{request}/cancel": {
                "put": {
                    "parameters": [identifier],
                    "responses": answer(
                        {"type": "object", "properties": {"success": {"type": "boolean"}}},
                    ),
                }
            },
            call: {
                "post": {
                    "requestBody": {
                        "required": True,
                        "content": {"application/json": {"schema": ref(f"{name}Input")}},
                    },
                    "responses": answer(ref("QueueStatus")),
                }
            },
            request: {"get": {"parameters": [identifier], "responses": answer(ref(f"{name}Output"))}},
        },
        "servers": [{"url": "https://queue.fal.run"}],
        "security": [{"apiKeyAuth": []}],
    }


TEXT: Json = {"type": "string"}
SIZE = component(
    "ImageSize",
    ["width", "height"],
    [],
    width={"type": "integer", "exclusiveMinimum": 0, "maximum": 14142, "default": 512},
    height={"type": "integer", "exclusiveMinimum": 0, "maximum": 14142, "default": 512},
)
IMAGE = component(
    "Image",
    ["url", "width", "height", "content_type"],
    ["url", "width", "height"],
    url=TEXT,
    width={"type": "integer"},
    height={"type": "integer"},
    content_type={"type": "string", "default": "image/jpeg"},
)
FILE = component(
    "File",
    ["url", "content_type", "file_size"],
    ["url"],
    url={"type": "string", "description": "Where the file is.", "title": "Url"},
    content_type={"anyOf": [TEXT, NULL], "title": "Content Type"},
    file_size={"anyOf": [{"type": "integer"}, NULL], "title": "File Size"},
)
IMAGES = component(
    "Output",
    ["images", "seed"],
    ["images", "seed"],
    images={"type": "array", "items": ref("Image")},
    seed={"type": "integer"},
)
VIDEO = component("VideoOutput", ["video"], ["video"], video={"allOf": [ref("File")], "title": "Video"})
PRESETS: Json = {"type": "string", "enum": ["square_hd", "square", "landscape_4_3"]}

RECENT = Published(  # null is a branch; bounds stand beside it
    openapi(
        "fal-ai/paint/dev",
        "PaintDev",
        {
            "PaintDevInput": component(
                "BaseInput",
                ["prompt", "image_size", "num_images", "seed"],
                ["prompt"],
                prompt={"type": "string", "title": "Prompt", "description": "What to paint."},
                image_size={"anyOf": [ref("ImageSize"), PRESETS], "default": "landscape_4_3"},
                num_images={"anyOf": [{"type": "integer", "minimum": 1, "maximum": 4}, NULL], "default": 1},
                seed={"anyOf": [{"type": "integer"}, NULL]},
            ),
            "PaintDevOutput": IMAGES,
            "Image": IMAGE,
            "ImageSize": SIZE,
        },
        category="text-to-image",
        thumbnailUrl="https://example.com/paint.png",
        about="Paint a picture.",
    ),
    {"prompt": "a cat", "image_size": {"width": 640}, "num_images": None, "seed": None},
    {"num_images": 5, "image_size": "large"},
    [
        (["body", "prompt"], "missing"),
        (["body", "image_size", "ImageSize"], "model_attributes_type"),
        (["body", "image_size", "literal['square_hd','square','landscape_4_3']"], "literal_error"),
        (["body", "num_images"], "less_than_equal"),
    ],
)
OLDER = Published(  # null is not said, and a reference is wrapped
    openapi(
        "fal-ai/paint/v1/pro",
        "PaintV1Pro",
        {
            "PaintV1ProInput": component(
                "Input",
                ["prompt", "size", "seed"],
                ["prompt"],
                prompt=TEXT,
                size={"allOf": [ref("ImageSize")], "title": "Size", "description": "In pixels."},
                seed={"type": "integer", "title": "Seed"},
            ),
            "PaintV1ProOutput": IMAGES,
            "Image": IMAGE,
            "ImageSize": SIZE,
        },
        category="text-to-image",
    ),
    {"prompt": "a cat", "size": None, "seed": None},
    {"prompt": "a cat", "size": {"height": 0}, "seed": "x"},
    [(["body", "size", "height"], "greater_than"), (["body", "seed"], "int_parsing")],
)
LIMITED = Published(  # keywords of fal's own
    openapi(
        "fal-ai/animate/v2.1/image-to-video",
        "AnimateV21ImageToVideo",
        {
            "AnimateV21ImageToVideoInput": component(
                "ImageToVideoInput",
                ["image_url", "duration", "tail_image_url"],
                ["image_url"],
                image_url={
                    "type": "string",
                    "x-fal": {"max_file_size": 10485760, "min_width": 300, "max_aspect_ratio": 2.5},
                    "limit_description": "At most 10 MB.",
                    "_fal_ui_field": "image",
                    "ui": {"field": "image"},
                },
                tail_image_url={
                    "anyOf": [{"type": "string", "x-fal": {"timeout": 20}}, NULL],
                    "deprecated": True,
                },
                duration={"type": "string", "enum": ["5", "10"], "default": "5", "examples": ["10"]},
            ),
            "AnimateV21ImageToVideoOutput": VIDEO,
            "File": FILE,
        },
        category="image-to-video",
    ),
    {"image_url": "data:,", "duration": "10", "tail_image_url": None},
    {"duration": 5, "tail_image_url": []},
    [
        (["body", "image_url"], "missing"),
        (["body", "duration"], "literal_error"),
        (["body", "tail_image_url"], "string_type"),
    ],
)
DANGLING = Published(  # a reference that leads nowhere takes any value
    openapi(
        "fal-ai/lost",
        "Lost",
        {
            "LostInput": component(
                "LostInput",
                ["prompt", "extra", "extras"],
                ["prompt", "extras"],
                prompt=TEXT,
                extra=ref("Gone"),
                extras={"type": "array", "items": ref("Gone"), "maxItems": 2},
            ),
            "LostOutput": VIDEO,
            "File": FILE,
        },
        category="text-to-video",
    ),
    {"prompt": "a", "extra": {"any": "thing"}, "extras": [1, "b"]},
    {"prompt": "a", "extra": 5, "extras": [1, 2, 3]},
    [(["body", "extras"], "too_long")],
)
OPEN = Published(  # an output of any form
    openapi(
        "owner/erase",
        "Erase",
        {
            "EraseInput": component("EraseInput", ["image_url"], ["image_url"], image_url=TEXT),
            "EraseOutput": {},
        },
        category="image-to-json",
    ),
    {"image_url": "a"},
    {"image_url": None},
    [(["body", "image_url"], "string_type")],
)
UNORDERED = Published(  # the order of the properties is all there is
    openapi(
        "fal-ai/unordered",
        "Unordered",
        {
            "UnorderedInput": component("UnorderedInput", None, ["b", "a"], b=TEXT, a=TEXT),
            "UnorderedOutput": component("Output", None, [], text=TEXT),
        },
        category="llm",
    ),
    {"a": "1", "b": "2"},
    {},
    [(["body", "a"], "missing"), (["body", "b"], "missing")],
)
HEARD = Published(  # tuples, objects of any key, numbers of several kinds
    openapi(
        "fal-ai/hear",
        "Hear",
        {
            "HearInput": component(
                "WhisperInput",
                ["audio_url", "span", "weights", "temperature"],
                ["audio_url"],
                audio_url=TEXT,
                span={
                    "type": "array",
                    "prefixItems": [{"type": "number"}, {"anyOf": [{"type": "number"}, NULL]}],
                    "minItems": 2,
                    "maxItems": 2,
                },
                weights={"type": "object", "additionalProperties": {"type": "number", "maximum": 1}},
                temperature={
                    "anyOf": [{"type": "number", "multipleOf": 0.25}, {"type": "boolean"}],
                    "default": 0,
                },
            ),
            "HearOutput": component(
                "WhisperOutput",
                ["text", "chunks", "timings"],
                ["text"],
                text=TEXT,
                chunks={"type": "array", "items": ref("WhisperChunk")},
                timings={"type": "object", "additionalProperties": {"type": "number"}},
            ),
            "WhisperChunk": component("WhisperChunk", ["text"], ["text"], text=TEXT),
        },
        category="speech-to-text",
    ),
    {"audio_url": "a", "span": [1, None], "weights": {"a": 0.5}, "temperature": True},
    {"audio_url": "a", "span": [1], "weights": {"a": 2}, "temperature": 0.3},
    [
        (["body", "span", 1], "missing"),
        (["body", "weights", "a"], "less_than_equal"),
        (["body", "temperature", "constrained-float"], "multiple_of"),
        (["body", "temperature", "bool"], "bool_type"),
    ],
)
TRAINED = Published(  # keywords of a form, not of a schema, and a step
    openapi(
        "fal-ai/paint-trainer",
        "PaintTrainer",
        {
            "PaintTrainerInput": component(
                "PublicInput",
                ["images_data_url", "steps", "learning_rate", "create_masks"],
                ["images_data_url"],
                images_data_url={"type": "string", "ui": {"field": "archive"}},
                steps={"type": "integer", "multipleOf": 10, "minimum": 10.0, "step": 10, "default": 1000},
                learning_rate={"type": "number", "ge": 0, "le": 1, "min": 0, "max": 1, "example": 0.1},
                create_masks={"type": "boolean", "default": True},
            ),
            "PaintTrainerOutput": component(
                "Output",
                ["diffusers_lora_file", "config_file"],
                ["diffusers_lora_file", "config_file"],
                diffusers_lora_file=ref("File"),
                config_file=ref("File"),
            ),
            "File": FILE,
        },
        category="training",
    ),
    {"images_data_url": "a", "steps": 20, "learning_rate": 5},
    {"images_data_url": "a", "steps": 25, "create_masks": "perhaps"},
    [(["body", "steps"], "multiple_of"), (["body", "create_masks"], "bool_parsing")],
)
OBJECTS = Published(  # an object as a default, and an object without a component
    openapi(
        "fal-ai/paint/v4/text-to-image",
        "PaintV4TextToImage",
        {
            "PaintV4TextToImageInput": component(
                "SeedDreamInput",
                ["image_size", "camera"],
                [],
                image_size={
                    "anyOf": [ref("ImageSize"), {"type": "string", "const": "auto"}],
                    "default": {"width": 2048, "height": 2048},
                },
                camera={
                    "type": "object",
                    "title": "Camera",
                    "properties": {"pan": {"type": "integer", "minimum": -10, "maximum": 10}},
                    "additionalProperties": False,
                },
            ),
            "PaintV4TextToImageOutput": IMAGES,
            "Image": IMAGE,
            "ImageSize": SIZE,
        },
        category="text-to-image",
    ),
    {"camera": {"pan": -10}},
    {"camera": {"pan": 11, "tilt": 1}, "image_size": "square"},
    [
        (["body", "image_size", "ImageSize"], "model_attributes_type"),
        (["body", "image_size", "literal['auto']"], "literal_error"),
        (["body", "camera", "pan"], "less_than_equal"),
        (["body", "camera", "tilt"], "extra_forbidden"),
    ],
)
RECURSIVE = Published(  # components in each other, with a discriminator
    openapi(
        "fal-ai/compose",
        "Compose",
        {
            "ComposeInput": component(
                "ComposeInput",
                ["track"],
                ["track"],
                track={
                    "oneOf": [ref("Clip"), ref("Group")],
                    "discriminator": {
                        "propertyName": "kind",
                        "mapping": {
                            "clip": "#/components/schemas/Clip",
                            "group": "#/components/schemas/Group",
                        },
                    },
                },
            ),
            "Clip": component(
                "Clip", ["kind", "url"], ["kind", "url"], kind={"type": "string", "const": "clip"}, url=TEXT
            ),
            "Group": component(
                "Group",
                ["kind", "inner"],
                ["kind"],
                kind={"type": "string", "const": "group"},
                inner={"type": "array", "items": {"anyOf": [ref("Clip"), ref("Group")]}, "default": []},
            ),
            "ComposeOutput": VIDEO,
            "File": FILE,
        },
        category="video-to-video",
    ),
    {"track": {"kind": "group", "inner": [{"kind": "group"}, {"kind": "clip", "url": "a"}]}},
    {"track": {"kind": "group", "inner": [{"kind": "clip"}]}},
    [
        (["body", "track", "group", "inner", 0, "Clip", "url"], "missing"),
        (["body", "track", "group", "inner", 0, "Group", "kind"], "literal_error"),
    ],
)
NAMED = Published(  # names that pydantic has a use for, a pattern, and formats that are not checked
    openapi(
        "workflows/owner/named",
        "Named",
        {
            "NamedInput": component(
                "Input",
                ["schema", "_private", "model_image", "callback", "tags", "voice"],
                ["schema"],
                schema=TEXT,
                _private={"type": "integer"},
                model_image=TEXT,
                callback={"type": "string", "format": "uri", "maxLength": 20},
                tags={"type": "array", "items": TEXT, "uniqueItems": True},
                voice={"type": "string", "pattern": "^[a-z]+$", "minLength": 2},
            ),
            "NamedOutput": component(
                "Output", ["json", "audio"], ["audio"], json={"type": "object"}, audio=ref("File")
            ),
            "File": FILE,
        },
        category="text-to-speech",
    ),
    {"schema": "a", "_private": 1, "callback": "not a url", "tags": ["a", "a"], "voice": "anna"},
    {"schema": 5, "_private": "x", "callback": "x" * 21, "voice": "Anna"},
    [
        (["body", "schema"], "string_type"),
        (["body", "_private"], "int_parsing"),
        (["body", "callback"], "string_too_long"),
        (["body", "voice"], "string_pattern_mismatch"),
    ],
)
BARE = Published(  # no category, an id of two parts, two classes of one name, null in an enumeration
    openapi(
        "fal-ai/3d",
        "3d",
        {
            "3dInput": component(
                "Input",
                ["loras", "more", "mode"],
                [],
                loras={"type": "array", "items": ref("LoraWeight"), "default": []},
                more={
                    "anyOf": [{"type": "array", "items": ref("LoraWeight_2"), "minItems": 1}, NULL],
                },
                mode={"enum": ["fast", 2, None], "default": "fast"},
            ),
            "LoraWeight": component("LoraWeight", ["path"], ["path"], path=TEXT),
            "LoraWeight_2": component("LoraWeight", ["scale"], ["scale"], scale={"type": "number"}),
            "3dOutput": component("Output", ["model_mesh"], ["model_mesh"], model_mesh=ref("File")),
            "File": FILE,
        },
    ),
    {"loras": [{"path": "a"}], "more": [{"scale": 1}], "mode": None},
    {"loras": [{}], "more": [], "mode": "slow"},
    [
        (["body", "loras", 0, "path"], "missing"),
        (["body", "more"], "too_short"),
        (["body", "mode"], "literal_error"),
    ],
)
PUBLISHED = {
    "null as a branch": RECENT,
    "null left out": OLDER,
    "limits of files": LIMITED,
    "a reference to nothing": DANGLING,
    "an output of any form": OPEN,
    "no order": UNORDERED,
    "tuples and mappings": HEARD,
    "keywords of forms": TRAINED,
    "objects as defaults": OBJECTS,
    "recursion": RECURSIVE,
    "names": NAMED,
    "no category": BARE,
}
