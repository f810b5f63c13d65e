"""Programs with paths that name no request, and with fal's hosts named in each way."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from falcontract.steps import (
    APP_PATH,
    UNKNOWN_ID,
    VEO2,
    Program,
    Step,
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

JOB: Final = f"{APP_PATH}/requests/{{A}}"

WAYS: Final = ("", "host", "target", "bare")
# Paths of the documentation, with the sub-path, and submit paths (PROTOCOL.md 3).
WRONG: Final = (
    ("GET", f"/{VEO2}/requests/{{A}}/status"),
    ("GET", f"/{VEO2}/requests/{{A}}"),
    ("GET", f"/{VEO2}/requests/{{A}}/status/stream"),
    ("PUT", f"/{VEO2}/requests/{{A}}/cancel"),
    ("GET", f"/{VEO2}/requests/{UNKNOWN_ID}/status"),
    ("GET", f"/{VEO2}"),
    ("PUT", f"/{VEO2}"),
    ("DELETE", f"/{VEO2}"),
    ("HEAD", f"/{VEO2}"),
    ("GET", "/nobody/nothing"),
)


def _wrong(key: str) -> list[Step]:
    return [call(method, path, key=key) for method, path in WRONG]


def programs() -> list[Program]:
    return [
        program(
            "wrong-paths",
            *(submit(), *_wrong("a"), *_wrong("none"), *_wrong("unknown"), status()),
            tier=3,
        ),
        program("wrong-paths-locked", submit(), lock(), *_wrong("a")),
        program(
            "one-segment",
            *(call("POST", "/veo2", key=key, input={"prompt": "x"}) for key in ("a", "none")),
            tier=0,
        ),
        program(
            "ways",
            *(submit(job, via=way) for job, way in zip("ABCD", WAYS, strict=True)),
            *_each_way(*_reads("1")),
            wait(2),
            *_each_way(*_reads("true")),
            wait(20),
            *_each_way(*_reads("1"), *_refused(), stream(query="logs=1", path=f"{JOB}/status/stream")),
            *(status(job, via=way) for job, way in zip("ABCD", WAYS, strict=True)),
            *_each_way(cancel(path=f"{JOB}/cancel")),
            runners=9,
        ),
    ]


def _reads(logs: str) -> list[Step]:
    return [
        *(status(path=f"{JOB}/status", query=f"logs={logs}"), result(path=JOB)),
        *(call("GET", f"{JOB}/status/"), status(path=f"{JOB}/status", key="none")),
        *(status(path=f"{JOB}/status", key="unknown"), call("GET", f"{APP_PATH}/requests/{UNKNOWN_ID}")),
    ]


def _refused() -> list[Step]:
    return [
        *(call("GET", f"/{VEO2}"), call("POST", "/nobody/nothing", input={})),
        *(call("POST", f"/{VEO2}", input={}, key="none"), call("POST", "/x", input={})),
        call("POST", "/storage/upload/initiate", host="rest", input={}, query="storage_type=fal-cdn-v3"),
        call("GET", "/v1/models", host="api", query="limit=1"),
    ]


def _each_way(*steps: Step) -> list[Step]:
    ways = [
        [replace(step, via=way) for way in WAYS if way != "bare" or step.host == "queue"] for step in steps
    ]
    return [step for group in ways for step in group]
