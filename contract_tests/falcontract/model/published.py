"""Facts that fal has published: schema and price of `fal-ai/veo2/image-to-video`, and the error types.

Written from the model's page (PROTOCOL.md 16.1) and the documented error types (14). It uses no schema of an
emulator, so that an agreement is evidence.
"""

from __future__ import annotations

import re
from typing import Any, Final

ASPECTS: Final = ("auto", "auto_prefer_portrait", "16:9", "9:16")
DURATIONS: Final = ("5s", "6s", "7s", "8s")
DEFAULT_DURATION: Final = "5s"

USD_BASE: Final = 2.50  # for 5 s; PROTOCOL.md 16.1
USD_SECOND: Final = 0.50
MAX_IMAGE: Final = 8 * 1024 * 1024
FRAME: Final = {"16:9": (1280, 720), "9:16": (720, 1280)}

# Platform errors and their HTTP statuses (PROTOCOL.md 14.3).
PLATFORM_ERRORS: Final = {
    "request_timeout": 504,
    "startup_timeout": 504,
    "runner_scheduling_failure": 503,
    "runner_connection_timeout": 503,
    "runner_disconnected": 503,
    "runner_connection_refused": 503,
    "runner_connection_error": 503,
    "runner_incomplete_response": 502,
    "runner_server_error": 500,
    "client_disconnected": 499,
    "client_cancelled": 499,
    "bad_request": 400,
    "internal_error": 500,
}
# Seconds that a runner takes to reject an input, as recorded (PROTOCOL.md 4.2): by its schema, or because a
# file could not be read.
REJECTION_SECONDS: Final = (0.05, 0.1)
DOWNLOAD_SECONDS: Final = (0.5, 1.5)
# The errors of models (PROTOCOL.md 14.2): HTTP status, the recorded text or its start ("" if none was), and
# the members of `ctx` with their JSON types.
NUMBER: Final = (int, float)
MODEL_ERRORS: Final[dict[str, tuple[int, str, dict[str, Any]]]] = {
    "internal_server_error": (500, "Internal server error", {}),
    "generation_timeout": (504, "Generation timeout", {}),
    "downstream_service_unavailable": (500, "Downstream service unavailable", {}),
    "content_policy_violation": (
        422,
        "The content could not be processed because it contained material flagged by a content checker.",
        {},
    ),
    "no_media_generated": (422, "The model did not generate the expected output for this prompt.", {}),
    "image_too_small": (422, "Image dimensions are too small.", {"min_height": int, "min_width": int}),
    "image_too_large": (422, "Image too large", {"max_height": int, "max_width": int}),
    "image_aspect_ratio_error": (
        422,
        "The aspect ratio of the image should be between ",
        {"min_aspect_ratio": NUMBER, "max_aspect_ratio": NUMBER},
    ),
    "image_load_error": (422, "Failed to load the image.", {}),
    "file_download_error": (422, "Failed to download the file.", {}),
    "face_detection_error": (422, "Could not detect face in the image", {}),
    "file_too_large": (422, "File size exceeds the maximum allowed size of ", {"max_size": int}),
    "greater_than": (422, "Input should be greater than ", {"gt": NUMBER}),
    "less_than_equal": (422, "Input should be less than or equal to ", {"le": NUMBER}),
    "multiple_of": (422, "Input should be a multiple of ", {"multiple_of": NUMBER}),
    "sequence_too_long": (422, "", {"max_length": int}),
    "one_of": (422, "Input should be '5s', '6s', '7s' or '8s'", {"expected": list}),
    "feature_not_supported": (422, "", {}),
    "invalid_archive": (422, "", {"supported_extensions": list}),
    "archive_file_count_exceeds_maximum": (
        422,
        "",
        {"max_count": int, "provided_count": int, "supported_extensions": list},
    ),
    "audio_duration_too_short": (
        422,
        "Audio duration is too short. Minimum is ",
        {"min_duration": NUMBER, "provided_duration": NUMBER},
    ),
    "video_duration_too_long": (422, "", {"max_duration": NUMBER, "provided_duration": NUMBER}),
    "unsupported_image_format": (422, "", {"supported_formats": list}),
}
DEFAULTS: Final = {"aspect_ratio": "auto", "duration": DEFAULT_DURATION}
# Failures of the platform that fal runs again, up to ten times, and those that it does not (PROTOCOL.md 4.8).
RERUN: Final = (
    *("runner_scheduling_failure", "runner_connection_timeout", "runner_disconnected", "request_timeout"),
    *("runner_connection_refused", "runner_connection_error", "startup_timeout"),
)
NOT_RERUN: Final = ("runner_incomplete_response", "runner_server_error", "internal_error")
UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def seconds_of(given: Any) -> int:
    return int(str(given.get("duration", DEFAULT_DURATION)).removesuffix("s"))


def price(given: Any) -> float:
    """Return the price of an input in US dollars; an invalid duration counts as the longest."""
    duration = given.get("duration", DEFAULT_DURATION) if isinstance(given, dict) else DURATIONS[-1]
    seconds = seconds_of({"duration": duration if duration in DURATIONS else DURATIONS[-1]})
    return USD_BASE + USD_SECOND * (seconds - 5)
