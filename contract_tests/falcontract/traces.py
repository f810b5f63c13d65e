"""Traces: the calls of one run of a program, their answers, and the webhooks that arrived."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from falcontract.steps import Program, Step

T = TypeVar("T")

NO_ANSWER: Final = 0
COMPLETED: Final = "COMPLETED"
LONGEST_CURL_BODY: Final = 2000  # characters


class _WithBody:
    """Gives access to a JSON body."""

    body: bytes

    @cached_property
    def json(self) -> Any:
        return _parse(self.body)

    def get(self, key: str) -> Any:
        return self.json.get(key) if isinstance(self.json, dict) else None


@dataclass(frozen=True)
class Event:
    """One message or comment of a status stream."""

    at: float  # seconds since the program began, on the target's clock
    data: str | None  # the text after "data:"; None for a comment

    @cached_property
    def json(self) -> Any:
        return _parse((self.data or "").encode())


@dataclass(frozen=True, eq=False)  # two equal exchanges are still two
class Exchange(_WithBody):
    step: Step  # the step that sent it
    index: int  # position of that step in the program
    at: float  # when it was sent, in seconds since the program began, on the target's clock
    method: str
    url: str  # absolute URL
    request_headers: Mapping[str, str] = field(default_factory=dict)  # without credentials
    request_body: bytes = b""
    status: int = NO_ANSWER  # HTTP status; 0 without an answer
    headers: Mapping[str, str] = field(default_factory=dict)  # of the answer, names in lower case
    body: bytes = b""  # of the answer
    events: tuple[Event, ...] = ()
    done_at: float = 0.0  # when the answer was complete
    error: str = ""  # why the answer is missing or incomplete
    request_id: str = ""  # of the job, if known

    @property
    def state(self) -> Any:
        """The member `status` of the body."""
        return self.get("status")

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def error_type(self) -> Any:
        """The error type of the body or, without one, of the header."""
        return self.get("error_type") or self.headers.get("x-fal-error-type")

    @property
    def details(self) -> list[dict[str, Any]]:
        """The entries of an error list; empty for any other answer."""
        detail = self.get("detail")
        return [entry for entry in detail if isinstance(entry, dict)] if isinstance(detail, list) else []

    def curl(self) -> str:
        """Return a curl command that repeats the call, with the key in $FAL_KEY or $FAL_KEY_B."""
        parts = ["curl", "-i", "-X", self.method, self.url]
        if self.step.key in {"a", "b"}:
            parts += ["-H", f"Authorization: Key $FAL_KEY{'_B' if self.step.key == 'b' else ''}"]
        for name, value in self.request_headers.items():
            parts += ["-H", f"{name}: {value}"]
        if self.request_body:
            parts += ["--data-binary", _shortened(self.request_body)]
        return " ".join(f'"{part}"' if "$FAL_KEY" in part else shlex.quote(part) for part in parts)


@dataclass(frozen=True)
class Delivery(_WithBody):
    receiver: str
    at: float  # seconds since the program began, on the target's clock
    wall: float  # unix seconds on the clock that signatures are checked against
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    method: str = "POST"
    target: str = ""  # path and query, as sent
    job_status: str | None = None  # status of the job, read before the receiver answered


@dataclass(frozen=True)
class Observation:
    """One step as a client understood it, beside the raw answer."""

    client: str
    step: str
    expected: Any  # the reading that follows from the raw answer
    found: Any  # the reading of the client
    exchange: Exchange


@dataclass(frozen=True)
class Sent:
    """A call that a client sent while it repeated a step."""

    client: str
    step: Step
    method: str
    url: str  # without the target's address: it begins with fal's host
    key: bool  # it had credentials
    status: int  # HTTP status of the answer; 0 without one


@dataclass(frozen=True)
class ClientOutcome:
    """What a client made of a step that only clients can do."""

    client: str
    step: Step
    reading: tuple[Any, ...]


@dataclass
class Trace:
    program: Program
    target: str = "mock"
    base: str = ""  # URL of the queue host
    exact_time: bool = False  # the target's clock moves only on command, so times are exact
    # timing and limits of the target, see `model.prediction`
    facts: Mapping[str, Any] = field(default_factory=dict)
    exchanges: list[Exchange] = field(default_factory=list)  # in the order in which they ended
    deliveries: list[Delivery] = field(default_factory=list)  # webhooks, in order of arrival
    jwks: Any = None  # the target's key set, fetched at the end if webhooks arrived
    ended: bool = False  # the program ran to its end, so a missing webhook is a fact
    # readings of the clients that repeated the program
    observations: list[Observation] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)  # by clients, in order
    outcomes: list[ClientOutcome] = field(default_factory=list)  # of "client" steps
    # request ids of jobs from before the first step, by name
    known_jobs: Mapping[str, str] = field(default_factory=dict)
    complete_headers: bool = True  # all headers are known; in a published capture they are not
    seconds: float = 0.0  # real time, clients included
    _indexed: int = -1
    _submits: list[Exchange] = field(default_factory=list)
    _submit_of: dict[str, Exchange] = field(default_factory=dict)

    def of(self, do: str, job: str | None = None) -> list[Exchange]:
        """Return the exchanges of one kind; polls of `until` count as status reads."""
        kinds = {do, "until"} if do == "status" else {do}
        return [e for e in self.exchanges if e.step.do in kinds and job in {None, e.step.job}]

    def submits(self) -> list[Exchange]:
        if self._indexed != len(self.exchanges):  # queries are frequent while a trace grows
            self._indexed = len(self.exchanges)
            self._submits = [e for e in self.of("submit") if e.ok and isinstance(e.get("request_id"), str)]
            self._submit_of = {e.step.job: e for e in reversed(self._submits)}
        return self._submits

    def submitted(self, job: str) -> Exchange | None:
        self.submits()
        return self._submit_of.get(job)

    def jobs(self) -> list[str]:
        return list(dict.fromkeys((*self.known_jobs, *(e.step.job for e in self.submits()))))

    def webhooks(self) -> Iterator[tuple[Exchange, list[Delivery]]]:
        """Yield each submit with a webhook, and its deliveries."""
        for e in self.submits():
            if e.step.webhook:
                yield e, [d for d in self.deliveries if d.receiver == e.step.webhook]

    def is_plain(self, e: Exchange) -> bool:
        """Return whether a call has the usual path and method and the key that submitted the job."""
        submit = self.submitted(e.step.job)
        owner = submit.step.key if submit is not None else "a" if e.step.job in self.known_jobs else None
        return not (e.step.path or e.step.method) and e.step.key == owner

    def states(self, job: str | None = None) -> Iterator[tuple[float, dict[str, Any], Exchange]]:
        """Yield (time, status object, exchange) for each reported status of a job, streams included.

        Without a job, those of all jobs, one job after another. A status that is not an object counts as an
        empty one.
        """
        if job is None:
            for each in self.jobs():
                yield from self.states(each)
            return
        for e in self.exchanges:
            if e.step.job != job or not self.is_plain(e):
                continue
            if e.step.do in {"status", "until"} and e.ok:
                yield e.at, _object(e.json), e
            elif e.step.do == "stream":
                yield from ((v.at, _object(v.json), e) for v in e.events if v.data is not None)

    def after(self, e: Exchange) -> list[Exchange]:
        return self.exchanges[self.exchanges.index(e) + 1 :]

    def completed_at(self, job: str) -> int | None:
        """Return the index of the first exchange that reports COMPLETED for a job."""
        for _, status, e in self.states(job):
            if status.get("status") == COMPLETED:
                return self.exchanges.index(e)
        return None

    def final_results(self, job: str | None = None) -> list[Exchange]:
        """Return the results of a job that were read after COMPLETED was reported; without a job, of each."""
        if job is None:
            return [e for each in self.jobs() for e in self.final_results(each)]
        done = self.completed_at(job)
        if done is None:
            return []
        return [e for e in self.exchanges[done:] if e.step.do == "result" and self._is_about(e, job)]

    def early_results(self, job: str) -> list[Exchange]:
        """Return the results that were read before the end: the next status is not COMPLETED."""
        found = []
        for n, e in enumerate(self.exchanges):
            if e.step.do == "result" and self._is_about(e, job):
                later = [status for _, status, s in self.states(job) if self.exchanges.index(s) > n]
                if later and later[0].get("status") != COMPLETED:
                    found.append(e)
        return found

    def _is_about(self, e: Exchange, job: str) -> bool:
        return e.step.job == job and self.is_plain(e)


def without_repeats(items: Iterable[T], key: Callable[[T], Any] = lambda item: item) -> list[T]:
    """Drop each item that has the same key as the item before it, unless the key is None."""
    found: list[T] = []
    last = None
    for item in items:
        if key(item) is None or key(item) != last:
            found.append(item)
        last = key(item)
    return found


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _shortened(body: bytes) -> str:
    text = body.decode(errors="replace")
    return text if len(text) <= LONGEST_CURL_BODY else f"{text[:LONGEST_CURL_BODY]}... ({len(body)} bytes)"
