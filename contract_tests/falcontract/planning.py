"""The plan: which programs may be sent to fal, and what each may cost. Offline and deterministic.

`plan.json` beside this file is the plan; it is text, reviewed like code, and `live` refuses whatever is not
in it. This module makes the proposal that it is compared to.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from falcontract import programs, published
from falcontract.steps import VEO2, Program, Step, call, cancel, result, status, stream, submit, until

if TYPE_CHECKING:
    from falcontract.steps import Json

FLUX: Final = "fal-ai/flux/schnell"
FLUX_INPUT: Final = {
    "prompt": "a lighthouse",
    "image_size": "square",
    "num_inference_steps": 1,
    "num_images": 1,
}
FLUX_USD: Final = 0.003  # NEEDS.md section 3: about $0.003 for a megapixel
GUARDS: Final = {"X-Fal-No-Retry": "1", "X-Fal-Request-Timeout": "60"}


class NotPlanned(Exception):
    """The program is not in the reviewed plan, or not as it was reviewed."""


@dataclass(frozen=True)
class Entry:
    """One program of the plan.

    Attributes:
        program: what is sent.
        usd: what each of its submits would cost if it succeeded, whether it should or not.
        requests: how many requests it may send at most.
        why: what it is for.
    """

    program: Program
    usd: float
    requests: int
    why: str

    def as_json(self) -> Json:
        """Return it as the plan has it."""
        return {
            "why": self.why,
            "usd": self.usd,
            "requests": self.requests,
            "program": self.program.as_json(),
        }


def read() -> dict[str, Entry]:
    """Return the reviewed plan, by program name."""
    told = json.loads((files("falcontract") / "plan.json").read_text())
    entries = [Entry(Program.from_json(e["program"]), e["usd"], e["requests"], e["why"]) for e in told]
    return {entry.program.name: entry for entry in entries}


def digest(plan: dict[str, Entry]) -> str:
    """Return a hash that names the plan in transcripts."""
    text = json.dumps([entry.as_json() for entry in plan.values()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def proposal() -> list[Entry]:
    """Return the plan that this version of the suite would like to have reviewed."""
    return [*_free(), *_reads(), *_rejected(), *_cancelled(), *_short()]


def text() -> str:
    """Return the proposal as the plan's file has it."""
    return json.dumps([entry.as_json() for entry in proposal()], indent=1) + "\n"


def _entry(why: str, program: Program, usd: float = 0.0) -> Entry:
    guarded = [_guarded(step) for step in program.steps]
    polls = sum(POLLS if step.do == "until" else step.times for step in guarded)
    return Entry(
        Program(name=program.name, steps=tuple(guarded), tier=program.tier),
        usd,
        polls + sum(step.do == "submit" for step in guarded),  # and a cancel for each job, whatever happens
        why,
    )


POLLS: Final = 200


def _guarded(step: Step) -> Step:
    """Let no submit be run twice, or start when nobody waits for it any more."""
    if step.do != "submit" or "X-Fal-Request-Timeout" in step.headers:
        return step
    return Step.from_json(step.as_json() | {"headers": GUARDS | step.headers})


def _known(name: str) -> Program:
    return programs.catalogue()[name]


def _program(name: str, tier: int, *steps: Step) -> Program:
    return Program(name=name, steps=steps, tier=tier)


def _free() -> list[Entry]:
    app = f"/{VEO2}"
    strangers = [
        submit(f"S{kind}", {}, key=kind) for kind in ("none", "bearer", "garbage", "half", "unknown")
    ]
    unknown = f"{programs.APP}/requests/{programs.UNKNOWN_ID}/status"
    return [
        _entry(
            "who is told what without a key; each body is {}, so that a stranger who is let in makes nothing",
            _program(
                "bad-credentials",
                0,
                *strangers,
                submit("N", {}, key="none", endpoint="nobody/nothing"),
                call("GET", unknown, key="none"),
            ),
        ),
        _entry(
            "wrong methods without a key",
            _program("methods-without-key", 0, call("GET", app, key="none"), call("DELETE", app, key="none")),
        ),
        _entry(
            "the key set of webhooks",
            _program("jwks", 0, call("GET", "/.well-known/jwks.json", host="rest", key="none")),
        ),
    ]


def _reads() -> list[Entry]:
    return [
        _entry("what is said of an id that nobody has", _known("unknown-id")),
        _entry("a cancel of nothing", _known("cancel-unknown")),
    ]


def _rejected() -> list[Entry]:
    """The only broken input for veo2 is {}: both required fields are missing, so it cannot be run."""
    dear = published.price({})
    nothing = submit(given={})
    return [
        _entry("an input that cannot be run: 422, billed nothing", _known("broken-input"), dear),
        _entry("a stream that is opened after the end", _known("stream-late"), dear),
        _entry("a cancel that comes too late", _known("cancel-late"), dear),
        _entry(
            "slashes at the end",
            _program(
                "trailing-slash",
                2,
                nothing,
                until("COMPLETED"),
                status(),
                status(path=programs.APP + "/requests/{A}/status/"),
                result(),
                result(path=programs.APP + "/requests/{A}/"),
            ),
            dear,
        ),
        _entry(
            "a malformed start timeout; the body is {}",
            _program("bad-timeout", 2, submit(given={}, headers={"X-Fal-Request-Timeout": "soon"})),
            dear,
        ),
    ]


def _cancelled() -> list[Entry]:
    cheap = submit(given=FLUX_INPUT, endpoint=FLUX)
    return [
        _entry(
            "a job that is cancelled at once, twice",
            _program(
                "cancel-queued",
                3,
                cheap,
                status(),
                cancel(),
                status(),
                cancel(),
                until("COMPLETED", seconds=60),
                result(),
            ),
            FLUX_USD,
        ),
    ]


def _short() -> list[Entry]:
    cheap = submit(given=FLUX_INPUT, endpoint=FLUX)
    return [
        _entry(
            "a whole life, with logs",
            _program(
                "lifecycle",
                4,
                cheap,
                result(),
                status(query="logs=1"),
                until("COMPLETED", seconds=120),
                result(),
                status(query="logs=1"),
                result(),
            ),
            FLUX_USD,
        ),
        _entry(
            "a whole life, watched",
            _program(
                "stream",
                4,
                cheap,
                stream(query="logs=1", seconds=120),
                status(),
                status(query="logs=1"),
                result(),
            ),
            FLUX_USD,
        ),
    ]
