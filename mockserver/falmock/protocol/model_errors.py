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
        status: HTTP status of the result.
        loc: the usual place in the input, as in "body.image_url".
        facts: example values for `ctx`, which the text repeats.
        seconds: how long a runner takes to find the error; None for a whole run.
    """

    msg: str
    status: int = 422
    loc: str = "body"
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None


IMAGE: Final = "body.image_url"
AUDIO: Final = "body.audio_url"
VIDEO: Final = "body.video_url"
ARCHIVE: Final = "body.image_data_url"

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
        "The model did not generate the expected output for this prompt. This may occur for several reasons, "
        "including unsafe content, an image that is too large, or other cases where the input cannot be "
        "processed."
    ),
    "image_too_small": ModelErrorType(
        "Image dimensions are too small. Minimum dimensions required: {min_width}x{min_height} pixels.",
        loc=IMAGE,
        seconds=FILE_REJECTION,
        facts={"min_height": 720, "min_width": 1280},
    ),
    "image_too_large": ModelErrorType(
        "Image too large", loc=IMAGE, seconds=FILE_REJECTION, facts={"max_height": 8192, "max_width": 8192}
    ),
    "image_aspect_ratio_error": ModelErrorType(
        "The aspect ratio of the image should be between {min_aspect_ratio} and {max_aspect_ratio}.",
        loc=IMAGE,
        seconds=FILE_REJECTION,
        facts={"min_aspect_ratio": 0.4, "max_aspect_ratio": 2.5},
    ),
    "image_load_error": ModelErrorType(
        "Failed to load the image. "
        "Please ensure the image file is not corrupted and is in a supported format.",
        loc=IMAGE,
        seconds=FILE_REJECTION,
    ),
    "file_download_error": ModelErrorType(
        "Failed to download the file. Please check if the URL is accessible and try again.",
        loc=IMAGE,
        seconds=FILE_REJECTION,
    ),
    "face_detection_error": ModelErrorType("Could not detect face in the image", loc=IMAGE),
    "file_too_large": ModelErrorType(
        "File size exceeds the maximum allowed size of {max_size} bytes. Please upload a smaller file.",
        loc=IMAGE,
        seconds=FILE_REJECTION,
        facts={"max_size": 8_388_608},
    ),
    "greater_than": ModelErrorType(
        "Input should be greater than {gt}", loc="body.seed", seconds=REJECTION, facts={"gt": 0}
    ),
    "greater_than_equal": ModelErrorType(
        "Input should be greater than or equal to {ge}", loc="body.seed", seconds=REJECTION, facts={"ge": 0}
    ),
    "less_than": ModelErrorType(
        "Input should be less than {lt}", loc="body.seed", seconds=REJECTION, facts={"lt": 1}
    ),
    "less_than_equal": ModelErrorType(
        "Input should be less than or equal to {le}", loc="body.seed", seconds=REJECTION, facts={"le": 20}
    ),
    "multiple_of": ModelErrorType(
        "Input should be a multiple of {multiple_of}",
        loc="body.width",
        seconds=REJECTION,
        facts={"multiple_of": 8},
    ),
    "sequence_too_short": ModelErrorType(
        "Sequence should have at least {min_length} items",
        loc="body.prompt",
        seconds=REJECTION,
        facts={"min_length": 1},
    ),
    "sequence_too_long": ModelErrorType(
        "Sequence should have at most {max_length} items",
        loc="body.prompt",
        seconds=REJECTION,
        facts={"max_length": 4},
    ),
    "one_of": ModelErrorType(
        "Input should be {expected}",
        loc="body.duration",
        seconds=REJECTION,
        facts={"expected": ["5s", "6s", "7s", "8s"]},
    ),
    "feature_not_supported": ModelErrorType("Feature not supported"),
    "invalid_archive": ModelErrorType(
        "Could not read or process the provided archive. Ensure it's a valid, non-corrupted archive.",
        loc=ARCHIVE,
        seconds=FILE_REJECTION,
        facts={"supported_extensions": [".zip", ".tar.gz"]},
    ),
    "archive_file_count_below_minimum": ModelErrorType(
        "Too few files in the archive. Expected at least {min_count} files with extensions "
        "{supported_extensions}, found {provided_count}. Add more matching files to the archive.",
        loc=ARCHIVE,
        seconds=FILE_REJECTION,
        facts={"min_count": 10, "provided_count": 8, "supported_extensions": [".jpg", ".png"]},
    ),
    "archive_file_count_exceeds_maximum": ModelErrorType(
        "Too many files in the archive. Maximum is {max_count} files with extensions "
        "{supported_extensions}, found {provided_count}. Remove some matching files from the archive.",
        loc=ARCHIVE,
        seconds=FILE_REJECTION,
        facts={"max_count": 100, "provided_count": 150, "supported_extensions": [".jpg", ".png"]},
    ),
    "audio_duration_too_long": ModelErrorType(
        "Audio duration exceeds the maximum allowed. "
        "Maximum is {max_duration} seconds, provided is {provided_duration} seconds.",
        loc=AUDIO,
        seconds=FILE_REJECTION,
        facts={"max_duration": 60, "provided_duration": 90},
    ),
    "audio_duration_too_short": ModelErrorType(
        "Audio duration is too short. "
        "Minimum is {min_duration} seconds, provided is {provided_duration} seconds.",
        loc=AUDIO,
        seconds=FILE_REJECTION,
        facts={"min_duration": 10, "provided_duration": 7.2},
    ),
    "video_duration_too_long": ModelErrorType(
        "Video duration exceeds the maximum allowed. "
        "Maximum is {max_duration} seconds, provided is {provided_duration} seconds.",
        loc=VIDEO,
        seconds=FILE_REJECTION,
        facts={"max_duration": 60, "provided_duration": 90},
    ),
    "video_duration_too_short": ModelErrorType(
        "Video duration is too short. "
        "Minimum is {min_duration} seconds, provided is {provided_duration} seconds.",
        loc=VIDEO,
        seconds=FILE_REJECTION,
        facts={"min_duration": 5, "provided_duration": 2.0},
    ),
    "unsupported_audio_format": ModelErrorType(
        "Unsupported audio format. Supported formats are {supported_formats}.",
        loc=AUDIO,
        seconds=FILE_REJECTION,
        facts={"supported_formats": [".mp3", ".wav", ".ogg"]},
    ),
    "unsupported_image_format": ModelErrorType(
        "Unsupported image format. Supported formats are {supported_formats}.",
        loc=IMAGE,
        seconds=FILE_REJECTION,
        facts={"supported_formats": [".jpg", ".jpeg", ".png", ".webp"]},
    ),
    "unsupported_video_format": ModelErrorType(
        "Unsupported video format. Supported formats are {supported_formats}.",
        loc=VIDEO,
        seconds=FILE_REJECTION,
        facts={"supported_formats": [".mp4", ".mov", ".webm"]},
    ),
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
        msg: replaces the usual text.
        status: replaces the usual one.

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
