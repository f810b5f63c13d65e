"""Which requests are sent again.

Reads, cancels and uploads are free and are repeated while that may help. A submit or run may cost money, so
it is sent again only if the attempt certainly made no job:

- no connection was made (`httpx.ConnectError`, `ConnectTimeout`, `PoolTimeout`), so nothing was sent;
- fal, not a runner, answered 429, which it does before it queues or runs anything.

Any other 4xx is a refusal: there is no job. After a 5xx, 408, 499, an unreadable answer or none, there may be
one: `SubmitUnconfirmed`.
"""

from __future__ import annotations

import logging
import random
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import httpx

from falqueue._errors import AnswerLost, NotSent, SubmitUnconfirmed, Unreachable
from falqueue._responses import GATEWAY_ERRORS, is_from_runner, refusal, wants_retry
from falqueue._steps import Flow, HttpRequest, Sleep

if TYPE_CHECKING:
    from collections.abc import Callable

    from falqueue._handle import Handle

log = logging.getLogger("falqueue")

NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
SUBMIT_ATTEMPTS: Final = 4  # report soon that nothing listens at the address: no job is at stake yet
UNCONFIRMED: Final = frozenset({408, 499})
TRANSIENT: Final = frozenset({408, 409, 429, 500}) | GATEWAY_ERRORS
FOREVER: Final = float("inf")
MOST_ASKED: Final = 60.0  # seconds of `Retry-After` that are waited


def is_transient(response: httpx.Response) -> bool:
    """Whether the same read may succeed if sent again (PROTOCOL.md 10, 11.2)."""
    if response.status_code < 400 or "x-fal-request-timeout-type" in response.headers:
        return False
    advice = wants_retry(response)
    return response.status_code in TRANSIENT if advice is None else advice


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff: `initial` seconds, then `factor` times longer each time, up to `maximum`.

    `jitter` is the fraction by which each wait varies at random. `max_attempts` counts the first attempt;
    a submit is tried at most four times, and polls ignore it.

    >>> [Backoff(initial=1, maximum=5, jitter=0).seconds(attempt) for attempt in (1, 2, 3, 4)]
    [1.0, 2.0, 4.0, 5.0]
    """

    initial: float = 0.5
    factor: float = 2.0
    maximum: float = 10.0
    jitter: float = 0.25
    max_attempts: int = 10

    def seconds(self, attempt: int, rng: Callable[[], float] = random.random) -> float:
        """Return the wait after this attempt (the first is 1). `rng` returns numbers in [0, 1)."""
        wait = self.initial * self.factor ** min(attempt - 1, 64)
        return min(self.maximum, wait) * (1 + self.jitter * (2 * rng() - 1))


RETRIES = Backoff()
POLLS = Backoff(initial=0.5, factor=1.3, maximum=5.0, jitter=0.1)


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends requests, with retries. `clock` returns monotonic seconds, `rng` numbers in [0, 1)."""

    retries: Backoff
    rng: Callable[[], float]
    clock: Callable[[], float]

    def repeat(
        self,
        request: HttpRequest,
        handle: Handle[Any] | None = None,
        *,
        retry: Callable[[httpx.Response], bool] = is_transient,
        deadline: float = FOREVER,
    ) -> Flow[httpx.Response]:
        """Send a free request, again if that may help; return the last response or raise Unreachable.

        No attempt starts after `deadline`, nor waits longer for the server.
        """
        attempt = 0
        while True:
            attempt += 1
            outcome: httpx.Response | Unreachable
            try:
                response: httpx.Response = yield self._within(request, deadline)
            except httpx.RequestError as error:
                log.debug("%s %s: %s", request.method, request.url, type(error).__name__)
                outcome = _unreachable(error, handle)
            else:
                log.debug("%s %s: %s", request.method, request.url, response.status_code)
                if not retry(response):
                    return response
                outcome = response
            if attempt < self.retries.max_attempts:
                asked = _retry_after(outcome) if isinstance(outcome, httpx.Response) else 0.0
                yield from self.sleep(attempt, deadline, at_least=asked)
            if attempt >= self.retries.max_attempts or self.clock() >= deadline:
                if isinstance(outcome, Unreachable):
                    raise outcome
                return outcome

    def once(self, request: HttpRequest, *, retry_429: bool) -> Flow[httpx.Response]:
        """Send a request that may cost money, again only if there is certainly no job.

        Raise NotSent if no connection was made, SubmitUnconfirmed if there was no answer.
        """
        attempt, last = 0, min(SUBMIT_ATTEMPTS, self.retries.max_attempts)
        while True:
            attempt += 1
            asked = 0.0
            try:
                response: httpx.Response = yield request
            except NEVER_SENT as error:
                if attempt >= last:
                    raise NotSent(f"could not connect: {error}") from error
            except httpx.RequestError as error:
                raise SubmitUnconfirmed(
                    f"no answer ({type(error).__name__}): there may be a job, so it is not sent again"
                ) from error
            else:
                log.debug("%s %s: %s", request.method, request.url, response.status_code)
                refused_by_fal = response.status_code == 429 and not is_from_runner(response)
                if not (refused_by_fal and retry_429) or attempt >= last:
                    return response
                asked = _retry_after(response)
            yield from self.sleep(attempt, at_least=asked)

    def sleep(self, attempt: int, deadline: float = FOREVER, *, at_least: float = 0.0) -> Flow[None]:
        """Wait after this attempt, at most until `deadline`. `at_least`: the seconds of `Retry-After`."""
        left = max(deadline - self.clock(), 0.0)
        yield Sleep(min(left, max(self.retries.seconds(attempt, self.rng), min(at_least, MOST_ASKED))))

    def _within(self, request: HttpRequest, deadline: float) -> HttpRequest:
        left = max(deadline - self.clock(), 0.01)
        return request if left >= (request.timeout or FOREVER) else replace(request, timeout=left)


def require_accepted(response: httpx.Response) -> None:
    """Raise Refused if fal refused the submit or run, SubmitUnconfirmed if it may have accepted it."""
    if response.is_success:
        return
    error = refusal(response)
    if response.status_code >= 500 or response.status_code in UNCONFIRMED:
        raise SubmitUnconfirmed(
            f"{error.message}: there may be a job, so it is not sent again", request_id=error.request_id
        ) from error
    raise error


def _retry_after(response: httpx.Response) -> float:
    """Return the seconds of `Retry-After`; 0 without it, and for a date."""
    value = response.headers.get("retry-after", "")
    return float(value) if re.fullmatch(r"[0-9]{1,9}", value) else 0.0


def _unreachable(error: httpx.RequestError, handle: Handle[Any] | None) -> Unreachable:
    kind = NotSent if isinstance(error, NEVER_SENT) else AnswerLost
    unreachable = kind(f"{type(error).__name__}: {error}", handle=handle)
    unreachable.__cause__ = error
    return unreachable
