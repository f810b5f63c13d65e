"""The programs that the properties name. Each is as short as what it shows allows."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from functools import cache
from typing import Any, Final

from falcontract.published import ASPECTS, DURATIONS, MAX_IMAGE
from falcontract.steps import (
    IMAGE_URL,
    VALID_INPUT,
    Program,
    Step,
    call,
    cancel,
    fetch,
    lock,
    result,
    status,
    stream,
    submit,
    until,
    wait,
)

UNKNOWN_ID: Final = "00000000-0000-4000-8000-000000000000"
ORIGIN: Final = "https://app.example.com"
HOUR: Final = 3600.0
LIMIT: Final = 65536  # bytes of a body, where a program sets the limit
JWKS_PATH: Final = "/.well-known/jwks.json"
APP: Final = "/fal-ai/veo2"

# Texts that break what handles them carelessly.
TEXTS: Final = {
    "right-to-left": "\u05e9\u05dc\u05d5\u05dd \u202ereversed\u202c",
    "joined": "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "nul": "a\u0000b",
    "half a pair": "\ud83d alone",
    "quotes": '"}],"detail":[{"\\',
    "long": "x" * 100_000,
}
MALFORMED_IDS: Final = (
    "1",
    "not-a-uuid",
    "x" * 10_000,
    "..%2f..%2fetc",
    UNKNOWN_ID[:-1],
    UNKNOWN_ID + "0",
    "%00",
    "%F0%9F%98%80",
)
ODD_BODIES: Final = {
    "A": ("{", "application/json"),
    "B": ("", "application/json"),
    "C": ("[1, 2]", "application/json"),
    "D": ("prompt=x", "application/x-www-form-urlencoded"),
    "E": ("null", "application/json"),
    "F": ('"text"', "application/json"),
}
MISSING: Final[dict[str, Any]] = {}


def inputs() -> dict[str, Any]:
    """Return inputs by name: good ones, and ones that are broken in one way each."""
    good = {f"aspect_ratio {value}": VALID_INPUT | {"aspect_ratio": value} for value in ASPECTS}
    good |= {f"duration {value}": VALID_INPUT | {"duration": value} for value in DURATIONS}
    broken: dict[str, Any] = {
        "nothing": {},
        "no prompt": {"image_url": IMAGE_URL},
        "no image_url": {"prompt": "x"},
        "prompt is a number": VALID_INPUT | {"prompt": 7},
        "image_url is null": VALID_INPUT | {"image_url": None},
        "aspect_ratio 1:1": VALID_INPUT | {"aspect_ratio": "1:1"},
        "duration 8 as a number": VALID_INPUT | {"duration": 8},
        "duration 4s": VALID_INPUT | {"duration": "4s"},
        "two faults": {"prompt": 7, "image_url": IMAGE_URL, "duration": "9s"},
    }
    return (
        good
        | broken
        | {"unknown field": VALID_INPUT | {"seed": 7}, "empty prompt": VALID_INPUT | {"prompt": ""}}
    )


def picture(size: int) -> str:
    """Return a data URI of a PNG with so many bytes: a small picture and padding behind it."""
    return "data:image/png;base64," + base64.b64encode(_png(32, 18).ljust(size, b"\0")).decode()


def _png(width: int, height: int) -> bytes:
    rows = (b"\0" + b"\xc8\x78\x28" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@cache
def catalogue() -> dict[str, Program]:
    """Return all programs by name."""
    programs = [
        *_queue(),
        *_failing(),
        *_strangers(),
        *_watching(),
        *_giving_up(),
        *_hooks(),
        *_large(),
        *_video(),
    ]
    return {program.name: program for program in programs}


def _program(name: str, *steps: Step, tier: int = 4, **setup: Any) -> Program:
    return Program(name=name, steps=steps, setup=setup, tier=tier)


def _everyone(jobs: str, step: Any = status, **more: Any) -> list[Step]:
    return [step(job, **more) for job in jobs]


def _queue() -> list[Program]:
    noisy = [status(times=30), wait(0.75), status(), wait(0.5), status(times=30), wait(3.5), status(times=2)]
    return [
        _program(
            "lifecycle",
            submit(),
            status(),
            until("IN_PROGRESS"),
            status(),
            until("COMPLETED"),
            result(),
            fetch(),
            status(),
        ),
        _program(
            "equal-submits",
            submit("A"),
            submit("B"),
            wait(20),
            status("A"),
            status("B"),
            result("A"),
            result("B"),
        ),
        _program(
            "early-result",
            submit(),
            result(),
            status(),
            wait(2),
            result(path="/fal-ai/veo2/image-to-video/requests/{A}"),
            result(),
            status(),
            wait(20),
            status(),
            result(),
        ),
        _program(
            "queue",
            *_everyone("ABCD", submit),
            *_everyone("ABCD"),
            wait(1.5),
            *_everyone("ABCD"),
            wait(4),
            *_everyone("ABCD"),
            wait(4),
            *_everyone("ABCD"),
            runners=1,
        ),
        _program(
            "queue-cancelled",
            *_everyone("ABC", submit),
            wait(1.5),
            *_everyone("ABC"),
            cancel("B"),
            *_everyone("ABC", query="logs=1"),
            wait(5),
            *_everyone("ABC"),
            wait(5),
            *_everyone("ABC"),
            *_everyone("ABC", result),
            runners=1,
        ),
        _program(
            "queue-low-priority",
            submit("A"),
            submit("B", headers={"X-Fal-Queue-Priority": "low"}),
            submit("C"),
            wait(1.5),
            *_everyone("ABC"),
            wait(4),
            *_everyone("ABC"),
            wait(4),
            *_everyone("ABC"),
            runners=1,
        ),
        _program("repeated-polls", submit(), *noisy, wait(1), status(times=2)),
        _program(
            "repeated-results",
            submit(),
            result(times=30),
            status(),
            wait(0.75),
            result(times=5),
            status(),
            wait(0.5),
            result(times=30),
            status(),
            wait(3.5),
            status(),
            wait(0.5),
            status(),
            result(times=3),
        ),
        _program(
            "trailing-slash",
            submit(),
            status(),
            status(path=APP + "/requests/{A}/status/"),
            result(),
            result(path=APP + "/requests/{A}/"),
            wait(20),
            status(query="logs=0"),
            status(path=APP + "/requests/{A}/status/", query="logs=0"),
            result(),
            result(path=APP + "/requests/{A}/"),
            cancel(),
            cancel(path=APP + "/requests/{A}/cancel/"),
        ),
        _program(
            "over-limit",
            *_everyone("ABCDE", submit),
            *_everyone("ABCDE"),
            wait(1.5),
            *_everyone("ABCDE"),
            wait(4),
            *_everyone("ABCDE"),
            wait(4),
            *_everyone("ABCDE"),
            runners=4,
            concurrency=2,
        ),
        _program(
            "distinct-errors",
            *(
                submit(job, VALID_INPUT | {"duration": f"{n + 10}s"}, webhook=job.lower())
                for n, job in enumerate("ABCD")
            ),
            wait(0.5),
            *_everyone("ABCD"),
            wait(20),
            *_everyone("ABCD"),
            *_everyone("ABCD", result),
        ),
        _program(
            "retention", submit(), until("COMPLETED"), result(), wait(HOUR - 5), result(), wait(10), result()
        ),
        _program(
            "retention-large",
            submit(given={"prompt": "x" * 20_000}),
            until("COMPLETED"),
            result(),
            wait(350),
            result(),
            wait(15),
            result(),
        ),
        _program(
            "cors",
            call(
                "OPTIONS",
                "/" + GOOD_ENDPOINT,
                key="none",
                headers={
                    "Origin": ORIGIN,
                    "Access-Control-Request-Method": "POST",
                    "Access-Control-Request-Headers": "authorization",
                },
            ),
            submit(headers={"Origin": ORIGIN}),
            status(headers={"Origin": ORIGIN}),
            tier=2,
        ),
    ]


GOOD_ENDPOINT: Final = "fal-ai/veo2/image-to-video"


def _failing() -> list[Program]:
    jobs = {f"J{n}": given for n, given in enumerate(inputs().values())}
    schema = [submit(job, given) for job, given in jobs.items()]
    texts = [
        step
        for n, text in enumerate(TEXTS.values())
        for step in (submit(f"G{n}", VALID_INPUT | {"prompt": text}), submit(f"E{n}", {"prompt": text}))
    ]
    text_jobs = [step.job for step in texts]
    odd = [submit(job, body=body, content_type=kind) for job, (body, kind) in ODD_BODIES.items()]
    return [
        _program(
            "broken-input",
            submit(given={}),
            status(),
            until("COMPLETED"),
            result(times=2),
            status(query="logs=1"),
            tier=2,
        ),
        _program(
            "unknown-path",
            submit(endpoint="fal-ai/veo2/no-such-path"),
            until("COMPLETED"),
            result(),
            status(),
            tier=2,
        ),
        _program(
            "schema",
            *schema,
            wait(60),
            *(step for job in jobs for step in (status(job), result(job))),
            runners=40,
            concurrency=40,
        ),
        _program(
            "unicode",
            *texts,
            wait(60),
            *(step for job in text_jobs for step in (status(job), result(job))),
            runners=40,
            concurrency=40,
        ),
        _program(
            "malformed-bodies",
            *odd,
            wait(20),
            *(step for job in ODD_BODIES for step in (status(job), result(job))),
            tier=2,
        ),
        _program(
            "unknown-fields",
            submit(given=VALID_INPUT | {"no_such_field": 1, "webhookUrl": "x"}),
            until("COMPLETED"),
            result(),
        ),
        _program(
            "rerun",
            submit(webhook="r"),
            wait(1.5),
            status(),
            wait(1.75),
            status(),
            wait(1),
            status(),
            until("COMPLETED"),
            result(),
            run_timeout=2.0,
        ),
        _program(
            "run-timeout",
            submit(headers={"X-Fal-No-Retry": "1"}),
            until("COMPLETED"),
            status(),
            result(),
            run_timeout=2.0,
        ),
        _program(
            "start-timeout",
            submit("A", headers={"X-Fal-Request-Timeout": "30"}),
            submit("B", headers={"X-Fal-Request-Timeout": "2.5"}),
            wait(2),
            status("B"),
            wait(1),
            status("B"),
            result("B"),
            wait(10),
            status("B"),
            status("A"),
            result("A"),
            result("B"),
            runners=1,
        ),
        _program(
            "bad-timeout",
            submit("A", headers={"X-Fal-Request-Timeout": "soon"}),
            submit("B", headers={"X-Fal-Request-Timeout": "0"}),
            submit("C", headers={"X-Fal-Request-Timeout": "-3"}),
            submit("D"),
            tier=2,
        ),
    ]


def _strangers() -> list[Program]:
    unknown = f"{APP}/requests/{UNKNOWN_ID}"
    asks = [("GET", "/status"), ("GET", ""), ("PUT", "/cancel"), ("GET", "/status/stream")]
    kinds = ("none", "bearer", "garbage", "half")
    return [
        _program(
            "unknown-id", *(call(method, unknown + tail) for _ in range(2) for method, tail in asks), tier=1
        ),
        _program(
            "malformed-id",
            *(
                call(method, f"{APP}/requests/{one}{tail}")
                for one in MALFORMED_IDS
                for method, tail in asks[:3]
            ),
            tier=1,
        ),
        _program(
            "other-application",
            submit(),
            call("GET", "/fal-ai/veo3/requests/{A}/status"),
            call("GET", "/fal-ai/other/requests/{A}"),
            call("PUT", "/someone/veo2/requests/{A}/cancel"),
            call("GET", "/workflows/fal-ai/veo2/requests/{A}/status"),
            status(),
            tier=3,
        ),
        _program(
            "unknown-application",
            submit(endpoint="fal-ai/no-such-app"),
            submit("B", endpoint="workflows/no-one/no-flow/deep", key="none"),
            submit("C", endpoint="comfy/no-one/no-flow/deep"),
            tier=0,
        ),
        _program(
            "bad-credentials",
            *(submit(f"S{kind}", key=kind) for kind in kinds),
            *(submit(f"T{kind}", key=kind, body="{", endpoint="fal-ai/veo2") for kind in kinds),
            submit("M", key="none", method="GET", body=""),
            submit("N", key="none", endpoint="nobody/nothing"),
            call("GET", unknown + "/status", key="none"),
            submit(),
            *(status(key=kind) for kind in kinds),
            *(result(key=kind) for kind in kinds),
            *(cancel(key=kind) for kind in kinds),
            tier=0,
        ),
        _program(
            "unknown-key",
            submit("S", key="unknown"),
            submit("T", key="unknown", body="{", endpoint="fal-ai/veo2"),
            submit(),
            status(key="unknown"),
            result(key="unknown"),
            cancel(key="unknown"),
            tier=0,
        ),
        _program(
            "other-key",
            submit(),
            status(key="b"),
            result(key="b"),
            stream(key="b", seconds=1.0),
            cancel(key="b"),
            wait(20),
            status(key="b"),
            result(key="b"),
            status(),
            result(),
            tier=3,
        ),
        _program(
            "locked",
            submit(),
            wait(20),
            lock(),
            submit("B"),
            submit("C", body="{"),
            submit("D", endpoint="fal-ai/veo2/no-such-path"),
            status(),
            result(),
        ),
        _program(
            "wrong-method",
            submit(),
            status(),
            status(method="POST"),
            status(method="DELETE"),
            result(method="POST"),
            cancel(method="GET"),
            cancel(method="POST"),
            submit("M", method="PUT"),
            submit("N", method="GET", body=""),
            status(method="POST", key="none"),
            status(),
            tier=3,
        ),
    ]


def _watching() -> list[Program]:
    looking = [wait(0.75), status(query="logs=1")]
    return [
        _program(
            "logs",
            submit(),
            status(),
            status(query="logs=1"),
            wait(1.5),
            status(),
            status(query="logs=0"),
            status(query="logs=false"),
            status(query="logs=1"),
            status(query="logs=true"),
            *looking * 5,
            wait(10),
            status(),
            status(query="logs=1"),
            status(query="logs=true"),
        ),
        _program("stream", submit(), stream(query="logs=1"), status(), status(query="logs=1")),
        _program(
            "stream-long", submit(), stream(seconds=120.0), status(), queue_seconds=20.0, run_seconds=40.0
        ),
        _program(
            "stream-cancelled",
            submit(),
            wait(2),
            stream(query="logs=0"),
            status(),
            submit("B", {}),
            stream("B"),
            status("B"),
        ),
        _program("stream-late", submit(given={}), until("COMPLETED"), stream(), status(), result(), tier=2),
    ]


def _giving_up() -> list[Program]:
    return [
        _program(
            "cancel-queued",
            submit(),
            status(),
            cancel(),
            status(query="logs=1"),
            result(),
            wait(20),
            status(query="logs=1"),
            result(),
            tier=3,
        ),
        _program(
            "cancel-running",
            submit(),
            wait(2),
            status(),
            cancel(),
            status(),
            result(),
            wait(20),
            status(),
            result(),
        ),
        _program(
            "cancel-late",
            submit(given={}),
            until("COMPLETED"),
            cancel(),
            status(),
            result(),
            cancel(),
            tier=2,
        ),
        _program("cancel-unknown", call("PUT", f"{APP}/requests/{UNKNOWN_ID}/cancel"), tier=1),
        _program(
            "cancel-twice",
            submit("A"),
            cancel("A"),
            status("A"),
            result("A"),
            cancel("A"),
            status("A"),
            result("A"),
            submit("B"),
            wait(2),
            cancel("B"),
            status("B"),
            result("B"),
            cancel("B"),
            status("B"),
            result("B"),
            tier=3,
        ),
        _program(
            "cancel-one-of-three",
            *_everyone("ABC", submit),
            wait(1.5),
            cancel("A"),
            *_everyone("ABC"),
            wait(20),
            *_everyone("ABC"),
            *_everyone("ABC", result),
        ),
    ]


def _hooks() -> list[Program]:
    over = [until("COMPLETED"), result()]
    return [
        _program("webhook-ok", submit(webhook="r"), *over, wait(5)),
        _program("webhook-error", submit(given={}, webhook="r"), *over, wait(5), tier=2),
        _program(
            "webhook-cancelled",
            submit(webhook="r"),
            cancel(),
            status(),
            result(),
            wait(5),
            submit("B", webhook="s"),
            wait(2),
            cancel("B"),
            status("B"),
            result("B"),
            wait(5),
            tier=3,
        ),
        _program(
            "webhook-retries",
            submit(given={}, webhook="r", answers=(500, 0, 404, 204)),
            *over,
            wait(60),
            tier=2,
        ),
        _program(
            "webhook-never", submit(given={}, webhook="r", answers=(503,)), *over, wait(2 * HOUR), tier=2
        ),
        _program("webhook-redirect", submit(given={}, webhook="r", answers=(302,)), *over, wait(60), tier=2),
        _program("webhook-created", submit(given={}, webhook="r", answers=(201,)), *over, wait(60), tier=2),
        _program(
            "webhook-status",
            submit(webhook="r", peek=True),
            submit("B", {}, webhook="s", peek=True),
            wait(20),
            tier=2,
        ),
        _program(
            "webhook-rotated",
            submit(given={}, webhook="r"),
            wait(20),
            call("GET", JWKS_PATH, host="rest", key="none"),
            submit("B", {}, webhook="s"),
            wait(20),
            tier=2,
            faults=[{"fault": "webhook_rotated_key", "after": 1}],
        ),
        _program(
            "webhook-null",
            submit(webhook="r"),
            *over,
            wait(5),
            faults=[{"fault": "webhook_null_payload"}],
        ),
        _program(
            "webhook-in-body",
            submit(
                given=VALID_INPUT
                | {"webhookUrl": "{receivers}/unasked", "fal_webhook": "{receivers}/unasked"}
            ),
            submit("B", {}, webhook="r"),
            wait(20),
            status(),
            result(),
        ),
    ]


def _large() -> list[Program]:
    def body(size: int) -> str:
        return json.dumps({"prompt": ""}).replace('""', '"' + "x" * (size - len('{"prompt": ""}')) + '"')

    return [
        _program(
            "large-body",
            submit("A", body=body(LIMIT - 1)),
            submit("B", body=body(LIMIT)),
            submit("C", body=body(LIMIT + 1)),
            submit("D", body=body(3 * LIMIT)),
            max_body=LIMIT,
        ),
        _program(
            "large-image",
            submit("A", VALID_INPUT | {"image_url": picture(MAX_IMAGE + 1)}),
            submit("B", VALID_INPUT | {"image_url": picture(MAX_IMAGE)}),
            wait(20),
            status("A"),
            result("A"),
            status("B"),
            result("B"),
        ),
    ]


def _video() -> list[Program]:
    lifetime = {"X-Fal-Object-Lifecycle-Preference": json.dumps({"expiration_duration_seconds": 60})}
    return [
        _program(
            "portrait",
            submit(given=VALID_INPUT | {"aspect_ratio": "9:16", "duration": "6s"}),
            until("COMPLETED"),
            result(),
            fetch(),
            tier=5,
        ),
        _program(
            "file-lifetime",
            submit("A", headers=lifetime),
            submit("B"),
            until("COMPLETED", "A"),
            result("A"),
            status("B"),
            result("B"),
            fetch("A"),
            wait(30),
            fetch("A"),
            wait(31),
            fetch("A"),
            fetch("B"),
        ),
    ]
