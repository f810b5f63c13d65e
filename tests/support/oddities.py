"""Inputs of models as authors write them for fal's runners, one for each oddity of fal's documents.

Each has a sample that is valid and has a value for every field.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class ImageSize(BaseModel):
    width: int = Field(default=512, gt=0, le=14142)
    height: int = Field(default=512, gt=0, le=14142)


Preset = Literal["square_hd", "square", "portrait_4_3", "landscape_4_3"]


class BaseInput(BaseModel):
    """An object or a preset, and whole numbers that may be null."""

    prompt: str = Field(description="What to draw.")
    image_size: ImageSize | Preset | None = Field(default="landscape_4_3")
    num_inference_steps: int = Field(default=28, ge=1, le=50)
    seed: int | None = None
    guidance_scale: float = Field(default=3.5, ge=1, le=20)
    sync_mode: bool = False


class SeedreamInput(BaseModel):
    """An object as the default of a union."""

    image_size: ImageSize | Literal["auto_2K", "auto_4K"] = Field(default=ImageSize(width=2048, height=2048))
    sizes: list[ImageSize] = Field(default=[ImageSize(width=1), ImageSize()])
    largest: ImageSize = Field(default=ImageSize(width=9, height=9))


class Aspects(BaseModel):
    zoom: float = Field(default=1, gt=0)
    prompt: str
    aspect_ratio: Literal["16:9", "9:16"] = "16:9"


class ZebraInput(Aspects):
    """A subclass: its own fields come last, and a changed one keeps its place."""

    prompt: str = Field(min_length=3, max_length=12)
    area: int
    aspect_ratio: Literal["auto", "16:9"] = "auto"  # type: ignore[assignment]


class ChoiceInput(BaseModel):
    """Enumerations: of one value, of numbers, with null, of several types, and in lists."""

    shot_type: Literal["customize"] = "customize"
    sampler: Literal["euler"] | None = None
    resolution: Literal[512, 1024] = 512
    keep: Literal[True] = True
    mixed: Literal["auto", 5, None] = "auto"  # noqa: PYI061 - one enumeration, as authors write it
    ratio: Literal["auto", "1:1"] | None = "1:1"
    tags: list[Literal["a, or b", "it's"]] = []
    exact: Literal["only"]


class BoundsInput(BaseModel):
    """Bounds beside null, of every kind."""

    steps: int | None = Field(default=None, ge=2, le=40)
    strength: float | None = Field(default=None, gt=0, lt=1)
    grain: float | None = Field(default=None, ge=0, le=0.5, multiple_of=0.25)
    frames: int = Field(default=81, multiple_of=4, gt=16, lt=200)
    note: str | None = Field(default=None, max_length=4)
    fps: Annotated[int, Field(ge=4, le=60)] | Literal["auto"] = "auto"
    count: int | None = Field(ge=1)


class LoraWeight(BaseModel):
    path: str
    scale: float = Field(default=1, ge=0, le=4)
    weight_name: str | None = None


class ListInput(BaseModel):
    """Lists of texts, of objects and of lists, with lengths."""

    image_urls: list[str] = Field(min_length=1, max_length=2)
    loras: list[LoraWeight] = Field(default=[])
    boxes: list[list[int]] = Field(default=[[0, 0]])
    names: list[str] | None = Field(default=None, max_length=2)
    anything: list[Any] = []
    texts: list[Annotated[str, Field(min_length=2)]] = []


class Chunk(BaseModel):
    timestamp: tuple[float, float | None]
    text: str


class TupleInput(BaseModel):
    """Lists of a fixed length."""

    chunks: list[Chunk]
    point: tuple[int, int] = (0, 0)
    span: tuple[float, str] | None = None


class MappingInput(BaseModel):
    """Objects without a class."""

    timings: dict[str, float]
    loras: dict[str, LoraWeight] = {}
    options: dict[str, Any] = {}
    labels: dict[str, list[str]] | None = None
    limits: dict[str, Annotated[int, Field(ge=1)]] = {"a": 1}


class Layer(BaseModel):
    name: str = Field(max_length=3)
    layers: list[Layer] = []
    mask: Mask | None = None


class Mask(BaseModel):
    of: Layer | None = None
    strength: float = Field(default=1, le=1)


class TreeInput(BaseModel):
    """Objects in themselves."""

    root: Layer
    mask: Mask | None = None


class NameInput(BaseModel):
    """Names that pydantic has a use for."""

    model_config = ConfigDict(protected_namespaces=())

    hidden: int = Field(default=0, alias="_hidden")
    schema_text: str = Field(default="", alias="schema")
    json_text: str = Field(default="", alias="json")
    copies: int = Field(default=1, alias="copy", ge=1)
    model_image: str
    fields: list[int] = Field(default=[], alias="model_fields")
    field_hidden: int = Field(default=0, alias="field__hidden")
    top_p: float = Field(default=0.5, alias="top-p", le=1)


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class ImagePart(BaseModel):
    type: Literal["image", "photo"] = "image"
    image_url: str
    size: ImageSize | None = None


class UnionInput(BaseModel):
    """Unions, with a discriminator and without."""

    part: Annotated[TextPart | ImagePart, Field(discriminator="type")]
    parts: list[TextPart | ImagePart] = []
    duration: int | float | str | None = None
    scale: Annotated[float, Field(ge=1)] | bool = 1.0
    colour: list[int] | str = "red"
    loras: list[LoraWeight] | LoraWeight | None = None


class Old:
    class Voice(BaseModel):
        voice_id: str = Field(pattern="^[a-z]+$")


class New:
    class Voice(BaseModel):
        model_config = ConfigDict(extra="forbid")

        voice_id: str = Field(pattern=r"^\d{2}$")
        speed: float | None = Field(default=None, ge=0.5)


class SpeechInput(BaseModel):
    """Two classes of one name, patterns, and an object that takes no other fields."""

    text: str = Field(min_length=1, max_length=20)
    voice: Old.Voice | New.Voice
    old: Old.Voice | None = None
    new: New.Voice | None = None
    seed_text: str | None = Field(default=None, pattern="^s")


class Oddity(NamedTuple):
    model: type[BaseModel]
    sample: dict[str, Any]


ODDITIES = [
    Oddity(
        BaseInput,
        {
            "prompt": "a cat",
            "image_size": {"width": 640, "height": 480},
            "num_inference_steps": 4,
            "seed": 5,
            "guidance_scale": 2,
            "sync_mode": True,
        },
    ),
    Oddity(
        SeedreamInput,
        {"image_size": {"width": 1}, "sizes": [{"height": 3}], "largest": {"width": 5, "height": 5}},
    ),
    Oddity(ZebraInput, {"zoom": 2, "prompt": "zebras", "aspect_ratio": "auto", "area": 3}),
    Oddity(
        ChoiceInput,
        {
            "shot_type": "customize",
            "sampler": "euler",
            "resolution": 1024,
            "keep": True,
            "mixed": 5,
            "ratio": None,
            "tags": ["it's"],
            "exact": "only",
        },
    ),
    Oddity(
        BoundsInput,
        {"steps": 2, "strength": 0.5, "grain": 0.25, "frames": 20, "note": "four", "fps": 24, "count": None},
    ),
    Oddity(
        ListInput,
        {
            "image_urls": ["https://example.com/a.png"],
            "loras": [{"path": "a", "scale": 2}],
            "boxes": [[1, 2]],
            "names": ["a"],
            "anything": [1, {}],
            "texts": ["ab"],
        },
    ),
    Oddity(
        TupleInput,
        {"chunks": [{"timestamp": [0, None], "text": "a"}], "point": [1, 2], "span": [0.5, "b"]},
    ),
    Oddity(
        MappingInput,
        {
            "timings": {"inference": 0.5},
            "loras": {"a": {"path": "b"}},
            "options": {"a": []},
            "labels": {"a": ["b"]},
            "limits": {"a": 2},
        },
    ),
    Oddity(
        TreeInput,
        {
            "root": {"name": "a", "layers": [{"name": "b", "layers": []}], "mask": {"of": {"name": "c"}}},
            "mask": {"of": {"name": "d"}, "strength": 0.5},
        },
    ),
    Oddity(
        NameInput,
        {
            "_hidden": 1,
            "schema": "a",
            "json": "b",
            "copy": 2,
            "model_image": "c",
            "model_fields": [1],
            "field__hidden": 3,
            "top-p": 0.25,
        },
    ),
    Oddity(
        UnionInput,
        {
            "part": {"type": "image", "image_url": "a", "size": {"width": 1}},
            "parts": [{"type": "text", "text": "a"}, {"type": "photo", "image_url": "b"}],
            "duration": 5,
            "scale": 2.0,
            "colour": [1],
            "loras": [{"path": "a"}],
        },
    ),
    Oddity(
        SpeechInput,
        {
            "text": "Hello",
            "voice": {"voice_id": "12", "speed": 1},
            "old": {"voice_id": "anna"},
            "new": {"voice_id": "34"},
            "seed_text": "s1",
        },
    ),
]
