"""The states of a job in fal's queue, and what each operation may answer in each state.

It shares no code with an emulator or a client, because a shared mistake would cancel out. It has no notion of
time, so it accepts every order of events that fal may produce; `timetable` computes exact times. The numbers
in comments are sections of PROTOCOL.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falcontract.traces import Exchange, Trace

QUEUED, RUNNING, DONE = "IN_QUEUE", "IN_PROGRESS", "COMPLETED"
STATES: Final = (QUEUED, RUNNING, DONE)  # 4.3: FAILED and CANCELLED do not exist

# (from, to): cause (4.3, 4.7, 4.8). Only a re-run leads back.
EDGES: Final[dict[tuple[str, str], str]] = {
    (QUEUED, RUNNING): "a runner starts it",
    (QUEUED, DONE): "it was cancelled, or did not start in time",
    (RUNNING, DONE): "the runner answered",
    (RUNNING, QUEUED): "the run failed and the platform retries it",
}

STATUS_CODE: Final = {QUEUED: 202, RUNNING: 202, DONE: 200}  # 4.3
IN_PROGRESS_TEXT: Final = "Request is still in progress"  # 4.6
CANCEL_CODE: Final = {"CANCELLATION_REQUESTED": 202, "ALREADY_COMPLETED": 400, "NOT_FOUND": 404}  # 4.7
CANCELLED_CODE: Final = 499  # 4.6
NOT_FOUND: Final = {"status": "NOT_FOUND"}  # 4.3


class Automaton:
    """Tracks the set of states that one job may be in. With `reruns`, the edge of a re-run exists."""

    def __init__(self, *, reruns: bool = True) -> None:
        self.possible = {QUEUED}
        self._edges = {edge for edge in EDGES if reruns or edge != (RUNNING, QUEUED)}
        self._close()

    def _close(self) -> None:
        """Add every state that can be reached from the possible ones: time may have passed."""
        grown = True
        while grown:
            found = self.possible | {end for begin, end in self._edges if begin in self.possible}
            grown, self.possible = found != self.possible, found

    def _narrow(self, states: set[str], observation: str) -> str | None:
        left = self.possible & states
        if not left:
            return f"{observation}, but it must be {' or '.join(sorted(self.possible))}"
        self.possible = left
        self._close()
        return None

    def status(self, body: Any, code: int | None) -> str | None:
        """Observe a status object and its HTTP status (None in a stream); return the problem, if any."""
        state = body.get("status") if isinstance(body, dict) else None
        if state not in STATES:
            return f"{state!r} is not a status of fal's"
        if code is not None and code != STATUS_CODE[state]:
            return f"{state} came with HTTP {code} instead of {STATUS_CODE[state]}"
        return self._narrow({state}, f"the status is {state}")

    def result(self, code: int, detail: Any) -> str | None:
        """Observe the answer to a result call; return the problem, if any."""
        if code == 400 and detail == IN_PROGRESS_TEXT:
            return self._narrow({QUEUED, RUNNING}, "the result is still in progress")
        return self._narrow({DONE}, f"the result is final (HTTP {code})")

    def cancel(self, code: int, word: Any) -> str | None:
        """Observe the answer to a cancel; return the problem, if any."""
        if word not in CANCEL_CODE:
            return f"{word!r} is not an answer to a cancel"
        if code != CANCEL_CODE[word]:
            return f"{word} came with HTTP {code} instead of {CANCEL_CODE[word]}"
        if word == "CANCELLATION_REQUESTED":
            return self._narrow({QUEUED, RUNNING}, "a cancel was accepted")
        if word == "ALREADY_COMPLETED":
            return self._narrow({DONE}, "a cancel came too late")
        return "a cancel did not find the job"


def judgements(trace: Trace, *, reruns: bool = True) -> Iterator[tuple[str | None, Exchange]]:
    """Yield (problem or None, exchange) for each answer about a job."""
    for job in trace.jobs():
        model = Automaton(reruns=reruns)
        for e in trace.exchanges:
            if e.step.job == job and trace.is_plain(e) and e.status:
                yield from ((problem, e) for problem in observe(model, e))


def observe(model: Automaton, e: Exchange) -> Iterator[str | None]:
    """Pass an answer about a job to its model; yield a problem or None for each state in the answer."""
    match e.step.do:
        case "status" | "until":
            yield model.status(e.json, e.status)
        case "stream":
            yield from (model.status(event.json, None) for event in e.events if event.data is not None)
        case "result" if e.json != NOT_FOUND:  # otherwise it has expired
            yield model.result(e.status, e.get("detail"))
        case "cancel":
            yield model.cancel(e.status, e.state)
