"""Programs with unusual and large inputs."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Final

from falcontract.model.published import MAX_IMAGE
from falcontract.steps import VALID_INPUT, Program, program, result, status, submit, until, wait

BODY_LIMIT: Final = 65536  # bytes, set by "large-body"
PROMPTS: Final = {
    "right-to-left": "\u05e9\u05dc\u05d5\u05dd \u202ereversed\u202c",
    "joined": "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "nul": "a\u0000b",
    "lone surrogate": "\ud83d alone",
    "quotes": '"}],"detail":[{"\\',
    "long": "x" * 100_000,
}


def picture(size: int, width: int = 32, height: int = 18) -> str:
    """Return a data URI of a PNG with at least this many bytes: a picture followed by padding."""
    return "data:image/png;base64," + base64.b64encode(_png(width, height).ljust(size, b"\0")).decode()


def _png(width: int, height: int) -> bytes:
    rows = (b"\0" + b"\xc8\x78\x28" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _body(size: int) -> str:
    empty = json.dumps({"prompt": ""})
    return empty.replace('""', '"' + "x" * (size - len(empty)) + '"')


def programs() -> list[Program]:
    prompts = [
        step
        for n, text in enumerate(PROMPTS.values())
        for step in (submit(f"G{n}", VALID_INPUT | {"prompt": text}), submit(f"E{n}", {"prompt": text}))
    ]
    return [
        program(
            "unicode",
            *prompts,
            wait(60),
            *(read(step.job) for step in prompts for read in (status, result)),
            runners=40,
            concurrency=40,
        ),
        program(
            "unknown-fields",
            submit(given=VALID_INPUT | {"no_such_field": 1, "webhookUrl": "x"}),
            *(until("COMPLETED"), result()),
        ),
        program(
            "large-body",
            submit("A", body=_body(BODY_LIMIT - 1)),
            submit("B", body=_body(BODY_LIMIT)),
            submit("C", body=_body(BODY_LIMIT + 1)),
            submit("D", body=_body(3 * BODY_LIMIT)),
            max_body=BODY_LIMIT,
        ),
        program(
            "large-image",
            submit("A", VALID_INPUT | {"image_url": picture(MAX_IMAGE + 1)}),
            submit("B", VALID_INPUT | {"image_url": picture(MAX_IMAGE)}),
            *(wait(20), status("A"), result("A"), status("B"), result("B")),
        ),
    ]
