"""Errors of models: the `detail` entries with which a request's result says why the model failed.

Texts are those of the live service or fal's toolkit where known (PROTOCOL.md 14.2), otherwise those of fal's
error page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from falmock.protocol.outcomes import FILE_REJECTION, REJECTION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from falmock.protocol.errors import Json

ERROR_DOCS: Final = "https://docs.fal.ai/errors#"


@dataclass(frozen=True, slots=True)
class ModelErrorType:
    """One of fal's error types.

    Attributes:
        msg: the text, a format string over the facts.
        loc: the usual place in the input, as in "body.image_url".
        facts: example values for `ctx`, which the text repeats.
        seconds: how long a runner takes to find the error; None for a whole run.
    """

    msg: str
    status: int = 422
    loc: str = "body"
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None


def _of_field(msg: str, place: str, **facts: Any) -> ModelErrorType:
    """Return the error of a field that does not match its schema."""
    return ModelErrorType(msg, loc=f"body.{place}", facts=facts, seconds=REJECTION)


def _of_file(msg: str, place: str, **facts: Any) -> ModelErrorType:
    """Return the error of an input file."""
    return ModelErrorType(msg, loc=f"body.{place}", facts=facts, seconds=FILE_REJECTION)


def _of_duration(kind: str, **facts: float) -> dict[str, ModelErrorType]:
    name, given = kind.capitalize(), "seconds, provided is {provided_duration} seconds."
    too_long = f"{name} duration exceeds the maximum allowed. Maximum is {{max_duration}} {given}"
    too_short = f"{name} duration is too short. Minimum is {{min_duration}} {given}"
    return {
        f"{kind}_duration_too_long": _of_file(too_long, f"{kind}_url", max_duration=60, provided_duration=90),
        f"{kind}_duration_too_short": _of_file(too_short, f"{kind}_url", **facts),
    }


def _of_format(kind: str, supported: list[str]) -> dict[str, ModelErrorType]:
    msg = f"Unsupported {kind} format. Supported formats are {{supported_formats}}."
    return {f"unsupported_{kind}_format": _of_file(msg, f"{kind}_url", supported_formats=supported)}


IMAGE: Final = "image_url"
ARCHIVE: Final = "image_data_url"

MODEL_ERRORS: Final[dict[str, ModelErrorType]] = {
    "internal_server_error": ModelErrorType("Internal server error", 500),
    "generation_timeout": ModelErrorType("Generation timeout", 504),
    "downstream_service_error": ModelErrorType("Downstream service error", 400),
    "downstream_service_unavailable": ModelErrorType("Downstream service unavailable", 500),
    "content_policy_violation": ModelErrorType(
        "The content could not be processed because it contained material flagged by a content checker.",
        loc="body.prompt",
    ),
    "no_media_generated": ModelErrorType(
        "The model did not generate the expected output for this prompt. This may occur for several "
        "reasons, including unsafe content, an image that is too large, or other cases where the "
        "input cannot be processed."
    ),
    "image_too_small": _of_file(
        "Image dimensions are too small. Minimum dimensions required: {min_width}x{min_height} pixels.",
        IMAGE,
        min_height=720,
        min_width=1280,
    ),
    "image_too_large": _of_file("Image too large", IMAGE, max_height=8192, max_width=8192),
    "image_aspect_ratio_error": _of_file(
        "The aspect ratio of the image should be between {min_aspect_ratio} and {max_aspect_ratio}.",
        IMAGE,
        min_aspect_ratio=0.4,
        max_aspect_ratio=2.5,
    ),
    "image_load_error": _of_file(
        "Failed to load the image. Please ensure the image file is not corrupted and is in a "
        "supported format.",
        IMAGE,
    ),
    "file_download_error": _of_file(
        "Failed to download the file. Please check if the URL is accessible and try again.", IMAGE
    ),
    "face_detection_error": ModelErrorType("Could not detect face in the image", loc="body.image_url"),
    "file_too_large": _of_file(
        "File size exceeds the maximum allowed size of {max_size} bytes. Please upload a smaller file.",
        IMAGE,
        max_size=8_388_608,
    ),
    "greater_than": _of_field("Input should be greater than {gt}", "seed", gt=0),
    "greater_than_equal": _of_field("Input should be greater than or equal to {ge}", "seed", ge=0),
    "less_than": _of_field("Input should be less than {lt}", "seed", lt=1),
    "less_than_equal": _of_field("Input should be less than or equal to {le}", "seed", le=20),
    "multiple_of": _of_field("Input should be a multiple of {multiple_of}", "width", multiple_of=8),
    "sequence_too_short": _of_field(
        "Sequence should have at least {min_length} items", "prompt", min_length=1
    ),
    "sequence_too_long": _of_field("Sequence should have at most {max_length} items", "prompt", max_length=4),
    "one_of": _of_field("Input should be {expected}", "duration", expected=["5s", "6s", "7s", "8s"]),
    "feature_not_supported": ModelErrorType("Feature not supported"),
    "invalid_archive": _of_file(
        "Could not read or process the provided archive. Ensure it's a valid, non-corrupted archive.",
        ARCHIVE,
        supported_extensions=[".zip", ".tar.gz"],
    ),
    "archive_file_count_below_minimum": _of_file(
        "Too few files in the archive. Expected at least {min_count} files with extensions "
        "{supported_extensions}, found {provided_count}. Add more matching files to the archive.",
        ARCHIVE,
        min_count=10,
        provided_count=8,
        supported_extensions=[".jpg", ".png"],
    ),
    "archive_file_count_exceeds_maximum": _of_file(
        "Too many files in the archive. Maximum is {max_count} files with extensions "
        "{supported_extensions}, found {provided_count}. Remove some matching files from the archive.",
        ARCHIVE,
        max_count=100,
        provided_count=150,
        supported_extensions=[".jpg", ".png"],
    ),
    **_of_duration("audio", min_duration=10, provided_duration=7.2),
    **_of_duration("video", min_duration=5, provided_duration=2.0),
    **_of_format("audio", [".mp3", ".wav", ".ogg"]),
    **_of_format("image", [".jpg", ".jpeg", ".png", ".webp"]),
    **_of_format("video", [".mp4", ".mov", ".webm"]),
    # Not in the documentation, but live (PROTOCOL.md 14.2)
    "invalid_request": ModelErrorType(
        "Could not generate images with the given prompts and images. Please try again with different inputs."
    ),
    "invalid_parameter": ModelErrorType("Image resolution only support [128, 5000]", seconds=FILE_REJECTION),
    "input_value_error": ModelErrorType("No recognizable elements were found in the image."),
}


class ModelError(Exception):
    """A model ran and failed; the request's result is `{"detail": [{...}]}`.

    Args:
        error_type: a name in `MODEL_ERRORS`, or another one with `msg` and `status`.
        loc: the place in the input, as in `("body", "image_url")`.
        value: the offending input, which fal echoes; omitted if None.
        ctx: machine-readable facts, as in `{"max_size": 8388608}`; omitted if empty.

    Attributes:
        seconds: how long a runner takes to find the error; None for a whole run.
    """

    def __init__(
        self,
        error_type: str,
        loc: tuple[str | int, ...],
        value: object = None,
        ctx: Json | None = None,
        msg: str | None = None,
        *,
        status: int | None = None,
    ) -> None:
        kind = MODEL_ERRORS.get(error_type) or ModelErrorType("")
        self.status = status or kind.status
        self.seconds = kind.seconds
        self.error_type = error_type
        facts = {name: _in_words(name, fact) for name, fact in (ctx or {}).items()}
        entry: Json = {
            "loc": list(loc),
            "msg": msg or kind.msg.format(**facts),
            "type": error_type,
            "url": ERROR_DOCS + error_type,
        }
        if ctx:
            entry["ctx"] = ctx
        if value is not None:
            entry["input"] = value
        self.body: Json = {"detail": [entry]}
        super().__init__(entry["msg"])


def _in_words(name: str, fact: object) -> str:
    """Return a fact as texts have it: `'a' or 'b'` for a choice, `.jpg, .png` for other lists."""
    if not isinstance(fact, list):
        return str(fact)
    if name == "expected":
        *others, last = map(repr, fact)
        return f"{', '.join(others)} or {last}" if others else last
    return ", ".join(map(str, fact))
