"""The model: what a job of fal's queue may be and say. Pure, and in as few words as it can be said.

It shares no code with any emulator or client: a shared mistake would cancel out. It does not know the
time, so it accepts every course of events that fal may take; `timetable` is the one that knows exactly.
Facts are PROTOCOL.md's, by section.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falcontract.traces import Exchange, Trace

QUEUED, RUNNING, DONE = "IN_QUEUE", "IN_PROGRESS", "COMPLETED"
STATES: Final = (QUEUED, RUNNING, DONE)  # 4.3: there is no FAILED and no CANCELLED

# From which state to which, and why (4.3, 4.7, 4.8). A re-run is the only way back.
EDGES: Final[dict[tuple[str, str], str]] = {
    (QUEUED, RUNNING): "a runner takes it",
    (QUEUED, DONE): "it was cancelled, or no runner took it in time",
    (RUNNING, DONE): "the runner answered",
    (RUNNING, QUEUED): "the runner failed in a way that the platform tries again",
}

# What each operation may answer in each state: HTTP status, and the words that go with it.
STATUS_CODE: Final = {QUEUED: 202, RUNNING: 202, DONE: 200}  # 4.3
IN_PROGRESS_TEXT: Final = "Request is still in progress"  # 4.6
CANCEL_CODE: Final = {"CANCELLATION_REQUESTED": 202, "ALREADY_COMPLETED": 400, "NOT_FOUND": 404}  # 4.7
CANCELLED_CODE: Final = 499  # 4.6


class Automaton:
    """Follows one job: `possible` is the set of states that it may be in.

    Args:
        reruns: whether a re-run (the only edge back) may happen unseen.
    """

    def __init__(self, *, reruns: bool = True) -> None:
        self.possible = {QUEUED}
        self._edges = {edge for edge in EDGES if reruns or edge != (RUNNING, QUEUED)}
        self._reach()

    def _reach(self) -> None:
        """Time has passed: whatever can be reached from here is possible now."""
        grown = True
        while grown:
            found = self.possible | {end for begin, end in self._edges if begin in self.possible}
            grown, self.possible = found != self.possible, found

    def _narrow(self, states: set[str], what: str) -> str | None:
        left = self.possible & states
        if not left:
            return (
                f"{what}, which cannot be after what was said before ({' or '.join(sorted(self.possible))})"
            )
        self.possible = left
        self._reach()
        return None

    def status(self, told: Any, code: int | None) -> str | None:
        """Hear a status object, with its HTTP status (None in a stream); return what is wrong with it."""
        state = told.get("status") if isinstance(told, dict) else None
        if state not in STATES:
            return f"the status is {state!r}, which fal does not have"
        if code is not None and code != STATUS_CODE[state]:
            return f"{state} came with HTTP {code} instead of {STATUS_CODE[state]}"
        return self._narrow({state}, f"the status is {state}")

    def result(self, code: int, detail: Any) -> str | None:
        """Hear a result; return what is wrong with it."""
        if code == 400 and detail == IN_PROGRESS_TEXT:
            return self._narrow({QUEUED, RUNNING}, "the result is still in progress")
        return self._narrow({DONE}, f"the result is final (HTTP {code})")

    def cancel(self, code: int, word: Any) -> str | None:
        """Hear the answer to a cancel; return what is wrong with it."""
        if word not in CANCEL_CODE:
            return f"a cancel was answered with {word!r}"
        if code != CANCEL_CODE[word]:
            return f"{word} came with HTTP {code} instead of {CANCEL_CODE[word]}"
        if word == "CANCELLATION_REQUESTED":
            return self._narrow({QUEUED, RUNNING}, "a cancel was accepted")
        if word == "ALREADY_COMPLETED":
            return self._narrow({DONE}, "a cancel came too late")
        return "a cancel did not find the job"


def rejections(trace: Trace, *, reruns: bool = True) -> Iterator[tuple[str, Exchange]]:
    """Yield (what is wrong, where) for each step of a trace that no run of fal's queue could take."""
    for job in trace.jobs():
        model = Automaton(reruns=reruns)
        for e in trace.exchanges:
            if e.step.job == job and trace.is_plain(e) and e.status:
                yield from ((wrong, e) for wrong in observe(model, e) if wrong)


def observe(model: Automaton, e: Exchange) -> Iterator[str | None]:
    """Let a model observe an answer about its job; yield what is wrong with it, or None."""
    match e.step.do:
        case "status" | "until":
            yield model.status(e.json, e.status)
        case "stream":
            yield from (model.status(event.json, None) for event in e.events if event.data is not None)
        case "result" if e.json != {"status": "NOT_FOUND"}:  # its retention is over
            yield model.result(e.status, e.get("detail"))
        case "cancel":
            yield model.cancel(e.status, e.state)
