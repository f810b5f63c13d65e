"""Answers polls, results and submits without a task and without the ASGI layers.

These are most of the calls that an emulator gets, and they need not wait. All others pass through the layers:
calls of pages, to other hosts, for streams, with a webhook or a large input, and those that a fault may
affect. Both ways use the same guard, router, recorder and host. Headers and paths that a client repeats are
parsed once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from falmock.engine.files import LARGE_INPUT
from falmock.faults.triggers import MAGIC_HEADER, may_have_triggers
from falmock.http.context import Area, CallContext
from falmock.http.guard import admits_program
from falmock.http.submission import wants_webhook
from falmock.inspection.received_call import join_headers
from falmock.protocol.authorities import AuthorityError
from falmock.protocol.calls import Operation
from falmock.protocol.hosts import QUEUE, TARGETS, NotServedError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from starlette.responses import Response
    from starlette.types import Scope

    from falmock.faults.rule_set import RuleSet
    from falmock.http.recorder import HostAtOnce, Recorder
    from falmock.http.router import HostRouter
    from falmock.protocol.authorities import Authority
    from falmock.protocol.calls import Call
    from falmock.protocol.hosts import Destination
    from falmock.settings import Settings

OPERATIONS: Final = frozenset({Operation.SUBMIT, Operation.STATUS, Operation.RESULT, Operation.CANCEL})
REMEMBERED: Final = 500  # calls
LONGEST: Final = 2000  # bytes of the path and the headers of a call that is remembered


@dataclass(frozen=True, slots=True)
class _Reading:
    """A parsed call, without its query and its body.

    Attributes:
        headers: by name.
        joined: all headers as bytes.
        call: the operation on the queue host.
    """

    authority: Authority
    headers: Mapping[str, str]
    joined: bytes
    destination: Destination
    call: Call


class AtOnce:
    """Answers the calls that need not wait.

    Args:
        router: finds the host of a call.
        recorder: records the calls.
        rules: calls that a rule may apply to are not answered here.
        queue: returns the response of the queue host.
        arrivals: counts the calls for each host.
    """

    def __init__(
        self,
        settings: Settings,
        router: HostRouter,
        *,
        recorder: Recorder,
        rules: RuleSet,
        queue: HostAtOnce,
        arrivals: Counter[str],
    ) -> None:
        self._names = settings.own_names
        self._largest = min(LARGE_INPUT, settings.max_body)
        self._router = router
        self._recorder = recorder
        self._rules = rules
        self._queue = queue
        self._arrivals = arrivals
        self._readings: dict[object, _Reading] = {}

    def __call__(self, scope: Scope, body: bytes | None) -> Response | None:
        """Return the response to a call; None for one that must pass through the layers.

        Args:
            scope: is not changed.
            body: complete; None if it has not been received.
        """
        key = (scope["method"], scope["path"], scope["scheme"], *scope["headers"])
        reading = self._readings.get(key) or self._read(scope, key)
        if reading is None:
            return None
        call = reading.call
        submits = call.operation is Operation.SUBMIT
        if submits and (
            body is None or len(body) > self._largest or may_have_triggers(body) or wants_webhook(scope)
        ):
            return None
        if self._rules.watches(call.operation, call.request_id):
            return None
        context = CallContext(Area.FAL, reading.authority, reading.headers, self._names)
        context.call, context.base_url = call, reading.destination.base_url
        context.body = body if submits else None
        self._arrivals[QUEUE] += 1
        path = reading.destination.path
        return self._recorder.answer_at_once(self._queue, context, scope, path, reading.joined)

    def _read(self, scope: Scope, key: object) -> _Reading | None:
        """Read a call; None if it is not answered here."""
        admitted = admits_program(scope, self._names)
        if admitted is None:
            return None
        authority, headers = admitted
        if "host" not in headers or MAGIC_HEADER in headers or not TARGETS.isdisjoint(headers):
            return None
        try:
            found = self._router.locate(authority, headers, scope["scheme"], scope["path"], self._names)
        except (AuthorityError, NotServedError):
            return None
        call = self._router.read(found, scope["method"], headers)
        if found.host != QUEUE or call.operation not in OPERATIONS:
            return None
        reading = _Reading(authority, headers, join_headers(scope["headers"]), found, call)
        if len(reading.joined) + len(found.path) <= LONGEST:
            if len(self._readings) >= REMEMBERED:
                self._readings.clear()
            self._readings[key] = reading
        return reading
