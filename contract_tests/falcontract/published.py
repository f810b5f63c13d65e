"""What fal has published about `fal-ai/veo2/image-to-video`, and what its validators make of an input.

Written from the model's page (PROTOCOL.md 16.1) and from the documented error types (14.1); no emulator's
schema is used, so that agreement means something.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

Fault = tuple[str, tuple[str, ...]]  # type and loc, as the `detail` list has them

ASPECTS: Final = ("auto", "auto_prefer_portrait", "16:9", "9:16")
DURATIONS: Final = ("5s", "6s", "7s", "8s")
REQUIRED: Final = ("prompt", "image_url")
ENUMS: Final = {"aspect_ratio": ASPECTS, "duration": DURATIONS}
DEFAULTS: Final = {"aspect_ratio": "auto", "duration": "5s"}
FIELDS: Final = (*REQUIRED, *ENUMS)

USD_BASE: Final = 2.50  # 5 s; NEEDS.md section 3
USD_SECOND: Final = 0.50
MAX_IMAGE: Final = 8 * 1024 * 1024
FRAME: Final = {"16:9": (1280, 720), "9:16": (720, 1280)}

# Request-level errors: which HTTP status goes with which type (PROTOCOL.md 14.3).
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
UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def faults(given: Any) -> frozenset[Fault]:
    """Return what the model's schema finds wrong with an input; nothing for a good one."""
    if not isinstance(given, dict):
        return frozenset({("model_attributes_type", ("body",))})
    found: set[Fault] = {("missing", ("body", name)) for name in REQUIRED if name not in given}
    for name in REQUIRED:
        if name in given and not isinstance(given[name], str):
            found.add(("string_type", ("body", name)))
    for name, allowed in ENUMS.items():
        if name in given and given[name] not in allowed:
            found.add(("literal_error", ("body", name)))
    return frozenset(found)


def body_errors(body: bytes, content_type: str | None) -> frozenset[Fault] | None:
    """Return the same for raw bytes, as FastAPI would; None where it gives up without a list."""
    kind = (content_type or "application/json").partition(";")[0].strip().lower()
    if not (kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))):
        return faults(None) if body else frozenset({("missing", ("body",))})
    try:
        told = json.loads(body) if body else None
    except json.JSONDecodeError as error:
        return frozenset({("json_invalid", ("body", str(error.pos)))})
    except (ValueError, RecursionError):
        return None
    return frozenset({("missing", ("body",))}) if told is None else faults(told)


def reported_errors(detail: Any) -> frozenset[Fault] | None:
    """Return the (type, loc) pairs of a `detail` list; None when it is no such list."""
    if not isinstance(detail, list) or not detail:
        return None
    if not all(isinstance(entry, dict) and {"loc", "msg", "type"} <= entry.keys() for entry in detail):
        return None
    return frozenset((str(entry["type"]), tuple(map(str, entry["loc"]))) for entry in detail)


def seconds_of(given: Any) -> int:
    """Return how long the video of a good input is."""
    return int(str(given.get("duration", DEFAULTS["duration"])).removesuffix("s"))


def price(given: Any) -> float:
    """Return what an input would cost in US dollars if it were taken; what is broken in it as the dearest."""
    told = given.get("duration", DEFAULTS["duration"]) if isinstance(given, dict) else DURATIONS[-1]
    seconds = seconds_of({"duration": told if told in DURATIONS else DURATIONS[-1]})
    return USD_BASE + USD_SECOND * (seconds - 5)
