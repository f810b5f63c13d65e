"""Transcripts: traces as small texts, one JSON object a line, that are kept and reviewed like code.

The first line says what program was run, where, when and on whose word; each further line is one exchange.
What differs from run to run is a placeholder, see `placeholders`. The first line also carries a checksum
of the rest: a transcript is recorded or transcribed, not adjusted.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from falcontract import scrubbing, wire
from falcontract.placeholders import QUEUE, Bindings, Difference, differences, fill, hide, hide_text
from falcontract.steps import Json, Program
from falcontract.traces import Event, Exchange, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from falcontract.targets import Target

T = TypeVar("T")

LIVE: Final = "live"
PUBLISHED: Final = "published"
DIGEST: Final = "checksum"


class BrokenTranscript(ValueError):
    """A file is no transcript, or not the one that was recorded."""


@dataclass(frozen=True)
class Transcript:
    """A trace that is kept.

    Attributes:
        name: of the file.
        head: program, evidence ("live" or "published"), date, sources and what else is known of it.
        lines: the exchanges.
    """

    name: str
    head: Json
    lines: tuple[Json, ...]

    @property
    def program(self) -> Program:
        """What was run."""
        return Program.from_json(self.head["program"])

    @property
    def evidence(self) -> str:
        """On whose word it stands."""
        return str(self.head["evidence"])

    @property
    def date(self) -> str:
        """When it was recorded, or published, as YYYY-MM-DD."""
        return str(self.head["date"])

    def trace(self) -> Trace:
        """Return it as a trace, with examples in place of the placeholders."""
        program = self.program
        jobs = fill(self.head.get("jobs", {}))
        trace = Trace(program, self.name, QUEUE, given=jobs, whole=self.evidence == LIVE)
        for line in self.lines:
            step = program.steps[line["step"]]
            body = line.get("body")
            trace.exchanges.append(
                Exchange(
                    step=step,
                    index=line["step"],
                    at=float(line["step"]),
                    method=line["method"],
                    url=fill(line["url"]),
                    sent=line.get("sent", {}),
                    status=line["status"],
                    headers=fill(line.get("headers", {})),
                    body=b"" if body is None else json.dumps(fill(body)).encode(),
                    events=tuple(Event(0.0, json.dumps(fill(one))) for one in line.get("events", ())),
                    request_id=jobs.get(step.job, ""),
                )
            )
        return trace

    def text(self) -> str:
        """Return the file's contents."""
        rest = "".join(_line(line) for line in self.lines)
        head = {name: value for name, value in self.head.items() if name != DIGEST}
        return _line(head | {DIGEST: _digest(head, rest)}) + rest


def read(path: Path) -> Transcript:
    """Read a transcript.

    Raises:
        BrokenTranscript: it is none, or has been changed.
    """
    head, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    found = Transcript(path.stem, {k: v for k, v in head.items() if k != DIGEST}, tuple(lines))
    if found.text().splitlines()[0] != _line(head).rstrip("\n"):
        raise BrokenTranscript(f"{path.name} is not what was recorded: its checksum does not fit")
    return found


def read_all(folder: Path) -> list[Transcript]:
    """Read all transcripts of a folder, in the order of their names."""
    return [read(path) for path in sorted(folder.glob("**/*.jsonl"))]


def record(trace: Trace, *, date: str, evidence: str, secrets: tuple[str, ...], **about: Any) -> Transcript:
    """Make a transcript of a trace, with nothing in it that is secret.

    Raises:
        LeakError: something secret is left.
    """
    names = Bindings()
    jobs = {}
    for e in trace.submits():
        jobs[e.step.job] = names.token(str(e.get("request_id")), "rid")
    lines = [_recorded(e, trace, names) for e in trace.exchanges]
    head: Json = {
        "program": trace.program.as_json(),
        "evidence": evidence,
        "date": date,
        **about,
        "jobs": jobs,
    }
    head |= {"schedule": trace.program.setup | schedule_of(trace)}
    made = Transcript(trace.program.name, head, tuple(lines))
    scrubbing.check(made.text(), secrets)
    return made


def _recorded(e: Exchange, trace: Trace, names: Bindings) -> Json:
    line: Json = {
        "step": e.index,
        "method": e.method,
        "url": hide_text(e.url, base=trace.base, names=names),
        "sent": scrubbing.allowed(e.sent, scrubbing.SENT),
        "status": e.status,
        "headers": hide(scrubbing.allowed(e.headers), base=trace.base, names=names),
        "t_ms": round(e.at * 1000),
    }
    if e.events:
        line["events"] = [hide(v.json, base=trace.base, names=names) for v in e.events if v.data is not None]
    elif e.json is not None:
        line["body"] = _shortened(hide(e.json, base=trace.base, names=names))
    elif e.body:
        line["sha256"] = hashlib.sha256(e.body).hexdigest()
    return line | ({"error": e.error.partition(":")[0]} if e.error else {})


LONGEST: Final = 2000  # characters of a text in a body; a longer one is an echo of what was sent


def _shortened(told: Any) -> Any:
    if isinstance(told, dict):
        return {name: _shortened(value) for name, value in told.items()}
    if isinstance(told, list):
        return [_shortened(value) for value in told]
    if isinstance(told, str) and len(told) > LONGEST:
        return (
            f"sha256 of {len(told)} characters: {hashlib.sha256(told.encode(errors='replace')).hexdigest()}"
        )
    return told


async def replay(transcript: Transcript, target: Target) -> list[tuple[Exchange | None, Difference]]:
    """Run a transcript's program on an emulator that keeps its schedule; return where the answers differ.

    How often a state was polled is nobody's fault, so that of each waiting step the states are compared, each
    once. Where a capture has only the last of them, the last is compared.
    """
    program = replace(transcript.program, setup=transcript.head.get("schedule", {}))
    trace = await wire.run(program, target)
    names = Bindings()
    found: list[tuple[Exchange | None, Difference]] = []
    for index in dict.fromkeys(line["step"] for line in transcript.lines):
        lines = _each_once([line for line in transcript.lines if line["step"] == index], _state_of_line)
        heard = _each_once([e for e in trace.exchanges if e.index == index], lambda e: e.state)
        missing = len(lines) - len(heard)
        found += [(None, Difference(f"step {index}", "an answer", "none"))] * max(missing, 0)
        for line, e in zip(reversed(lines), reversed(heard), strict=False):
            found += [(e, d) for d in _compared(line, e, names)]
    return found


def _compared(line: Json, e: Exchange, names: Bindings) -> list[Difference]:
    found = [
        d
        for name, value in (("status", e.status), ("body", e.json))
        if name in line
        for d in differences(line[name], value, names, name)
    ]
    for name, value in line.get("headers", {}).items():
        found += differences(value, e.headers.get(name), names, f"headers.{name}")
    return found


def _state_of_line(line: Json) -> Any:
    body = line.get("body")
    return body.get("status") if isinstance(body, dict) else None


def _each_once(items: Sequence[T], state: Callable[[T], Any]) -> list[T]:
    """Leave out what says the same state as the one before it."""
    return [
        one
        for n, one in enumerate(items)
        if n == 0 or state(one) is None or state(one) != state(items[n - 1])
    ]


def schedule_of(trace: Trace) -> Json:
    """Return how long the first job of a trace waited and ran, as far as its polls tell."""
    for submitted in trace.submits()[:1]:
        told = [(at, one.get("status")) for at, one, _ in trace.states(submitted.step.job)]
        started = next((at for at, state in told if state != "IN_QUEUE"), None)
        ended = next((at for at, state in told if state == "COMPLETED"), None)
        if started is not None and ended is not None:
            return {
                "queue_seconds": round(max(started - submitted.at, 0.0), 2),
                "run_seconds": round(max(ended - started, 0.0), 2),
            }
    return {}


def _line(value: Json) -> str:
    return json.dumps(value, ensure_ascii=True) + "\n"


def _digest(head: Json, rest: str) -> str:
    return hashlib.sha256((_line(head) + rest).encode()).hexdigest()[:16]


def write(transcripts: Sequence[Transcript], folder: Path) -> None:
    """Write transcripts, each to a file of its name."""
    folder.mkdir(parents=True, exist_ok=True)
    for transcript in transcripts:
        (folder / f"{transcript.name}.jsonl").write_text(transcript.text())
