"""Facts about the models that the suite calls, written by hand (PROTOCOL.md 16.3), and their billing.

It uses no schema of an emulator, so that an agreement is evidence. `fal-ai/veo2/image-to-video` is here with
the facts of `published`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from falcontract.model import published
from falcontract.steps import IMAGE_URL, VALID_INPUT, VEO2, Json

FLUX: Final = "fal-ai/flux/dev"
SCHNELL: Final = "fal-ai/flux/schnell"
BANANA: Final = "fal-ai/nano-banana/edit"
KLING_25: Final = "fal-ai/kling-video/v2.5-turbo/pro/image-to-video"
KLING_26: Final = "fal-ai/kling-video/v2.6/pro/image-to-video"
KOKORO: Final = "fal-ai/kokoro/american-english"
WHISPER: Final = "fal-ai/whisper"
BIREFNET: Final = "fal-ai/birefnet/v2"
TRELLIS: Final = "fal-ai/trellis"

SIZES: Final = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
DEFAULT_SIZE: Final = "landscape_4_3"  # of the flux models
SIDE: Final = 14142  # longest side of a size
MEGAPIXEL: Final = 1_000_000
FILE: Final = ("url", "content_type", "file_name", "file_size")
IMAGE: Final = ("url", "width", "height", "content_type")
IMAGE_FILE: Final = (*FILE, "width", "height")


class Error(NamedTuple):
    """An entry of a `detail` list."""

    type: str
    loc: tuple[str | int, ...]
    msg: str = ""  # "" for one that is not known
    ctx: Json | None = None


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of an input. One that is neither required nor has a default takes null."""

    kind: str = "string"  # "string", "integer", "number", "boolean", "strings", "size"
    required: bool = False
    default: Any = None
    null: bool = False  # it takes null although it has a default
    choices: tuple[str, ...] | tuple[int, ...] = ()
    least: float | None = None
    most: float | None = None
    shortest: int | None = None
    longest: int | None = None

    @property
    def takes_null(self) -> bool:
        return self.null or not (self.required or self.default is not None)


@dataclass(frozen=True, kw_only=True)
class Model:
    endpoint: str
    short: str  # in the names of programs
    fields: dict[str, Field]  # in the order of the class
    output: tuple[str, ...]  # its members, in order
    file: tuple[str, ...] = FILE  # members of a file in the output, in order
    optional: tuple[str, ...] = ()  # members of the output that may be missing or null
    valid: Json  # a small input
    usd: float | None = None  # for a unit; None if no price is known
    unit: str = ""
    worst_usd: float  # of the dearest input in a program of the suite; a guess where no price is known
    medium: str
    smallest: Json = field(default_factory=dict)  # least width and height of input images, by the field

    @property
    def is_counted(self) -> bool:
        """Whether the billed units follow from the input: the price is known, and not by the run's time."""
        return self.usd is not None and self.unit != "compute seconds"


def _flux(steps: int, most: int) -> dict[str, Field]:
    return {
        "num_inference_steps": Field(kind="integer", default=steps, least=1, most=most),
        "seed": Field(kind="integer"),
        "guidance_scale": Field(kind="number", default=3.5, least=1, most=20),
        "sync_mode": Field(kind="boolean", default=False),
        "num_images": Field(kind="integer", default=1, least=1, most=4),
        "enable_safety_checker": Field(kind="boolean", default=True),
        "output_format": Field(choices=("jpeg", "png"), default="jpeg"),
        "acceleration": Field(choices=("none", "regular", "high"), default="none"),
    }


def _ordered(fields: dict[str, Field], *names: str) -> dict[str, Field]:
    """Return fields with the named ones first."""
    return {name: fields[name] for name in dict.fromkeys([*names, *fields])}


# The input that programs send, and the output that properties expect.
SPOKEN_SECONDS: Final = 3
SHOWN: Final = (320, 568)  # width and height of the first frame of a video, upright
CUT: Final = (32, 18)  # of an image that is cut out
TINY: Final = {"width": 64, "height": 48}
_PROMPT: Final = {"prompt": Field(required=True)}
_SIZE: Final = {"image_size": Field(kind="size", default=DEFAULT_SIZE)}
_KLING: Final = {
    "prompt": Field(required=True, longest=2500),
    "duration": Field(choices=("5", "10"), default="5"),
    "negative_prompt": Field(default="blur, distort, and low quality", longest=2500),
}
_IMAGES_OF_FLUX: Final = ("images", "timings", "seed", "has_nsfw_concepts", "prompt")
VOICES: Final = (
    *("af_heart", "af_alloy", "af_aoede", "af_bella", "af_jessica", "af_kore", "af_nicole", "af_nova"),
    *("af_river", "af_sarah", "af_sky", "am_adam", "am_echo", "am_eric", "am_fenrir", "am_liam"),
    *("am_michael", "am_onyx", "am_puck", "am_santa"),
)
_CODES: Final = (
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr",
    "ht hu hy id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc",
    "pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo zh",
)
LANGUAGES: Final = tuple(code for line in _CODES for code in line.split())
RATIOS: Final = ("auto", "21:9", "16:9", "3:2", "4:3", "5:4", "1:1", "4:5", "3:4", "2:3", "9:16")
CUTTERS: Final = (
    *("General Use (Light)", "General Use (Light 2K)", "General Use (Heavy)", "Matting", "Portrait"),
    "General Use (Dynamic)",
)

ALL: Final = (
    Model(
        endpoint=VEO2,
        short="veo2",
        medium="video",
        fields={
            "prompt": Field(required=True),
            "image_url": Field(required=True),
            "aspect_ratio": Field(choices=published.ASPECTS, default="auto"),
            "duration": Field(choices=published.DURATIONS, default=published.DEFAULT_DURATION),
        },
        output=("video",),
        valid=VALID_INPUT,
        usd=published.USD_SECOND,
        unit="seconds",
        worst_usd=4.0,
    ),
    Model(
        endpoint=FLUX,
        short="flux-dev",
        medium="image",
        fields=_ordered(
            _PROMPT | _SIZE | _flux(28, 50), "prompt", "image_size", "num_inference_steps", "seed"
        ),
        output=_IMAGES_OF_FLUX,
        file=IMAGE,
        valid={"prompt": "a lighthouse", "image_size": TINY},
        usd=0.025,
        unit="megapixels",
        worst_usd=0.1,
    ),
    Model(
        endpoint=SCHNELL,
        short="flux-schnell",
        medium="image",
        fields=_ordered(
            _PROMPT | _SIZE | _flux(4, 12), "num_inference_steps", "prompt", "image_size", "seed"
        ),
        output=_IMAGES_OF_FLUX,
        file=IMAGE,
        valid={"prompt": "a lighthouse", "image_size": TINY},
        usd=0.003,
        unit="megapixels",
        worst_usd=0.012,
    ),
    Model(
        endpoint=BANANA,
        short="nano-banana",
        medium="image",
        fields={
            "prompt": Field(required=True, shortest=3, longest=50_000),
            "num_images": Field(kind="integer", default=1, least=1, most=4),
            "seed": Field(kind="integer"),
            "aspect_ratio": Field(choices=RATIOS, default="auto", null=True),
            "output_format": Field(choices=("jpeg", "png", "webp"), default="png"),
            "safety_tolerance": Field(choices=("1", "2", "3", "4", "5", "6"), default="4"),
            "sync_mode": Field(kind="boolean", default=False),
            "image_urls": Field(kind="strings", required=True),
            "limit_generations": Field(kind="boolean", default=False),
        },
        output=("images", "description"),
        file=IMAGE_FILE,
        valid={"prompt": "add a hat", "image_urls": [IMAGE_URL]},
        usd=0.0398,
        unit="images",
        worst_usd=0.16,
    ),
    Model(
        endpoint=KLING_25,
        short="kling-2.5",
        medium="video",
        fields=_ordered(
            _KLING
            | {
                "image_url": Field(required=True),
                "cfg_scale": Field(kind="number", default=0.5, least=0, most=1),
                "tail_image_url": Field(),
            },
            *("prompt", "image_url"),
        ),
        output=("video",),
        valid=VALID_INPUT,
        worst_usd=1.0,
    ),
    Model(
        endpoint=KLING_26,
        short="kling-2.6",
        medium="video",
        fields=_ordered(
            _KLING
            | {
                "start_image_url": Field(required=True),
                "generate_audio": Field(kind="boolean", default=True),
                "voice_ids": Field(kind="strings"),
                "end_image_url": Field(),
            },
            *("prompt", "start_image_url"),
        ),
        output=("video",),
        valid={"prompt": "A lego chef", "start_image_url": IMAGE_URL, "generate_audio": False},
        smallest={"start_image_url": 300, "end_image_url": 300},
        usd=0.07,
        unit="seconds",
        worst_usd=1.4,
    ),
    Model(
        endpoint=KOKORO,
        short="kokoro",
        medium="audio",
        fields={
            "prompt": Field(default=""),
            "voice": Field(choices=VOICES, default="af_heart"),
            "speed": Field(kind="number", default=1, least=0.1, most=5),
        },
        output=("audio",),
        valid={"prompt": "Good morning to all who listen."},
        usd=0.02,
        unit="1000 characters",
        worst_usd=0.01,
    ),
    Model(
        endpoint=WHISPER,
        short="whisper",
        medium="text",
        fields={
            "audio_url": Field(required=True),
            "batch_size": Field(kind="integer", default=64),
            "chunk_level": Field(choices=("none", "segment", "word"), default="segment"),
            "diarize": Field(kind="boolean", default=False),
            "language": Field(choices=LANGUAGES),
            "num_speakers": Field(kind="integer"),
            "prompt": Field(default=""),
            "task": Field(choices=("transcribe", "translate"), default="transcribe"),
        },
        output=("chunks", "diarization_segments", "inferred_languages", "text"),
        file=(),
        valid={"audio_url": "https://example.com/talk.wav"},
        usd=0.0008,
        unit="compute seconds",
        worst_usd=0.05,
    ),
    Model(
        endpoint=BIREFNET,
        short="birefnet",
        medium="image",
        fields={
            "image_url": Field(required=True),
            "mask_only": Field(kind="boolean", default=False),
            "model": Field(choices=CUTTERS, default="General Use (Light)"),
            "operating_resolution": Field(
                choices=("1024x1024", "2048x2048", "2304x2304"), default="1024x1024"
            ),
            "output_format": Field(choices=("webp", "png", "gif"), default="png"),
            "output_mask": Field(kind="boolean", default=False),
            "refine_foreground": Field(kind="boolean", default=True),
            "sync_mode": Field(kind="boolean", default=False),
        },
        output=("image", "mask_image"),
        optional=("mask_image",),
        file=IMAGE_FILE,
        valid={"image_url": IMAGE_URL},
        usd=0.0008,
        unit="compute seconds",
        worst_usd=0.05,
    ),
    Model(
        endpoint=TRELLIS,
        short="trellis",
        medium="mesh",
        fields={
            "image_url": Field(required=True),
            "seed": Field(kind="integer"),
            "ss_guidance_strength": Field(kind="number", default=7.5, least=0, most=10),
            "ss_sampling_steps": Field(kind="integer", default=12, least=1, most=50),
            "slat_guidance_strength": Field(kind="number", default=3, least=0, most=10),
            "slat_sampling_steps": Field(kind="integer", default=12, least=1, most=50),
            "mesh_simplify": Field(kind="number", default=0.95, least=0.9, most=0.98),
            "texture_size": Field(kind="integer", choices=(512, 1024, 2048), default=1024),
        },
        output=("model_mesh", "timings"),
        valid={"image_url": IMAGE_URL},
        usd=0.02,
        unit="generations",
        worst_usd=0.02,
    ),
)
MODELS: Final = {model.endpoint: model for model in ALL}
EVERY: Final = tuple(MODELS)


def units(model: Model, given: Json) -> float | None:
    """Return the units that fal bills for a valid input; None if they do not follow from it."""
    count = given.get("num_images") or 1
    width, height = size(given)
    sound = 2 if given.get("generate_audio", True) else 1  # with sound twice the price (PROTOCOL.md 16.3)
    counts: dict[str, Any] = {
        "megapixels": lambda: count * math.ceil(width * height / MEGAPIXEL),
        "images": lambda: count,
        "generations": lambda: 1,
        "1000 characters": lambda: len(given["prompt"]) / 1000,
        "seconds": lambda: float(given.get("duration", "5")) * sound,
    }
    if model.endpoint == VEO2:
        return published.price(given) / published.USD_SECOND
    return float(counts[model.unit]()) if model.unit in counts else None


def size(given: Json) -> tuple[int, int]:
    """Return width and height of the images that an input of a flux model asks for."""
    asked = given.get("image_size") or DEFAULT_SIZE
    return (asked.get("width", 512), asked.get("height", 512)) if isinstance(asked, dict) else SIZES[asked]
