"""How a submission becomes a request: its id, its times, and the faults that it gets."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Final

from falmock.engine.clock import LAST
from falmock.engine.ids import uuid7
from falmock.engine.rows import Request
from falmock.faults import effects
from falmock.faults.effects import Injection, Injections
from falmock.faults.vocabulary import OF_A_REQUEST
from falmock.protocol.errors import TimeEnded

if TYPE_CHECKING:
    from falmock.engine.payloads import Payloads
    from falmock.engine.resources import Resources
    from falmock.engine.steps import Steps
    from falmock.engine.submission import Submission

MARGIN: Final = 24 * 3600.0  # seconds before the end of emulated time; nothing is accepted in them


class Admission:
    """Creates requests."""

    def __init__(self, resources: Resources, payloads: Payloads, steps: Steps) -> None:
        self._settings = resources.settings
        self._store = resources.store
        self._rule_set = resources.rule_set
        self._payloads = payloads
        self._steps = steps

    def accept(self, submission: Submission, now: float, *, direct: bool) -> Request:
        """Insert a request, in the caller's transaction.

        Args:
            now: emulated time in unix seconds.
            direct: whether it is a call to the run host: no wait in the queue, no retries, no webhook.

        Raises:
            TimeEnded: the request might not end before emulated time does.
        """
        if now > LAST - MARGIN:
            raise TimeEnded
        seq = self._store.next_seq()
        rng = self._steps.rng(seq, "submit")
        request_id = str(uuid7(now, rng))
        injections = self._injections(submission, request_id)
        injected = Injections(injections)
        queue_seconds = 0.0 if direct else self._settings.queue_seconds.draw(rng)
        run_seconds = self._settings.run_seconds.draw(rng)
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
            body_file=self._payloads.keep_input(request_id, submission.body),
            submitted_at=now,
            ready_at=effects.ready_at(injected, now + queue_seconds, now),
            run_seconds=effects.run_seconds(injected, run_seconds),
            priority=submission.priority,
            start_by=None if submission.start_within == math.inf else now + submission.start_within,
            retry=submission.retry and not direct,
            store_io=submission.store_io,
            lifecycle=submission.lifecycle,
            webhook=None if direct else submission.webhook,
            faults=injected.dump(),
            gateway_id=request_id,
        )
        self._store.insert(request)
        for injection in injections:
            if injection.fault.name in effects.AT_ONCE:
                self._steps.observed(injection)
        self._steps.note(request, "submit", now)
        return request

    def _injections(self, submission: Submission, request_id: str) -> list[Injection]:
        watched = [place for place in OF_A_REQUEST if self._rule_set.watches(place, request_id)]
        if not submission.faults and not watched:
            return []
        self._store.on_rollback(self._rule_set.checkpoint())
        contexts = submission.contexts(request_id)
        injections = [
            injection for place in watched for injection in self._rule_set.injections(contexts[place])
        ]
        for fault in submission.faults:
            if any(place in OF_A_REQUEST for place in fault.kind.on):
                injections.append(Injection(fault))
            else:  # it applies to a later call about the request
                from falmock.faults.rules import Rule  # noqa: PLC0415 - loads pydantic; few requests need it

                self._rule_set.add(Rule(fault=str(fault), request=request_id))
        return injections
