"""The client check: mistakes of an application that cost money, results or trust, found in a journal. Pure.

The journal must prove a finding. Anything that may be intended is not reported; the docstring of each rule
says what is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from falmock.catalogue import BUNDLED
from falmock.faults.effects import FORGED, RESERIALIZED
from falmock.inspection.entries import JournalEntry
from falmock.inspection.history import FAILED, History, accepted, last_status
from falmock.protocol import endpoints
from falmock.protocol.calls import Operation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from falmock.catalogue import Catalogue
    from falmock.inspection.entries import Exchange

SHOWN: Final = 4  # entries of a finding
FASTEST: Final = 0.09  # seconds; fal's Python client polls every 0.1 s
ENOUGH_POLLS: Final = 6
NEEDLESS_POLLS: Final = 5  # after COMPLETED; fal's clients poll once more, and so does a page in two tabs
WEBHOOKS: Final = frozenset({"webhook", "webhook_url", "webhookUrl", "fal_webhook"})
SILENCE: Final = 60.0  # seconds of the emulator's clock without a poll, after which a client has given up


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake and its evidence.

    Attributes:
        says: the mistake, in one line.
        evidence: some of the entries that show it, one line each.
    """

    rule: str
    says: str
    evidence: tuple[str, ...]
    request_ids: tuple[str, ...]
    test: str | None

    def __str__(self) -> str:
        return "\n".join([f"{self.rule}: {self.says}", *(f"    {line}" for line in self.evidence)])


Evidence = tuple[str, Sequence[JournalEntry]]  # the mistake in one line, and the entries that show it
RuleFunction = Callable[[History], Iterator[Evidence]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: in findings and on the command line.
        find: yields the evidence of each finding; its docstring says when.
    """

    name: str
    why: str
    source: str
    find: RuleFunction


RULES: Final[dict[str, Rule]] = {}


def rule(*, why: str, source: str) -> Callable[[RuleFunction], RuleFunction]:
    """Register a function as a rule, under its own name with hyphens."""

    def register(find: RuleFunction) -> RuleFunction:
        name = find.__name__.replace("_", "-")
        RULES[name] = Rule(name, why, source, find)
        return find

    return register


def check(
    entries: Iterable[JournalEntry], *, catalogue: Catalogue = BUNDLED, now: float | None = None
) -> list[Finding]:
    """Return the findings of all rules.

    Args:
        now: unix seconds of the emulator's clock; by default the time of the last entry.
    """
    history = History(list(entries), catalogue, now)
    return [_finding(rule, *found) for rule in RULES.values() for found in rule.find(history)]


@rule(
    why="COMPLETED means finished, not successful: fal has no FAILED, and only the result shows the error.",
    source="PROTOCOL.md 4.3; https://github.com/TanStack/ai/pull/396",
)
def completed_as_success(history: History) -> Iterator[Evidence]:
    """Found where a failed request was polled until COMPLETED and its result was not fetched.

    Not reported: a status that names the error, a cancel, a webhook. Then the client needs no result.
    """
    for request in history.requests:
        poll, end = request.completed_poll, request.end
        if poll is None or end is None or (end.status or 0) < FAILED or "error" in last_status(poll):
            continue
        if not (request.of(Operation.RESULT, Operation.CANCEL) or request.has_webhook):
            says = f"polled until COMPLETED and never fetched the result, which is a {end.status}"
            yield says, [*_ends(request.calls), end]


@rule(
    why="A job takes minutes, so a poll every few milliseconds is needless load. fal's own clients "
    "poll every 0.1 s (Python) and 0.5 s (JavaScript).",
    source="PROTOCOL.md 10; https://github.com/fal-ai/fal/issues/573",
)
def polls_too_fast(history: History) -> Iterator[Evidence]:
    """Found where six or more polls of a request came less than 0.09 s apart (median).

    The pauses are short on the emulator's clock and in real time, because a test may make either fast.
    """
    for request in history.requests:
        completed = request.completed_poll
        last = completed.id if completed else float("inf")
        polls = [call for call in request.of(Operation.STATUS) if call.id <= last]
        if len(polls) < ENOUGH_POLLS:
            continue
        gaps = [max(later.at - sooner.at, later.real - sooner.real) for sooner, later in pairwise(polls)]
        if (gap := median(gaps)) < FASTEST:
            yield f"polled {len(polls)} times, {gap * 1000:.0f} ms apart", _ends(polls)


@rule(
    why="Status, result and cancel are below owner and alias alone: fal's clients leave out the rest of "
    "the endpoint, and fal answers 405 to calls with it.",
    source="PROTOCOL.md 3; https://github.com/fal-ai/fal-js/issues/214",
)
def status_under_subpath(history: History) -> Iterator[Evidence]:
    """Found where a call about a request has the endpoint's path in its URL.

    The URLs in the response to the submit are right, so such a URL was built by hand, as fal's documentation
    describes it. With `--lenient-paths` falmock answers it.
    """
    for request in history.requests:
        about = (Operation.STATUS, Operation.STREAM, Operation.RESULT, Operation.CANCEL, Operation.OTHER)
        wrong = [call for call in request.of(*about) if _has_path(call.endpoint)]
        if wrong:
            says = f"called {wrong[0].endpoint}/requests/ instead of the URLs in the answer to the submit"
            yield says, wrong


@rule(
    why="A job that takes longer than its client waits goes on and is billed; submitting the same input "
    "again is a second bill.",
    source="https://github.com/Comfy-Org/ComfyUI/pull/16204",
)
def resubmits_after_timeout(history: History) -> Iterator[Evidence]:
    """Found where an equal submit came before the first request ended, and the first was then abandoned.

    Abandoned means: no later call about it, no cancel, no webhook. If all equal requests are followed, they
    may be intended.
    """
    for first, submit, again in history.repeats():
        handled = first.has_webhook or first.of(Operation.CANCEL, Operation.RESULT)
        if handled or any(call.id > again.id or not call.over for call in first.polls):
            continue
        if first.completed_poll is None and (first.end is None or first.end.id > again.id):
            says = f"submitted the same input again while {first.id} was open, and abandoned that"
            yield says, [submit, *first.polls[-1:], again]


@rule(
    why="A job that is abandoned without a cancel is billed, and its result is never fetched.",
    source="https://github.com/steipete/summarize/pull/392",
)
def never_cancels(history: History) -> Iterator[Evidence]:
    """Found where polling stopped for a minute of emulated time before COMPLETED, without a cancel.

    A request with a webhook, or one that was never polled, is not reported: another process may have its id.
    """
    for request in history.requests:
        polls = request.polls
        handled = request.has_webhook or request.of(Operation.CANCEL, Operation.RESULT)
        if not polls or request.completed_poll or handled:
            continue
        gaps = [later.at - sooner.at for sooner, later in pairwise(polls)]
        if polls[-1].over and history.now - polls[-1].at >= max(SILENCE, 3 * max(gaps, default=0.0)):
            yield "stopped polling before COMPLETED, and sent no cancel", [*_ends(polls), *request.steps[-1:]]


@rule(
    why="The URL of a webhook is not secret: a receiver that accepts a forged or old delivery accepts "
    "one from any sender.",
    source="PROTOCOL.md 9.2; https://github.com/code100x/photo-ai/pull/74",
)
def ignores_signature(history: History) -> Iterator[Evidence]:
    """Found where the fault `webhook_bad_signature` or `webhook_old_timestamp` was answered with 2xx."""
    yield from _takes(history, FORGED - {RESERIALIZED})


@rule(
    why="The signature covers the bytes, not the JSON: a receiver that verifies a body it has serialised "
    "again accepts bytes that fal never signed, or refuses those that it did.",
    source="PROTOCOL.md 9.1",
)
def accepts_reserialized(history: History) -> Iterator[Evidence]:
    """Found where the fault `webhook_reserialized` was answered with 2xx."""
    yield from _takes(history, {RESERIALIZED})


def _takes(history: History, faults: Collection[str]) -> Iterator[Evidence]:
    for request in history.requests:
        taken = [attempt for attempt in request.attempts if attempt.fault in faults and accepted(attempt)]
        if taken:
            yield f"answered {taken[0].status} to {taken[0].fault}", taken


@rule(
    why="Deliveries are repeated. A repeated one that is answered with an error is sent again and again: "
    "answer 2xx and ignore it.",
    source="PROTOCOL.md 9.3; https://github.com/edenartlab/eve/pull/568",
)
def refuses_duplicate(history: History) -> Iterator[Evidence]:
    """Found where a delivery was answered with 2xx and a later one with another status.

    Forged deliveries and attempts without a response do not count.
    """
    for request in history.requests:
        answered = [each for each in request.attempts if each.status is not None and each.fault not in FORGED]
        first = next(filter(accepted, answered), None)
        refused = [each for each in answered if first and each.id > first.id and not accepted(each)]
        if first is not None and refused:
            yield f"answered {refused[0].status} to a second delivery", [first, *refused]


@rule(
    why="A key takes the scheme Key. With Bearer fal accepts only tokens, and answers 401.",
    source="PROTOCOL.md 2",
)
def bearer_key(history: History) -> Iterator[Evidence]:
    """Found where Bearer is followed by a key: an id and a secret with a colon."""
    calls = [call for call in history.calls if _credentials(call).lower().startswith("bearer ")]
    yield from _by_caller(calls, "sent a key as Bearer")


@rule(
    why="Files are public, and on another host than the queue: a key that is sent there is exposed.",
    source="PROTOCOL.md 8.3",
)
def key_to_media_host(history: History) -> Iterator[Evidence]:
    """Found where a public file was downloaded with a key.

    A file with an access list needs the key.
    """
    calls = [call for call in history.calls if call.public and " " in _credentials(call)]
    yield from _by_caller(calls, "sent a key with a download that needs none")


@rule(
    why="There is no status after COMPLETED: a client that waits for SUCCEEDED or FAILED waits for ever.",
    source="PROTOCOL.md 4.3; https://github.com/TanStack/ai/issues/394",
)
def waits_after_completed(history: History) -> Iterator[Evidence]:
    """Found where five or more polls followed a COMPLETED before the result was fetched."""
    for request in history.requests:
        completed = request.completed_poll
        if completed is None:
            continue
        results = (call.id for call in request.of(Operation.RESULT) if call.id > completed.id)
        fetched = next(results, float("inf"))
        needless = [call for call in request.of(Operation.STATUS) if completed.id < call.id < fetched]
        if len(needless) >= NEEDLESS_POLLS:
            yield f"polled {len(needless)} times more after COMPLETED", [completed, *_ends(needless)]


@rule(
    why="A 422 is final for an input: the same input fails in the same way, and may be billed again.",
    source="PROTOCOL.md 14; https://github.com/edenartlab/eve/pull/576",
)
def retries_422(history: History) -> Iterator[Evidence]:
    """Found where a 422 was fetched, delivered or returned, and the same input was submitted again."""
    for rejection, again in history.resubmits_of_rejected_inputs():
        yield "submitted an input again after a 422", [rejection, again]


@rule(
    why="The webhook of a request is the query parameter fal_webhook of its submit. In an input it has no "
    "effect, and nothing is delivered.",
    source="PROTOCOL.md 4.1",
)
def webhook_in_input(history: History) -> Iterator[Evidence]:
    """Found where an input has a field `webhook`, `webhook_url`, `webhookUrl` or `fal_webhook`.

    A model that has such a field is not reported.
    """
    for unknown in history.unknown_fields():
        if unknown.name in WEBHOOKS:
            yield f"sent {unknown.name} inside the input of {unknown.endpoint}", unknown.calls


@rule(
    why="Fields that a model does not have are ignored: a misspelt one leaves the default of the right one, "
    "and nothing says so.",
    source="PROTOCOL.md 14.1",
)
def unknown_field(history: History) -> Iterator[Evidence]:
    """Found where an input has a field that its model does not have, such as `lenght`.

    A webhook is found by another rule.
    """
    for unknown in history.unknown_fields():
        if unknown.name not in WEBHOOKS:
            near = get_close_matches(unknown.name, sorted(unknown.known), n=1)
            hint = f": did you mean {near[0]}?" if near else ""
            yield f"sent {unknown.name!r}, which {unknown.endpoint} does not have{hint}", unknown.calls


def _by_caller(calls: Sequence[Exchange], says: str) -> Iterator[Evidence]:
    """Yield one finding for each key and test, instead of one for each call."""
    groups: defaultdict[tuple[str | None, str | None], list[Exchange]] = defaultdict(list)
    for call in calls:
        groups[call.caller, call.test].append(call)
    for (caller, _), group in groups.items():
        yield f"{says}: key {caller}, {len(group)} times", group


def _finding(rule: Rule, says: str, entries: Sequence[JournalEntry]) -> Finding:
    lines = list(dict.fromkeys(map(str, entries)))
    more = [f"... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    ids = dict.fromkeys(entry.request_id for entry in entries if entry.request_id is not None)
    return Finding(
        rule=rule.name,
        says=says,
        evidence=(*lines[:SHOWN], *more),
        request_ids=tuple(ids),
        test=next((entry.test for entry in entries if entry.test is not None), None),
    )


def _ends(calls: Sequence[Exchange]) -> list[Exchange]:
    """Return the first call and the last."""
    return [*calls[:1], *calls[1:][-1:]]


def _has_path(endpoint: str | None) -> bool:
    parsed = endpoints.parse(endpoint or "")
    return parsed is not None and bool(parsed.path)


def _credentials(call: Exchange) -> str:
    return dict(call.headers).get("authorization", "")
