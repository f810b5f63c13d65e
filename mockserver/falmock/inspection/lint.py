"""The client check: what an app does that will cost it money, results or trust, seen in a journal. Pure.

A rule says what was seen on the wire and never guesses what the app made of it. Where a journal cannot
tell a mistake from a choice, there is no finding: each rule says where it draws the line, and why.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from falmock.engine.lifecycle import State
from falmock.faults.effects import FORGED
from falmock.inspection.journal import Attempt, Exchange, Transition
from falmock.protocol import endpoints
from falmock.protocol.calls import Operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from falmock.inspection.journal import Entry

SHOWN: Final = 4  # entries of a finding
FASTEST: Final = 0.09  # seconds; fal's Python client polls every 0.1 s
ENOUGH_POLLS: Final = 6
NEEDLESS_POLLS: Final = 5  # after COMPLETED; fal's clients ask once more, a page in two tabs does too
SILENCE: Final = 60.0  # seconds of the emulator's clock after which who polled is taken to have gone
REJECTED: Final = 422
FAILED: Final = 400


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake, and how it is known.

    Attributes:
        rule: its name, as in `RULES`.
        says: what was seen, in one line.
        evidence: some of the entries that show it, a line each.
        request_ids: of the requests that it concerns.
        test: whose it is, or None.
    """

    rule: str
    says: str
    evidence: tuple[str, ...]
    request_ids: tuple[str, ...]
    test: str | None

    def __str__(self) -> str:
        return "\n".join([f"{self.rule}: {self.says}", *(f"    {line}" for line in self.evidence)])


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: in findings and on the command line.
        why: what the mistake costs.
        source: who says so.
        look: returns what is found; its docstring says when.
    """

    name: str
    why: str
    source: str
    look: Look


RULES: Final[dict[str, Rule]] = {}

Look = Callable[["History"], "Iterator[Finding]"]


def rule(*, why: str, source: str) -> Callable[[Look], Look]:
    """Register a rule under its function's name."""

    def register(look: Look) -> Look:
        name = look.__name__.replace("_", "-")
        RULES[name] = Rule(name, why, source, look)
        return look

    return register


def check(entries: Iterable[Entry], *, now: float | None = None) -> list[Finding]:
    """Return what all rules find.

    Args:
        entries: of a journal, in the order of time.
        now: unix seconds of the emulator's clock; without it the time of the last entry.
    """
    seen = History(list(entries), now)
    return [finding for each in RULES.values() for finding in each.look(seen)]


@dataclass(slots=True)
class RequestHistory:
    """All about one request.

    Attributes:
        id: its id.
        calls: about it, the submit among them.
        steps, attempts: of it.
    """

    id: str
    calls: list[Exchange]
    steps: list[Transition]
    attempts: list[Attempt]

    def of(self, *operations: Operation) -> list[Exchange]:
        """Return the calls that ask for one of these."""
        return [call for call in self.calls if call.operation in operations]

    @property
    def submit(self) -> Exchange | None:
        """The call that made it, if the journal still has it."""
        return next(iter(self.of(Operation.SUBMIT)), None)

    @property
    def looks(self) -> list[Exchange]:
        """The calls that follow it: polls, and status streams."""
        return self.of(Operation.STATUS, Operation.STREAM)

    @property
    def end(self) -> Transition | None:
        """The step that completed it."""
        return next((step for step in self.steps if step.state == State.COMPLETED), None)

    @property
    def has_webhook(self) -> bool:
        """Whether its result is delivered, so that nobody has to ask."""
        return bool(self.attempts) or (self.submit is not None and "fal_webhook" in dict(self.submit.query))

    @property
    def told_completed(self) -> Exchange | None:
        """The first call that was told COMPLETED."""
        return next((call for call in self.looks if _last_status(call).get("status") == "COMPLETED"), None)


class History:
    """A journal, sorted by request.

    Args:
        entries: in the order of time.
        now: see `check`.
    """

    def __init__(self, entries: Sequence[Entry], now: float | None) -> None:
        self.now = max((entry.at for entry in entries), default=0.0) if now is None else now
        self.calls = [entry for entry in entries if isinstance(entry, Exchange)]
        stories: defaultdict[str, RequestHistory] = defaultdict(lambda: RequestHistory("", [], [], []))
        for entry in entries:
            if entry.request_id is None:
                continue
            story = stories[entry.request_id]
            story.id = entry.request_id
            if isinstance(entry, Exchange):
                story.calls.append(entry)
            elif isinstance(entry, Transition):
                story.steps.append(entry)
            else:
                story.attempts.append(entry)
        self.stories = list(stories.values())

    def repeats(self) -> Iterator[tuple[RequestHistory, RequestHistory]]:
        """Yield each submit with the latest one before it that was equal: endpoint, key and input."""
        latest: dict[tuple[Any, ...], RequestHistory] = {}
        for story in self.stories:
            if (submit := story.submit) is None or submit.input_sha256 is None:
                continue
            same = (submit.endpoint, submit.caller, submit.test, submit.input_sha256)
            if same in latest:
                yield latest[same], story
            latest[same] = story


@rule(
    why="COMPLETED means over, not done: fal has no FAILED, and only the result tells.",
    source="PROTOCOL.md 4.3; https://github.com/TanStack/ai/pull/396",
)
def completed_as_success(seen: History) -> Iterator[Finding]:
    """Found where a request ended badly, was told as COMPLETED only, and nobody fetched the result.

    So nobody can know. Whoever cancelled it, or has a webhook, need not fetch it; nor who was told of an
    error with the status.
    """
    for story in seen.stories:
        told, end = story.told_completed, story.end
        if told is None or end is None or (end.status or 0) < FAILED or "error" in _last_status(told):
            continue
        if not (story.of(Operation.RESULT, Operation.CANCEL) or story.has_webhook):
            yield _found(
                completed_as_success,
                f"was told COMPLETED and never fetched the result, which is a {end.status}",
                [*_ends(story.calls), end],
            )


@rule(
    why="A job takes minutes, so a poll every few milliseconds is load for nothing. fal's own clients "
    "poll every 0.1 s (Python) and 0.5 s (JavaScript).",
    source="PROTOCOL.md 10; https://github.com/fal-ai/fal/issues/573",
)
def polls_too_fast(seen: History) -> Iterator[Finding]:
    """Found where six polls of a request or more came less than 0.09 s apart (the median).

    On the emulator's clock as well as in reality: a test may make either of them run fast.
    """
    for story in seen.stories:
        done = story.told_completed
        polls = [call for call in story.of(Operation.STATUS) if done is None or call.id <= done.id]
        if len(polls) < ENOUGH_POLLS:
            continue
        gaps = [max(later.at - sooner.at, later.real - sooner.real) for sooner, later in pairwise(polls)]
        if (gap := median(gaps)) < FASTEST:
            yield _found(
                polls_too_fast,
                f"polled {len(polls)} times, {gap * 1000:.0f} ms apart",
                _ends(polls),
            )


@rule(
    why="Status, result and cancel stand below owner and alias alone: fal's clients leave the rest of "
    "the endpoint out, and people who had it in were answered 405.",
    source="PROTOCOL.md 3; https://github.com/fal-ai/fal-js/issues/214",
)
def status_under_subpath(seen: History) -> Iterator[Finding]:
    """Found where a call about a request has the path in its address.

    Such addresses are put together by hand: those in the answer to the submit are right. falmock answers
    them, as fal's documentation has it.
    """
    for story in seen.stories:
        wrong = [
            call
            for call in story.of(Operation.STATUS, Operation.STREAM, Operation.RESULT, Operation.CANCEL)
            if (named := endpoints.parse(call.endpoint or "")) is not None and named.path
        ]
        if wrong:
            yield _found(status_under_subpath, f"asked under {wrong[0].endpoint}/requests/", wrong)


@rule(
    why="A job that takes longer than its client waits goes on and is paid for; the same input submitted "
    "anew is a second bill.",
    source="https://github.com/Comfy-Org/ComfyUI/pull/16204",
)
def resubmits_after_timeout(seen: History) -> Iterator[Finding]:
    """Found where an equal submit came while the first was open, and the first was left alone from then on.

    That is: nobody asked about it again, cancelled it, or has it delivered. Several equal jobs that are all
    followed are a choice.
    """
    for first, second in seen.repeats():
        again = second.submit
        assert first.submit is not None  # noqa: S101 - `repeats` has only such
        assert again is not None  # noqa: S101
        cared_for = first.has_webhook or first.of(Operation.CANCEL, Operation.RESULT)
        if cared_for or any(call.id > again.id or not call.over for call in first.looks):
            continue
        if first.told_completed is None and (first.end is None or first.end.id > again.id):
            yield _found(
                resubmits_after_timeout,
                f"submitted the same input again while {first.id} was open, and never came back to that",
                [first.submit, *first.looks[-1:], again],
                request_ids=(first.id, second.id),
            )


@rule(
    why="Who gives a job up without a cancel pays for a result that nobody fetches.",
    source="https://github.com/steipete/summarize/pull/392",
)
def never_cancels(seen: History) -> Iterator[Finding]:
    """Found where a request was polled, and then, for a minute of the emulator's time, no longer.

    It was not told COMPLETED, got no cancel and has no webhook. Submit and forget is not held against
    anybody: the id may be for somebody else.
    """
    for story in seen.stories:
        cared_for = story.has_webhook or story.of(Operation.CANCEL, Operation.RESULT)
        if not story.looks or story.told_completed or cared_for:
            continue
        gaps = [later.at - sooner.at for sooner, later in pairwise(story.looks)]
        last = story.looks[-1]
        if last.over and seen.now - last.at >= max(SILENCE, 3 * max(gaps, default=0.0)):
            yield _found(
                never_cancels,
                "stopped asking before it was told COMPLETED, and sent no cancel",
                [*_ends(story.looks), *story.steps[-1:]],
            )


@rule(
    why="A webhook's address is no secret: who takes a forged or an old delivery takes anybody's.",
    source="PROTOCOL.md 9.2; https://github.com/code100x/photo-ai/pull/74",
)
def ignores_signature(seen: History) -> Iterator[Finding]:
    """Found where the fault `webhook_bad_signature` or `webhook_old_timestamp` was taken with 2xx."""
    for story in seen.stories:
        taken = [each for each in story.attempts if each.fault in FORGED and _took(each)]
        if taken:
            yield _found(ignores_signature, f"answered {taken[0].status} to {taken[0].fault}", taken)


@rule(
    why="Deliveries come twice. A second one that is answered with an error is sent again and again: "
    "answer 2xx and do nothing.",
    source="PROTOCOL.md 9.3; https://github.com/edenartlab/eve/pull/568",
)
def refuses_duplicate(seen: History) -> Iterator[Finding]:
    """Found where a delivery was taken with 2xx, and a later one answered with something else.

    A forged one may be refused, and a receiver that was not there has refused nothing.
    """
    for story in seen.stories:
        real = [each for each in story.attempts if each.fault not in FORGED and each.status is not None]
        first = next((each for each in real if _took(each)), None)
        refused = [each for each in real if first is not None and each.id > first.id and not _took(each)]
        if first is not None and refused:
            yield _found(
                refuses_duplicate, f"answered {refused[0].status} to a second delivery", [first, *refused]
            )


@rule(
    why="A key goes with the scheme Key. After Bearer fal takes tokens only, and answers 401.",
    source="PROTOCOL.md 2",
)
def bearer_key(seen: History) -> Iterator[Finding]:
    """Found where what follows Bearer is a pair with a colon."""
    yield from _by_caller(
        bearer_key,
        [call for call in seen.calls if _credentials(call).lower().startswith("bearer ")],
        "sent a key as Bearer",
    )


@rule(
    why="Files are public, and on another host than the queue: a key that is sent along is given away.",
    source="PROTOCOL.md 8.3",
)
def key_to_media_host(seen: History) -> Iterator[Finding]:
    """Found where a file that everybody may have was downloaded with a key.

    One with an access list needs it.
    """
    yield from _by_caller(
        key_to_media_host,
        [call for call in seen.calls if call.public and " " in _credentials(call)],
        "sent its key along with a download that needs none",
    )


@rule(
    why="There is no status after COMPLETED: who waits for SUCCEEDED or FAILED waits for ever.",
    source="PROTOCOL.md 4.3; https://github.com/TanStack/ai/issues/394",
)
def waits_after_completed(seen: History) -> Iterator[Finding]:
    """Found where five polls or more followed one that said COMPLETED, before any result was fetched."""
    for story in seen.stories:
        told = story.told_completed
        if told is None:
            continue
        fetched = next((call.id for call in story.of(Operation.RESULT) if call.id > told.id), float("inf"))
        needless = [call for call in story.of(Operation.STATUS) if told.id < call.id < fetched]
        if len(needless) >= NEEDLESS_POLLS:
            yield _found(
                waits_after_completed,
                f"polled {len(needless)} times more after it was told COMPLETED",
                [told, *_ends(needless)],
            )


@rule(
    why="A 422 is the model's last word on an input: the same input ends the same way, and may be billed "
    "again.",
    source="PROTOCOL.md 14; https://github.com/edenartlab/eve/pull/576",
)
def retries_422(seen: History) -> Iterator[Finding]:
    """Found where 422 was fetched, delivered or answered, and then the same input submitted again."""
    rejected: dict[tuple[Any, ...], Exchange | Attempt] = {}
    inputs: dict[str, tuple[Any, ...]] = {}
    events: list[Exchange | Attempt] = [*seen.calls]
    events += [each for story in seen.stories for each in story.attempts]
    events.sort(key=lambda event: event.id)
    ends = {story.id: story.end.status for story in seen.stories if story.end is not None}
    for event in events:
        if isinstance(event, Exchange) and event.input_sha256 is not None:
            same = (event.endpoint, event.caller, event.test, event.input_sha256)
            if same in rejected:
                why = rejected.pop(same)
                ids = [each for each in (why.request_id, event.request_id) if each is not None]
                yield _found(
                    retries_422, "submitted an input again that had ended with 422", [why, event],
                    request_ids=tuple(ids),
                )  # fmt: skip
            if event.request_id is not None:
                inputs[event.request_id] = same
        known = (
            _took(event) and ends.get(event.request_id) == REJECTED
            if isinstance(event, Attempt)
            else event.operation in {Operation.RESULT, Operation.RUN} and event.status == REJECTED
        )
        if known and event.request_id in inputs:
            rejected[inputs[event.request_id]] = event


def _by_caller(look: Look, calls: Sequence[Exchange], says: str) -> Iterator[Finding]:
    """Yield a finding for each key and test: one habit, not so many calls."""
    groups: defaultdict[tuple[str | None, str | None], list[Exchange]] = defaultdict(list)
    for call in calls:
        groups[call.caller, call.test].append(call)
    for (caller, _), theirs in groups.items():
        yield _found(look, f"{says}: key {caller}, {len(theirs)} times", theirs)


def _found(
    look: Look,
    says: str,
    entries: Sequence[Entry],
    request_ids: tuple[str, ...] | None = None,
) -> Finding:
    shown = list(dict.fromkeys(map(str, entries)))
    more = [f"... and {len(shown) - SHOWN} more"] if len(shown) > SHOWN else []
    ids = dict.fromkeys(entry.request_id for entry in entries if entry.request_id is not None)
    return Finding(
        rule=look.__name__.replace("_", "-"),
        says=says,
        evidence=(*shown[:SHOWN], *more),
        request_ids=tuple(ids) if request_ids is None else request_ids,
        test=next((entry.test for entry in entries if entry.test is not None), None),
    )


def _ends(calls: Sequence[Exchange]) -> list[Exchange]:
    """Return the first and the last."""
    return [*calls[:1], *calls[1:][-1:]]


def _took(attempt: Attempt) -> bool:
    return attempt.status is not None and attempt.status // 100 == 2  # noqa: PLR2004 - HTTP's good ones


def _credentials(call: Exchange) -> str:
    return dict(call.headers).get("authorization", "")


def _last_status(call: Exchange) -> dict[str, Any]:
    """Return the status object that a call was told, of a stream the last one; empty if there is none."""
    answer = call.answer
    if call.operation == Operation.STREAM and isinstance(answer, str):
        answer = _event(answer)
    return answer if isinstance(answer, dict) and (call.status or FAILED) < FAILED else {}


def _event(stream: str) -> Any:
    events = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]
    try:
        return json.loads(events[-1]) if events else None
    except ValueError:  # it broke off in the middle
        return None
