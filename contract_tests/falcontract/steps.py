"""Programs as data: the steps to send to a target.

Steps refer to jobs ("A"), keys ("a") and webhook receivers ("r") by symbols. A program contains no host, id
or secret, so the same program runs against an emulator, against fal, and against a recorded transcript.
"""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]

VEO2: Final = "fal-ai/veo2/image-to-video"
APP_PATH: Final = "/fal-ai/veo2"
JWKS_PATH: Final = "/.well-known/jwks.json"
# fal's hosts by the names that `Step.host` uses (PROTOCOL.md 1)
HOSTS: Final = {
    "queue": "queue.fal.run",
    "run": "fal.run",
    "rest": "rest.fal.ai",
    "cdn": "v3.fal.media",
    "media": "v3b.fal.media",
    "api": "api.fal.ai",
}
OFFERED_EVERYWHERE: Final = ("queue", "rest")
UNKNOWN_ID: Final = "00000000-0000-4000-8000-000000000000"
IMAGE_URL: Final = "https://example.com/chef.png"  # never fetched; example.com is reserved (RFC 2606)
VALID_INPUT: Final[Json] = {"prompt": "A lego chef cooking eggs", "image_url": IMAGE_URL}
HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
FAULTS: Final = "faults"
CLIENT_FAULTS: Final = "client_faults"  # rules for the session of a client that repeats the program
REFERENCE: Final = re.compile(r"\{(?P<name>[A-Za-z]\w*)(?:\.(?P<member>[\w.]+))?\}")
LONGEST_REAL_WAIT: Final = 5.0  # seconds; a longer wait needs a clock that can be moved
LONGEST_SHOWN: Final = 90  # characters of a value in a printed step


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    # "submit", "status", "result", "cancel", "stream", "call" and "fetch" send a call; "until" polls; "wait",
    # "lock", "unlock" and "restart" change the target; "client" is for clients only
    do: str
    job: str = ""  # the job that the step is about; a submit defines it
    key: str = "a"  # credentials: "a", "b", "none", "bearer", "garbage", "half" or "unknown"
    endpoint: str = VEO2  # full id, for a submit
    input: Any = None  # JSON input of a submit
    body: str | None = None  # raw text in place of `input` (UTF-8; lone surrogates are passed through)
    content_type: str | None = "application/json"  # of the body
    method: str = ""  # overrides the usual method
    # overrides the usual path. "{A}" stands for the id of job A, "{U.file_url}" for a member of the answer
    # that was saved as U; the same in headers, and in the body of a "call"
    path: str = ""
    host: str = "queue"  # a key of `HOSTS`
    # how the host is named: "" by the first segment of the path, "host" by the Host header, "target" by
    # x-fal-target-url, "bare" not at all
    via: str = ""
    save: str = ""  # keep the text members of the JSON answer under this name
    action: str = ""  # of a "client" step: "wait", "download", "upload", "verify" or "subscribe"
    query: str = ""  # without the question mark
    headers: dict[str, str] = field(default_factory=dict)  # added to the call
    seconds: float = 0.0  # time to wait, or the most to wait
    state: str = ""  # status that "until" polls for
    webhook: str = ""  # receiver that a submit registers
    webhook_path: str = ""  # appended to the receiver's URL, such as "/a%20b?c=d"
    # HTTP statuses that the receiver answers with, one per attempt; 0 closes the connection, and
    # the last one repeats
    answers: tuple[int, ...] = (200,)
    check_status: bool = False  # the receiver reads the job's status before it answers
    times: int = 1  # repetitions

    def as_json(self) -> Json:
        """Return the members that differ from their defaults."""
        defaults = {f.name: f.default if f.default is not MISSING else {} for f in fields(self)}
        values = {name: getattr(self, name) for name in defaults}
        return {name: value for name, value in values.items() if name == "do" or value != defaults[name]}

    @classmethod
    def from_json(cls, data: Json) -> Step:
        """Read the output of `as_json`.

        Raises:
            TypeError: a member is unknown.
        """
        return cls(**{**data, "answers": tuple(data.get("answers", (200,)))})

    def references(self) -> set[str]:
        """Return the names of the jobs and saved answers that the step refers to."""
        body = self.body if self.do == "call" and self.body else ""
        texts = [self.path, self.query, body, *self.headers.values()]
        return {found["name"] for text in texts for found in REFERENCE.finditer(text)}

    def header(self, name: str) -> str | None:
        return {key.lower(): value for key, value in self.headers.items()}.get(name)

    def __str__(self) -> str:
        options = {name: value for name, value in self.as_json().items() if name not in {"do", "job"}}
        text = " ".join(f"{name}={_short(value)}" for name, value in options.items())
        return " ".join(filter(None, (self.do, self.job, text)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    name: str  # used by properties, the plan and transcripts
    steps: tuple[Step, ...]  # in order
    # settings of the target ("runners": 1); `FAULTS` in it is a list of fault rules. Only a target
    # that can be configured runs a program with a setup
    setup: Json = field(default_factory=dict)
    tier: int = 2  # cost on fal, 0 (no job) to 5 (a clip); see docs/contract.md

    def needs(self) -> frozenset[str]:
        """Return the abilities that a target needs to run the program."""
        needs = {"configure"} if self.setup else set()
        needs |= {"faults"} if {FAULTS, CLIENT_FAULTS} & self.setup.keys() else set()
        for step in self.steps:
            needs |= {"receive"} if step.webhook else set()
            needs |= {"lock"} if step.do in {"lock", "unlock"} else set()
            needs |= {"pass-time"} if step.do == "wait" and step.seconds > LONGEST_REAL_WAIT else set()
            needs |= {"restart"} if step.do == "restart" else set()
            needs |= {"hosts"} if step.host not in OFFERED_EVERYWHERE else set()
            needs |= {"addressing"} if step.via else set()
            needs |= {"second-key"} if step.key == "b" else set()
            needs |= {"known-keys"} if step.key == "unknown" else set()
        return frozenset(needs)

    def is_for_clients(self) -> bool:
        """Return whether its point is what clients do."""
        return CLIENT_FAULTS in self.setup or any(step.do == "client" for step in self.steps)

    def as_json(self) -> Json:
        head: Json = {"name": self.name, "tier": self.tier, "steps": [step.as_json() for step in self.steps]}
        return head | ({"setup": self.setup} if self.setup else {})

    @classmethod
    def from_json(cls, data: Json) -> Program:
        steps = tuple(Step.from_json(step) for step in data["steps"])
        return cls(name=data["name"], steps=steps, setup=data.get("setup", {}), tier=data["tier"])

    def __str__(self) -> str:
        setup = f"  (with {json.dumps(self.setup)})" if self.setup else ""
        return "\n".join([self.name + setup, *(f"  {n + 1}. {step}" for n, step in enumerate(self.steps))])


def program(name: str, *steps: Step, tier: int = 4, **setup: Any) -> Program:
    """Make a program; keyword arguments are its setup."""
    return Program(name=name, steps=steps, setup=setup, tier=tier)


def submit(job: str = "A", given: Any = None, **options: Any) -> Step:
    if "body" not in options and given is None:
        given = VALID_INPUT
    return Step(do="submit", job=job, input=given, **options)


def status(job: str = "A", **options: Any) -> Step:
    return Step(do="status", job=job, **options)


def result(job: str = "A", **options: Any) -> Step:
    return Step(do="result", job=job, **options)


def cancel(job: str = "A", **options: Any) -> Step:
    return Step(do="cancel", job=job, **options)


def stream(job: str = "A", **options: Any) -> Step:
    return Step(do="stream", job=job, **{"seconds": 60.0, **options})


def call(method: str, path: str, **options: Any) -> Step:
    return Step(do="call", method=method, path=path, **options)


def fetch(job: str = "A", **options: Any) -> Step:
    return Step(do="fetch", job=job, **options)


def wait(seconds: float) -> Step:
    return Step(do="wait", seconds=seconds)


def until(state: str, job: str = "A", *, seconds: float = 60.0) -> Step:
    return Step(do="until", job=job, state=state, seconds=seconds)


def lock(key: str = "a") -> Step:
    return Step(do="lock", key=key)


def unlock(key: str = "a") -> Step:
    return Step(do="unlock", key=key)


def restart() -> Step:
    return Step(do="restart")


def client(action: str, job: str = "A", **options: Any) -> Step:
    return Step(do="client", action=action, job=job, **options)


def each(jobs: Iterable[str], step: Any = status, **options: Any) -> list[Step]:
    return [step(job, **options) for job in jobs]


def each_after(pauses: tuple[float, ...], jobs: str) -> list[Step]:
    """Return status reads of each job, after each of the pauses."""
    return [step for pause in pauses for step in (wait(pause), *each(jobs))]


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}...({len(text)})"
