"""A submission, and how it becomes a request: its id, its times, and the faults that it gets."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from falmock.engine.clock import LAST
from falmock.engine.ids import rng, uuid7
from falmock.engine.rows import Request
from falmock.faults import effects
from falmock.faults.effects import Injection, Injections
from falmock.faults.vocabulary import OF_A_REQUEST, MatchContext
from falmock.protocol import bodies
from falmock.protocol.errors import TimeEnded

if TYPE_CHECKING:
    from collections.abc import Callable

    from falmock.engine.resources import Resources
    from falmock.faults.vocabulary import Fault
    from falmock.protocol.endpoints import Endpoint

MARGIN: Final = 24 * 3600.0  # seconds before the end of emulated time; nothing is accepted in them


@dataclass(frozen=True, slots=True)
class Submission:
    """A submit with its headers and query parsed."""

    endpoint: Endpoint
    caller: str  # the key id
    origin: str  # as `str(BaseURL)`
    method: str
    content_type: str | None
    body: bytes
    test: str | None = None
    webhook: str | None = None
    priority: int = 0  # `queue.NORMAL` or `queue.LOW`
    start_within: float = math.inf  # seconds within which a runner must start it; infinity for no limit
    retry: bool = True  # run it again after a 503 or 504
    store_io: bool = True  # keep its payloads
    lifecycle: str | None = None  # JSON of the object lifecycle preference
    max_queue_length: float = math.inf  # refuse it when more requests than this wait
    faults: tuple[Fault, ...] = ()  # the faults that its headers or its input ask for
    parsed: Callable[[], dict[str, Any]] | None = None  # returns `parse_input(body)`, if that is known


def parse_input(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; an empty one for any other body, or beyond the limits."""
    parsed = bodies.load_or_none(body)
    return parsed if isinstance(parsed, dict) else {}


def accept(resources: Resources, submission: Submission, now: float, *, direct: bool) -> Request:
    """Insert a request, in the caller's transaction.

    Args:
        direct: whether it is a call to the run host: no wait in the queue, no retries, no webhook.

    Raises:
        TimeEnded: the request might not end before emulated time does.
    """
    if now > LAST - MARGIN:
        raise TimeEnded
    settings, store = resources.settings, resources.store
    seq = store.next_seq()
    random = rng(resources.seed, seq, "submit")
    request_id = str(uuid7(now, random))
    queue_seconds = 0.0 if direct else settings.queue_seconds.draw(random)
    run_seconds = settings.run_seconds.draw(random)
    body_file = resources.files.payloads.keep_input(request_id, submission.body)
    chosen = _injections(resources, submission, request_id)
    injections = Injections(chosen)
    request = Request(
        id=request_id,
        seq=seq,
        application=submission.endpoint.application,
        path=submission.endpoint.path,
        caller=submission.caller,
        test=submission.test,
        origin=submission.origin,
        direct=direct,
        method=submission.method,
        content_type=submission.content_type,
        input_sha256=hashlib.sha256(submission.body).hexdigest(),
        body_file=body_file,
        submitted_at=now,
        ready_at=effects.ready_at(injections, now + queue_seconds, now),
        run_seconds=effects.run_seconds(injections, run_seconds),
        priority=submission.priority,
        start_by=None if submission.start_within == math.inf else now + submission.start_within,
        retry=submission.retry and not direct,
        store_io=submission.store_io,
        lifecycle=submission.lifecycle,
        webhook=None if direct else submission.webhook,
        faults=injections.dump(),
        gateway_id=request_id,
    )
    store.insert(request)
    for injection in chosen:
        if injection.fault.name in effects.AT_ONCE:
            resources.observed(injection)
    store.on_commit(partial(resources.observer.step, request, "submit", now))
    return request


def _injections(resources: Resources, submission: Submission, request_id: str) -> list[Injection]:
    rule_set = resources.rule_set
    watched = [place for place in OF_A_REQUEST if rule_set.watches(place, request_id)]
    if not submission.faults and not watched:
        return []
    resources.store.on_rollback(rule_set.checkpoint())
    endpoint, caller, test = str(submission.endpoint), submission.caller, submission.test
    parsed = submission.parsed or cache(lambda: parse_input(submission.body))
    injections: list[Injection] = []
    for place in watched:
        context = MatchContext(place, endpoint, caller, test, request_id, parsed)
        injections += rule_set.injections(context)
    for fault in submission.faults:
        if any(place in OF_A_REQUEST for place in fault.kind.on):
            injections.append(Injection(fault))
        else:  # it applies to a later call about the request
            from falmock.faults.rules import Rule  # noqa: PLC0415 - loads pydantic; few requests need it

            rule_set.add(Rule(fault=str(fault), request=request_id))
    return injections
