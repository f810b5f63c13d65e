"""Programs with wrong credentials, ids, applications and methods."""

from __future__ import annotations

from typing import Final

from falcontract.steps import (
    APP_PATH,
    UNKNOWN_ID,
    Program,
    call,
    cancel,
    lock,
    program,
    result,
    status,
    stream,
    submit,
    wait,
)

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
BAD_KEYS: Final = ("none", "bearer", "garbage", "half")
CALLS: Final = (("GET", "/status"), ("GET", ""), ("PUT", "/cancel"), ("GET", "/status/stream"))


def programs() -> list[Program]:
    unknown = f"{APP_PATH}/requests/{UNKNOWN_ID}"
    return [
        program(
            "unknown-id", *(call(method, unknown + path) for _ in range(2) for method, path in CALLS), tier=1
        ),
        program(
            "malformed-id",
            *(
                call(method, f"{APP_PATH}/requests/{bad_id}{path}")
                for bad_id in MALFORMED_IDS
                for method, path in CALLS[:3]
            ),
            tier=1,
        ),
        program(
            "other-application",
            submit(),
            call("GET", "/fal-ai/veo3/requests/{A}/status"),
            call("GET", "/fal-ai/other/requests/{A}"),
            call("PUT", "/someone/veo2/requests/{A}/cancel"),
            call("GET", "/workflows/fal-ai/veo2/requests/{A}/status"),
            status(),
            tier=3,
        ),
        program(
            "unknown-application",
            submit(endpoint="fal-ai/no-such-app"),
            submit("B", endpoint="workflows/no-one/no-flow/deep", key="none"),
            submit("C", endpoint="comfy/no-one/no-flow/deep"),
            tier=0,
        ),
        program(
            "bad-credentials",
            *(submit(f"S{key}", key=key) for key in BAD_KEYS),
            *(submit(f"T{key}", key=key, body="{", endpoint="fal-ai/veo2") for key in BAD_KEYS),
            submit("N", key="none", endpoint="nobody/nothing"),
            *(call("GET", unknown + "/status", key=key) for key in ("a", *BAD_KEYS)),
            submit(),
            *(do(key=key) for do in (status, result, cancel) for key in BAD_KEYS),
            tier=0,
        ),
        program(
            "unknown-key",
            *(call(method, unknown + path, key="unknown") for method, path in CALLS),
            submit("S", key="unknown"),
            submit("T", key="unknown", body="{", endpoint="fal-ai/veo2"),
            submit(),
            *(do(key="unknown") for do in (status, result, cancel)),
            tier=0,
        ),
        program(
            "other-key",
            *(submit(), status(key="b"), result(key="b"), stream(key="b", seconds=1.0), cancel(key="b")),
            *(wait(20), status(key="b"), result(key="b"), status(), result()),
            tier=3,
        ),
        program(
            "locked",
            *(submit(), wait(20), lock(), submit("B"), submit("C", body="{")),
            *(submit("D", endpoint="fal-ai/veo2/no-such-path"), status(), result()),
        ),
        program(
            "wrong-method",
            *(submit(), status(), status(method="POST"), status(method="DELETE"), result(method="POST")),
            *(cancel(method="GET"), cancel(method="POST"), submit("M", method="PUT")),
            *(submit("N", method="GET", body=""), status(method="POST", key="none"), status()),
            tier=3,
        ),
    ]
