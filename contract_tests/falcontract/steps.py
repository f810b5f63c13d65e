"""Programs: what is asked of a target, as data.

A program is a list of steps with symbolic jobs ("A"), keys ("a") and webhook receivers ("r"). It says
nothing of hosts, ids or secrets, so the same one runs against an emulator, against fal, and, step by
step, against a transcript.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Final

Json = dict[str, Any]

VEO2: Final = "fal-ai/veo2/image-to-video"
IMAGE_URL: Final = "https://example.com/chef.png"  # never fetched: example.com belongs to nobody (RFC 2606)
VALID_INPUT: Final[Json] = {"prompt": "A lego chef cooking eggs", "image_url": IMAGE_URL}

FAULTS: Final = "faults"
# What a step may do; those that send nothing come last.
ASKING: Final = ("submit", "status", "result", "cancel", "stream", "call", "fetch")
WAITING: Final = ("wait", "until", "lock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do.

    Attributes:
        do: one of `ASKING` or `WAITING`.
        job: which job it is about; a submit gives the name.
        key: whose credentials go along: "a", "b", "none", "bearer", "garbage", "half" or "unknown".
        endpoint: of a submit, the full id.
        input: of a submit, what is sent as JSON.
        body: raw text instead of `input` (UTF-8; lone surrogates are sent as they are).
        content_type: of the body.
        method: instead of the usual one.
        path: instead of the usual one; "{A}" in it is the id of job A. With `host` "rest" on that host.
        host: "queue" or "rest".
        query: without the question mark.
        headers: further ones.
        seconds: how long to wait, or at most to wait.
        state: which status to wait for.
        webhook: the receiver that the submit names in its query.
        answers: how that receiver answers, attempt by attempt (0 drops the line; the last one stays).
        peek: let the receiver read the job's status before it answers.
        times: how often to do it.
    """

    do: str
    job: str = ""
    key: str = "a"
    endpoint: str = VEO2
    input: Any = None
    body: str | None = None
    content_type: str | None = "application/json"
    method: str = ""
    path: str = ""
    host: str = "queue"
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    state: str = ""
    webhook: str = ""
    answers: tuple[int, ...] = (200,)
    peek: bool = False
    times: int = 1

    def as_json(self) -> Json:
        """Return what differs from a plain step."""
        plain = {f.name: f.default if f.default is not MISSING else {} for f in fields(self)}
        told = {name: getattr(self, name) for name in plain}
        return {name: value for name, value in told.items() if name == "do" or value != plain[name]}

    @classmethod
    def from_json(cls, told: Json) -> Step:
        """Read back what `as_json` gave.

        Raises:
            TypeError: it names something that a step does not have.
        """
        answers = tuple(told.get("answers", (200,)))
        return cls(**{**told, "answers": answers})

    def __str__(self) -> str:
        more = {name: value for name, value in self.as_json().items() if name not in {"do", "job"}}
        told = " ".join(f"{name}={_short(value)}" for name, value in more.items())
        return " ".join(filter(None, (self.do, self.job, told)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Steps with a name.

    Attributes:
        name: by which properties, plans and transcripts know it.
        steps: in order.
        setup: what the target must be told beforehand ("runners": 1). Only a target that can be
            configured runs a program with one. `FAULTS` in it are the rules of a fault plan.
        tier: as PROPERTIES.md section 8 counts what it would cost on fal: 0 to 5.
    """

    name: str
    steps: tuple[Step, ...]
    setup: Json = field(default_factory=dict)
    tier: int = 2

    def needs(self) -> frozenset[str]:
        """Return the abilities that a target needs to run it."""
        needs = {"configure"} if self.setup else set()
        needs |= {"faults"} if FAULTS in self.setup else set()
        for step in self.steps:
            needs |= {"receive"} if step.webhook else set()
            needs |= {"lock"} if step.do == "lock" else set()
            needs |= {"pass-time"} if step.do == "wait" and step.seconds > SHORT_WAIT else set()
            needs |= {"second-key"} if step.key == "b" else set()
            needs |= {"known-keys"} if step.key == "unknown" else set()
        return frozenset(needs)

    def as_json(self) -> Json:
        """Return it as JSON can say it."""
        head: Json = {"name": self.name, "tier": self.tier, "steps": [step.as_json() for step in self.steps]}
        return head | ({"setup": self.setup} if self.setup else {})

    @classmethod
    def from_json(cls, told: Json) -> Program:
        """Read back what `as_json` gave."""
        steps = tuple(Step.from_json(step) for step in told["steps"])
        return cls(name=told["name"], steps=steps, setup=told.get("setup", {}), tier=told["tier"])

    def __str__(self) -> str:
        setup = f"  (with {json.dumps(self.setup)})" if self.setup else ""
        return "\n".join([self.name + setup, *(f"  {n + 1}. {step}" for n, step in enumerate(self.steps))])


SHORT_WAIT: Final = 5.0  # seconds that may be waited for in earnest, where the clock cannot be moved


def submit(job: str = "A", given: Any = None, **more: Any) -> Step:
    """Submit a job: the good input, unless another is given."""
    if "body" not in more and given is None:
        given = VALID_INPUT
    return Step(do="submit", job=job, input=given, **more)


def status(job: str = "A", **more: Any) -> Step:
    """Read a job's status."""
    return Step(do="status", job=job, **more)


def result(job: str = "A", **more: Any) -> Step:
    """Fetch a job's result."""
    return Step(do="result", job=job, **more)


def cancel(job: str = "A", **more: Any) -> Step:
    """Cancel a job."""
    return Step(do="cancel", job=job, **more)


def stream(job: str = "A", **more: Any) -> Step:
    """Open the status stream of a job and read it to its end."""
    return Step(do="stream", job=job, **{"seconds": 60.0, **more})


def call(method: str, path: str, **more: Any) -> Step:
    """Send anything to any path."""
    return Step(do="call", method=method, path=path, **more)


def fetch(job: str = "A", **more: Any) -> Step:
    """Fetch the video that the last result of a job names."""
    return Step(do="fetch", job=job, **more)


def wait(seconds: float) -> Step:
    """Let time pass."""
    return Step(do="wait", seconds=seconds)


def until(state: str, job: str = "A", *, seconds: float = 60.0) -> Step:
    """Poll until a job has a status."""
    return Step(do="until", job=job, state=state, seconds=seconds)


def lock(key: str = "a") -> Step:
    """Let the account of a key be locked."""
    return Step(do="lock", key=key)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}...({len(text)})"


LONGEST_SHOWN: Final = 90
