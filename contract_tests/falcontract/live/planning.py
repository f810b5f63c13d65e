"""The plan: the programs that may be sent to fal, and their worst-case price.

`plan.json` is the plan. It is reviewed like code, and `execution` refuses every other program. This module
makes the proposal that a test compares it to.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from falcontract.model import published
from falcontract.programs.catalogue import catalogue
from falcontract.steps import (
    APP_PATH,
    JWKS_PATH,
    UNKNOWN_ID,
    VEO2,
    Program,
    Step,
    call,
    cancel,
    program,
    result,
    status,
    stream,
    submit,
    until,
)

if TYPE_CHECKING:
    from falcontract.steps import Json

FLUX: Final = "fal-ai/flux/schnell"
FLUX_INPUT: Final = {
    "prompt": "a lighthouse",
    "image_size": "square",
    "num_inference_steps": 1,
    "num_images": 1,
}
FLUX_USD: Final = 0.003  # about, for a megapixel; third parties report it
GUARDS: Final = {"X-Fal-No-Retry": "1", "X-Fal-Request-Timeout": "60"}  # no second run, no late start
POLLS: Final = 200  # allowed for one "until"


class NotPlanned(Exception):
    """The program is not in the reviewed plan, or it was changed."""


@dataclass(frozen=True)
class PlannedProgram:
    program: Program
    usd: float  # price of each submit if it succeeded
    requests: int  # most calls
    why: str

    def as_json(self) -> Json:
        """Return the entry as `plan.json` has it."""
        return {
            "why": self.why,
            "usd": self.usd,
            "requests": self.requests,
            "program": self.program.as_json(),
        }

    @property
    def worst_usd(self) -> float:
        """Price of all submits if they succeeded."""
        return self.usd * sum(step.do == "submit" for step in self.program.steps)


def read() -> dict[str, PlannedProgram]:
    """Return the reviewed plan, by program name."""
    data = json.loads((files("falcontract.live") / "plan.json").read_text())
    entries = [
        PlannedProgram(Program.from_json(e["program"]), e["usd"], e["requests"], e["why"]) for e in data
    ]
    return {entry.program.name: entry for entry in entries}


def digest(plan: dict[str, PlannedProgram]) -> str:
    """Return a hash that identifies the plan in transcripts."""
    text = json.dumps([entry.as_json() for entry in plan.values()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def proposal() -> list[PlannedProgram]:
    """Return the plan that this version proposes for review."""
    return [*_without_jobs(), *_rejected(), *_cheap()]


def text() -> str:
    """Return the proposal in the format of `plan.json`."""
    return json.dumps([entry.as_json() for entry in proposal()], indent=1) + "\n"


def _entry(why: str, planned: Program, usd: float = 0.0) -> PlannedProgram:
    steps = tuple(_guarded(step) for step in planned.steps)
    requests = sum(POLLS if step.do == "until" else step.times for step in steps)
    cancels = sum(step.do == "submit" for step in steps)
    return PlannedProgram(
        Program(name=planned.name, steps=steps, tier=planned.tier), usd, requests + cancels, why
    )


def _guarded(step: Step) -> Step:
    """Add headers to a submit so that it runs once, and only soon."""
    if step.do != "submit" or step.header("x-fal-request-timeout") is not None:
        return step
    return replace(step, headers=GUARDS | step.headers)


def _without_jobs() -> list[PlannedProgram]:
    known = catalogue()
    bad_keys = ("none", "bearer", "garbage", "half", "unknown")
    return [
        _entry(
            "answers to bad credentials; each body is {}, so an accepted submit creates nothing",
            program(
                "bad-credentials",
                *(submit(f"S{key}", {}, key=key) for key in bad_keys),
                submit("N", {}, key="none", endpoint="nobody/nothing"),
                call("GET", f"{APP_PATH}/requests/{UNKNOWN_ID}/status", key="none"),
                tier=0,
            ),
        ),
        _entry(
            "wrong methods without a key",
            program(
                "methods-without-key",
                *(call(method, f"/{VEO2}", key="none") for method in ("GET", "DELETE")),
                tier=0,
            ),
        ),
        _entry(
            "the key set of webhooks",
            program("jwks", call("GET", JWKS_PATH, host="rest", key="none"), tier=0),
        ),
        _entry("answers to an unknown id", known["unknown-id"]),
        _entry("a cancel of an unknown id", known["cancel-unknown"]),
    ]


def _rejected() -> list[PlannedProgram]:
    """The only invalid input for veo2 is {}: without both required fields it cannot run."""
    known = catalogue()
    usd = published.price({})
    slashes = (
        *(submit(given={}), until("COMPLETED"), status(), status(path=APP_PATH + "/requests/{A}/status/")),
        *(result(), result(path=APP_PATH + "/requests/{A}/")),
    )
    bad_timeout = submit(given={}, headers={"X-Fal-Request-Timeout": "soon"})
    return [
        _entry("an input that cannot run: 422, not billed", known["broken-input"], usd),
        _entry("a stream that is opened after the end", known["stream-late"], usd),
        _entry("a cancel that comes too late", known["cancel-late"], usd),
        _entry("trailing slashes", program("trailing-slash", *slashes, tier=2), usd),
        _entry("a malformed start timeout; the body is {}", program("bad-timeout", bad_timeout, tier=2), usd),
    ]


def _cheap() -> list[PlannedProgram]:
    job = submit(given=FLUX_INPUT, endpoint=FLUX)
    cancelled = (job, status(), cancel(), status(), cancel(), until("COMPLETED", seconds=60), result())
    lifecycle = (
        *(job, result(), status(query="logs=1"), until("COMPLETED", seconds=120)),
        *(result(), status(query="logs=1"), result()),
    )
    streamed = (job, stream(query="logs=1", seconds=120), status(), status(query="logs=1"), result())
    return [
        _entry("a job that is cancelled twice", program("cancel-queued", *cancelled, tier=3), FLUX_USD),
        _entry("a complete job, with logs", program("lifecycle", *lifecycle), FLUX_USD),
        _entry("a complete job, streamed", program("stream", *streamed), FLUX_USD),
    ]
