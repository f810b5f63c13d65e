"""The submission: a submit with its headers and query parsed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from falmock.faults.vocabulary import OF_A_REQUEST, MatchContext
from falmock.protocol import bodies

if TYPE_CHECKING:
    from collections.abc import Callable

    from falmock.faults.vocabulary import Fault
    from falmock.protocol.endpoints import Endpoint


@dataclass(frozen=True, slots=True)
class Submission:
    """The input of `Emulator.submit` and `Emulator.run_directly`.

    Attributes:
        caller: the key id.
        origin: the base URL, as `str(BaseURL)`.
        test: the test that it belongs to, or None.
        webhook: the URL to deliver to, or None.
        priority: `queue.NORMAL` or `queue.LOW`.
        start_within: seconds within which a runner must start it; infinity for no limit.
        retry: run it again after a 503 or 504.
        store_io: keep its payloads.
        lifecycle: JSON of the object lifecycle preference, or None.
        max_queue_length: refuse it when more requests than this wait.
        faults: the faults that its headers or its input ask for.
        parsed: returns the result of `parse_input(body)`, if the body was parsed before.
    """

    endpoint: Endpoint
    caller: str
    origin: str
    method: str
    content_type: str | None
    body: bytes
    test: str | None = None
    webhook: str | None = None
    priority: int = 0
    start_within: float = math.inf
    retry: bool = True
    store_io: bool = True
    lifecycle: str | None = None
    max_queue_length: float = math.inf
    faults: tuple[Fault, ...] = ()
    parsed: Callable[[], dict[str, Any]] | None = None

    def contexts(self, request_id: str) -> dict[str, MatchContext]:
        """Return the facts that rules are matched against, by place. The body is parsed at most once."""
        parsed = self.parsed or cache(lambda: parse_input(self.body))
        return {
            place: MatchContext(place, str(self.endpoint), self.caller, self.test, request_id, parsed)
            for place in OF_A_REQUEST
        }


def parse_input(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; an empty one for any other body, or beyond the limits."""
    parsed = bodies.load_or_none(body)
    return parsed if isinstance(parsed, dict) else {}
