"""Traces: what was said and heard when a program ran."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from falcontract.steps import Program, Step

NO_ANSWER: Final = 0
COMPLETED: Final = "COMPLETED"


@dataclass(frozen=True)
class Event:
    """One message of a status stream, or a comment.

    Attributes:
        at: seconds since the program began, on the target's clock.
        data: the text after "data:"; None for a comment.
    """

    at: float
    data: str | None

    @cached_property
    def json(self) -> Any:
        """The message; None when it is no JSON."""
        return _parse((self.data or "").encode())


@dataclass(frozen=True, eq=False)  # what was said twice in the same words was still said twice
class Exchange:
    """A request and what came back.

    Attributes:
        step: what asked for it.
        index: of that step in the program.
        at: seconds since the program began, on the target's clock, when it was sent.
        method: HTTP's.
        url: whole.
        sent: request headers without credentials.
        content: of the request.
        status: HTTP's; 0 for no answer.
        headers: of the answer, names in lower case.
        body: of the answer.
        events: of a stream.
        done_at: when the answer was complete.
        error: why there was no answer, or no end of it.
        request_id: of the job it is about, where that is known.
    """

    step: Step
    index: int
    at: float
    method: str
    url: str
    sent: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    status: int = NO_ANSWER
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    events: tuple[Event, ...] = ()
    done_at: float = 0.0
    error: str = ""
    request_id: str = ""

    @cached_property
    def json(self) -> Any:
        """The body; None when it is no JSON."""
        return _parse(self.body)

    def get(self, key: str) -> Any:
        """Return a member of the body, None when there is none."""
        return self.json.get(key) if isinstance(self.json, dict) else None

    @property
    def state(self) -> Any:
        """The status that the body tells."""
        return self.get("status")

    @property
    def ok(self) -> bool:
        """Whether it was answered with 2xx."""
        return 200 <= self.status < 300

    def curl(self) -> str:
        """Return a command that asks the same, with the key in $FAL_KEY."""
        parts = ["curl", "-i", "-X", self.method, self.url]
        if self.step.key in {"a", "b"}:
            parts += ["-H", "Authorization: Key $FAL_KEY"]
        for name, value in self.sent.items():
            parts += ["-H", f"{name}: {value}"]
        if self.content:
            parts += ["--data-binary", _shown(self.content)]
        quoted = [f'"{part}"' if "$FAL_KEY" in part else shlex.quote(part) for part in parts]
        return " ".join(quoted)


@dataclass(frozen=True)
class Delivery:
    """A webhook that arrived.

    Attributes:
        receiver: its symbolic name.
        at: seconds since the program began, on the target's clock.
        wall: unix seconds on the clock that signatures are checked against.
        headers: names in lower case.
        body: as it came.
        answered: with which status; 0 when the line was dropped.
        status_then: what a status read said while the delivery was waiting for its answer.
    """

    receiver: str
    at: float
    wall: float
    headers: Mapping[str, str]
    body: bytes
    answered: int
    status_then: str | None = None

    @cached_property
    def json(self) -> Any:
        """The body; None when it is no JSON."""
        return _parse(self.body)

    def get(self, key: str) -> Any:
        """Return a member of the body, None when there is none."""
        return self.json.get(key) if isinstance(self.json, dict) else None


@dataclass(frozen=True)
class Observation:
    """What a client and the wire made of one step.

    Attributes:
        door: name of the client.
        step: as text.
        wire: the verdict that follows from the raw answer.
        client: the verdict of the client.
        exchange: the raw answer.
    """

    door: str
    step: str
    wire: Any
    client: Any
    exchange: Exchange


@dataclass
class Trace:
    """Everything that happened while a program ran.

    Attributes:
        program: that ran.
        target: its name.
        base: address of the queue host.
        exact_time: the target's clock moves only when told to, so that times are exact.
        facts: what the target says of its own timing, see `timetable`.
        exchanges: in the order in which they ended.
        deliveries: webhooks, in order of arrival.
        jwks: the target's key set, fetched at the end when webhooks arrived.
        ended: set when the program came to its end, so that "no webhook came" means something.
        observations: what clients and wire made of each step, where more doors than one were taken.
        given: jobs that were there before the first step, by name, with their request ids.
        whole: all headers are known; of a published capture they are not.
        took: real seconds, through every door.
    """

    program: Program
    target: str = "mock"
    base: str = ""
    exact_time: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    exchanges: list[Exchange] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    jwks: Any = None
    ended: bool = False
    observations: list[Observation] = field(default_factory=list)
    given: Mapping[str, str] = field(default_factory=dict)
    whole: bool = True
    took: float = 0.0
    _looked_at: int = -1
    _submits: list[Exchange] = field(default_factory=list)
    _made: dict[str, Exchange] = field(default_factory=dict)

    def of(self, do: str, job: str | None = None) -> list[Exchange]:
        """Return the exchanges of one kind; `until` polls count as status reads."""
        kinds = {do, "until"} if do == "status" else {do}
        return [e for e in self.exchanges if e.step.do in kinds and job in {None, e.step.job}]

    def submits(self) -> list[Exchange]:
        """Return the submits that were accepted."""
        if self._looked_at != len(self.exchanges):  # asked for again and again while a trace grows
            self._looked_at = len(self.exchanges)
            self._submits = [e for e in self.of("submit") if e.ok and isinstance(e.get("request_id"), str)]
            self._made = {e.step.job: e for e in reversed(self._submits)}
        return self._submits

    def submitted(self, job: str) -> Exchange | None:
        """Return the submit that made a job."""
        self.submits()
        return self._made.get(job)

    def jobs(self) -> list[str]:
        """Return the names of the jobs that were made, in order."""
        return list(dict.fromkeys((*self.given, *(e.step.job for e in self.submits()))))

    def is_plain(self, e: Exchange) -> bool:
        """Tell whether a step asks for its own job in the usual way with the key that made it."""
        made = self.submitted(e.step.job)
        usual = not (e.step.path or e.step.method)
        owner = made.step.key if made is not None else "a" if e.step.job in self.given else None
        return usual and e.step.key == owner

    def states(self, job: str) -> Iterator[tuple[float, dict[str, Any], Exchange]]:
        """Yield (time, status object, exchange) for each status that was told of a job, streams included.

        What is no object counts as an empty one.
        """
        for e in self.exchanges:
            if e.step.job != job or not self.is_plain(e):
                continue
            if e.step.do in {"status", "until"} and e.ok:
                yield e.at, _object(e.json), e
            elif e.step.do == "stream":
                yield from ((v.at, _object(v.json), e) for v in e.events if v.data is not None)

    def completed_at(self, job: str) -> int | None:
        """Return the position among the exchanges of the first that told COMPLETED of a job."""
        for _, told, e in self.states(job):
            if told.get("status") == COMPLETED:
                return self.exchanges.index(e)
        return None

    def final_results(self, job: str) -> list[Exchange]:
        """Return the results that were fetched after COMPLETED had been told."""
        done = self.completed_at(job)
        if done is None:
            return []
        return [e for e in self.exchanges[done:] if e.step.do == "result" and self._about(e, job)]

    def early_results(self, job: str) -> list[Exchange]:
        """Return the results that were fetched while the job was surely not over: a later read says so."""
        found = []
        for n, e in enumerate(self.exchanges):
            if e.step.do == "result" and self._about(e, job):
                later = [told for _, told, s in self.states(job) if self.exchanges.index(s) > n]
                if later and later[0].get("status") != COMPLETED:
                    found.append(e)
        return found

    def _about(self, e: Exchange, job: str) -> bool:
        return e.step.job == job and self.is_plain(e)


def _object(told: Any) -> dict[str, Any]:
    return told if isinstance(told, dict) else {}


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _shown(content: bytes) -> str:
    text = content.decode(errors="replace")
    return text if len(text) <= LONGEST_CURL else f"{text[:LONGEST_CURL]}... ({len(content)} bytes)"


LONGEST_CURL: Final = 2000
