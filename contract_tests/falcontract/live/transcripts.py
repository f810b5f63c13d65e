"""Transcripts: traces as JSON lines, reviewed like code.

The first line has the program, the evidence ("live", "published" or "known bad"), the date, the sources, the
webhooks (`deliveries`), and a checksum of the rest; each further line is an exchange. Volatile values are
placeholders, see `placeholders`. A transcript is recorded or transcribed, but not edited.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from falcontract.live import scrubbing
from falcontract.live.placeholders import QUEUE, Bindings, Difference, differences, fill, hide, hide_text
from falcontract.steps import Json, Program
from falcontract.targets import wire
from falcontract.traces import Delivery, Event, Exchange, Trace, without_repeats

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from falcontract.targets.base import Target

LIVE: Final = "live"
PUBLISHED: Final = "published"
CHECKSUM: Final = "checksum"
COMPLETE: Final = "complete"  # value of `headers` in the first line: every header of the answers is known
LONGEST_TEXT: Final = 2000  # characters; a longer text in a body echoes the input


class BrokenTranscript(ValueError):
    """The file is not a transcript, or it was edited."""


@dataclass(frozen=True)
class Transcript:
    name: str  # of the file
    head: Json  # the first line
    lines: tuple[Json, ...]  # the exchanges

    @property
    def program(self) -> Program:
        return Program.from_json(self.head["program"])

    @property
    def evidence(self) -> str:
        return str(self.head["evidence"])

    @property
    def date(self) -> str:
        """Date of the recording or publication, YYYY-MM-DD."""
        return str(self.head["date"])

    def trace(self) -> Trace:
        """Return the trace, with samples in place of the placeholders."""
        program = self.program
        jobs = fill(self.head.get("jobs", {}))
        complete = self.evidence == LIVE or self.head.get("headers") == COMPLETE
        trace = Trace(program, self.name, QUEUE, known_jobs=jobs, complete_headers=complete)
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
                    request_headers=line.get("sent", {}),
                    status=line["status"],
                    headers=fill(line.get("headers", {})),
                    body=b"" if body is None else json.dumps(fill(body)).encode(),
                    events=tuple(Event(0.0, json.dumps(fill(event))) for event in line.get("events", ())),
                    request_id=jobs.get(step.job, ""),
                )
            )
        trace.deliveries = [
            Delivery(
                receiver=each["receiver"],
                at=0.0,
                wall=0.0,
                headers=fill(each["headers"]) | {"content-length": str(len(fill(each["body"])))},
                body=fill(each["body"]).encode(),
            )
            for each in self.head.get("deliveries", ())
        ]
        return trace

    def text(self) -> str:
        rest = "".join(_line(line) for line in self.lines)
        head = {name: value for name, value in self.head.items() if name != CHECKSUM}
        checksum = hashlib.sha256((_line(head) + rest).encode()).hexdigest()[:16]
        return _line(head | {CHECKSUM: checksum}) + rest


def _line(value: Json) -> str:
    return json.dumps(value, ensure_ascii=True) + "\n"


def read(path: Path) -> Transcript:
    """Read a transcript.

    Raises:
        BrokenTranscript: the checksum does not match.
    """
    head, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    found = Transcript(path.stem, {k: v for k, v in head.items() if k != CHECKSUM}, tuple(lines))
    if found.text().splitlines()[0] != _line(head).rstrip("\n"):
        raise BrokenTranscript(f"{path.name} was edited: its checksum does not match")
    return found


def read_all(folder: Path) -> list[Transcript]:
    """Read all transcripts below a folder, sorted by path."""
    return [read(path) for path in sorted(folder.glob("**/*.jsonl"))]


def write(transcripts: Sequence[Transcript], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for transcript in transcripts:
        (folder / f"{transcript.name}.jsonl").write_text(transcript.text())


def record(trace: Trace, *, date: str, evidence: str, secrets: tuple[str, ...], **about: Any) -> Transcript:
    """Make a transcript of a trace; `about` is added to its first line.

    Raises:
        LeakError: it would contain a secret.
    """
    names = Bindings()
    jobs = {e.step.job: names.token(str(e.get("request_id")), "rid") for e in trace.submits()}
    lines = [_recorded(e, trace, names) for e in trace.exchanges]
    head: Json = {
        "program": trace.program.as_json(),
        "evidence": evidence,
        "date": date,
        **about,
        "jobs": jobs,
    }
    head |= {"schedule": trace.program.setup | schedule_of(trace)}
    transcript = Transcript(trace.program.name, head, tuple(lines))
    scrubbing.check(transcript.text(), secrets)
    return transcript


def _recorded(e: Exchange, trace: Trace, names: Bindings) -> Json:
    line: Json = {
        "step": e.index,
        "method": e.method,
        "url": hide_text(e.url, base=trace.base, names=names),
        "sent": scrubbing.allowed(e.request_headers, scrubbing.RECORDED_OF_REQUEST),
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


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shortened(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        digest = hashlib.sha256(value.encode(errors="replace")).hexdigest()
        return f"sha256 of {len(value)} characters: {digest}"
    return value


async def replay(transcript: Transcript, target: Target) -> list[tuple[Exchange | None, Difference]]:
    """Run the program on an emulator with the transcript's schedule, and return the differences.

    The number of polls may differ, so repeated states of one step count once, and the last ones are compared.
    """
    program = replace(transcript.program, setup=transcript.head.get("schedule", {}))
    trace = await wire.run(program, target)
    names = Bindings()
    found: list[tuple[Exchange | None, Difference]] = []
    for index in dict.fromkeys(line["step"] for line in transcript.lines):
        lines = without_repeats((line for line in transcript.lines if line["step"] == index), _state)
        answers = without_repeats((e for e in trace.exchanges if e.index == index), lambda e: e.state)
        missing = max(len(lines) - len(answers), 0)
        found += [(None, Difference(f"step {index}", "an answer", "none"))] * missing
        for line, e in zip(reversed(lines), reversed(answers), strict=False):
            found += [(e, d) for d in _compared(line, e, names)]
    for each in transcript.head.get("deliveries", ()):
        arrived = [d for d in trace.deliveries if d.receiver == each["receiver"]]
        if not arrived:
            found.append((None, Difference(each["receiver"], "a delivery", "none")))
        for d in arrived[:1]:
            values = {"headers": dict(sorted(d.headers.items())), "body": d.body.decode()}
            expected = {name: each[name] for name in values}
            found += [(None, one) for one in differences(expected, values, names, each["receiver"])]
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


def _state(line: Json) -> Any:
    body = line.get("body")
    return body.get("status") if isinstance(body, dict) else None


def schedule_of(trace: Trace) -> Json:
    """Return the seconds that the first job waited and ran, as its polls show them."""
    for submit in trace.submits()[:1]:
        states = [(at, status.get("status")) for at, status, _ in trace.states(submit.step.job)]
        started = next((at for at, state in states if state != "IN_QUEUE"), None)
        ended = next((at for at, state in states if state == "COMPLETED"), None)
        if started is not None and ended is not None:
            return {
                "queue_seconds": round(max(started - submit.at, 0.0), 2),
                "run_seconds": round(max(ended - started, 0.0), 2),
            }
    return {}
