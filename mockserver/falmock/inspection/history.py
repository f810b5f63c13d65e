"""A journal sorted by request, for the rules of the client check. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from falmock.engine.lifecycle import State
from falmock.inspection.entries import Exchange, submit_identity
from falmock.inspection.recorded import Transition
from falmock.protocol.calls import Operation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from falmock.catalogue import Catalogue
    from falmock.inspection.entries import Attempt, JournalEntry, SubmitIdentity

FAILED: Final = 400
REJECTED: Final = 422
INPUTS: Final = frozenset({Operation.SUBMIT, Operation.RUN})  # the calls with an input


@dataclass(slots=True)
class RequestHistory:
    """The entries of one request, each list in order.

    Attributes:
        calls: includes the submit, if the journal still has it.
    """

    id: str
    calls: list[Exchange] = field(default_factory=list)
    steps: list[Transition] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)

    def of(self, *operations: Operation) -> list[Exchange]:
        """Return the calls with one of these operations."""
        return [call for call in self.calls if call.operation in operations]

    @property
    def submit(self) -> Exchange | None:
        """The call that created the request."""
        return next(iter(self.of(Operation.SUBMIT)), None)

    @property
    def polls(self) -> list[Exchange]:
        """Status calls and status streams."""
        return self.of(Operation.STATUS, Operation.STREAM)

    @property
    def end(self) -> Transition | None:
        """The transition to COMPLETED."""
        return next((step for step in self.steps if step.state == State.COMPLETED), None)

    @property
    def has_webhook(self) -> bool:
        """Whether the result is delivered, so that polling is not needed."""
        return bool(self.attempts) or (self.submit is not None and "fal_webhook" in dict(self.submit.query))

    @property
    def completed_poll(self) -> Exchange | None:
        """The first poll that was answered with COMPLETED."""
        return next((call for call in self.polls if last_status(call).get("status") == "COMPLETED"), None)


@dataclass(slots=True)
class UnknownField:
    """A field of an input that the model does not have.

    Attributes:
        known: the fields that it has.
    """

    endpoint: str
    name: str
    known: frozenset[str]
    calls: list[Exchange] = field(default_factory=list)


class History:
    """A journal, sorted by request.

    Attributes:
        requests: in the order of their first entry.
    """

    def __init__(self, entries: Sequence[JournalEntry], catalogue: Catalogue, now: float | None) -> None:
        self.catalogue = catalogue
        self.now = max((entry.at for entry in entries), default=0.0) if now is None else now
        self.calls = [entry for entry in entries if isinstance(entry, Exchange)]
        requests: dict[str, RequestHistory] = {}
        for entry in entries:
            if entry.request_id is None:
                continue
            request = requests.setdefault(entry.request_id, RequestHistory(entry.request_id))
            if isinstance(entry, Exchange):
                request.calls.append(entry)
            elif isinstance(entry, Transition):
                request.steps.append(entry)
            else:
                request.attempts.append(entry)
        self.requests = list(requests.values())

    def unknown_fields(self) -> Iterator[UnknownField]:
        """Yield the fields of inputs that their models do not have, each once for a caller and test."""
        known: dict[str, frozenset[str]] = {}
        found: dict[tuple[str | None, ...], UnknownField] = {}
        for call in self.calls:
            model = self.catalogue.get(call.endpoint or "")
            if model is None or model.entry.certainty == "guess":
                continue
            if call.operation not in INPUTS or not isinstance(call.input, dict):
                continue
            if model.endpoint not in known:
                known[model.endpoint] = frozenset(model.entry.fields)
            for name in call.input.keys() - known[model.endpoint]:
                key = (model.endpoint, name, call.caller, call.test)
                field = found.setdefault(key, UnknownField(model.endpoint, name, known[model.endpoint]))
                field.calls.append(call)
        yield from found.values()

    def repeats(self) -> Iterator[tuple[RequestHistory, Exchange, Exchange]]:
        """Yield the request of each submit that was repeated, that submit and the next equal one."""
        latest: dict[SubmitIdentity, tuple[RequestHistory, Exchange]] = {}
        for request in self.requests:
            submit = request.submit
            if submit is None or submit.input_sha256 is None:
                continue
            identity = submit_identity(submit)
            if identity in latest:
                yield *latest[identity], submit
            latest[identity] = request, submit

    def resubmits_of_rejected_inputs(self) -> Iterator[tuple[Exchange | Attempt, Exchange]]:
        """Yield the call or attempt that showed a 422, and the next submit or run of the same input."""
        outcomes = {request.id: request.end.status for request in self.requests if request.end is not None}
        identities: dict[str, SubmitIdentity] = {}
        rejections: dict[SubmitIdentity, Exchange | Attempt] = {}
        for event in self._calls_and_attempts():
            if isinstance(event, Exchange) and event.input_sha256 is not None:
                identity = submit_identity(event)
                if identity in rejections:
                    yield rejections.pop(identity), event
                if event.request_id is not None:
                    identities[event.request_id] = identity
            if event.request_id in identities and _shows_rejection(event, outcomes.get(event.request_id)):
                rejections[identities[event.request_id]] = event

    def _calls_and_attempts(self) -> list[Exchange | Attempt]:
        attempts = [attempt for request in self.requests for attempt in request.attempts]
        return sorted([*self.calls, *attempts], key=lambda event: event.id)


def last_status(call: Exchange) -> dict[str, Any]:
    """Return the status object of a response, or the last one of a stream; {} without one."""
    answer = call.answer
    if call.operation == Operation.STREAM and isinstance(answer, str):
        answer = _last_event(answer)
    return answer if isinstance(answer, dict) and (call.status or FAILED) < FAILED else {}


def accepted(attempt: Attempt) -> bool:
    """Return whether the receiver answered with 2xx."""
    return attempt.status is not None and attempt.status // 100 == 2  # noqa: PLR2004 - HTTP's successes


def _shows_rejection(event: Exchange | Attempt, outcome: int | None) -> bool:
    if isinstance(event, Exchange):
        return event.operation in {Operation.RESULT, Operation.RUN} and event.status == REJECTED
    return accepted(event) and outcome == REJECTED


def _last_event(stream: str) -> Any:
    events = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]
    try:
        return json.loads(events[-1]) if events else None
    except ValueError:  # the stream was cut
        return None
