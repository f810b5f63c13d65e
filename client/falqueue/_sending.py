"""What may be sent again, and what may not.

Money decides. Reads, cancels and uploads cost nothing, so they are repeated while that may help. A submit or
a run is sent again only after a try that provably made no job:

- no connection came about (`httpx.ConnectError`, `ConnectTimeout`, `PoolTimeout`), so not a byte of it left;
- fal answered 429, which it does before anything is queued or run.

Every other 4xx is a refusal: no job, and asking again would be answered the same. A 5xx, a 408 or 499, an
answer that cannot be read, or none at all proves nothing: `SubmitUnconfirmed`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx

from falqueue._errors import AnswerLost, NotSent, SubmitUnconfirmed, Unreachable
from falqueue._replies import refusal, worth_asking_again
from falqueue._steps import Ask, Flow, Pause

if TYPE_CHECKING:
    from collections.abc import Callable

    from falqueue._handle import Handle
    from falqueue._timing import Backoff

log = logging.getLogger("falqueue")

NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
SUBMIT_ATTEMPTS: Final = 4  # nothing is lost yet, and who forgot to start the emulator shall hear it soon
MAY_HAVE_BEEN_RECEIVED: Final = frozenset({408, 499})


@dataclass(frozen=True, slots=True)
class Sending:
    """The two ways to send, with the patience that both have."""

    retries: Backoff
    luck: Callable[[], float]

    def repeat(
        self,
        ask: Ask,
        handle: Handle[Any] | None = None,
        *,
        again: Callable[[httpx.Response], bool] = worth_asking_again,
    ) -> Flow[httpx.Response]:
        """Send what costs nothing, again and again if that may help; return the last answer.

        Raises:
            Unreachable: the last try had no answer.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                reply: httpx.Response = yield ask
            except httpx.RequestError as error:
                log.debug("%s %s: %s", ask.method, ask.url, type(error).__name__)
                if attempt >= self.retries.attempts:
                    raise _unreachable(error, handle) from error
            else:
                log.debug("%s %s: %s", ask.method, ask.url, reply.status_code)
                if attempt >= self.retries.attempts or not again(reply):
                    return reply
            yield self.pause(attempt)

    def once(self, ask: Ask, *, give_up_on_429: bool) -> Flow[httpx.Response]:
        """Send what may cost money: again only after a try that provably made no job.

        Raises:
            NotSent: no connection came about.
            SubmitUnconfirmed: it was sent, and no answer came.
        """
        attempt, last = 0, min(SUBMIT_ATTEMPTS, self.retries.attempts)
        while True:
            attempt += 1
            try:
                reply: httpx.Response = yield ask
            except NEVER_SENT as error:
                if attempt >= last:
                    raise NotSent(f"could not connect: {error}") from error
            except httpx.RequestError as error:
                raise SubmitUnconfirmed(
                    f"no answer ({type(error).__name__}): a job may have been made, so it is not sent again"
                ) from error
            else:
                log.debug("%s %s: %s", ask.method, ask.url, reply.status_code)
                if reply.status_code != 429 or give_up_on_429 or attempt >= last:
                    return reply
            yield self.pause(attempt)

    def pause(self, attempt: int) -> Pause:
        """Return the wait after the attempt with this number."""
        return Pause(self.retries.seconds(attempt, self.luck()))


def confirm(reply: httpx.Response) -> None:
    """Return if fal took what was sent.

    Raises:
        Refused: it surely did not.
        SubmitUnconfirmed: nobody knows.
    """
    if reply.is_success:
        return
    error = refusal(reply)
    if reply.status_code >= 500 or reply.status_code in MAY_HAVE_BEEN_RECEIVED:
        raise SubmitUnconfirmed(
            f"{error.message}: a job may have been made, so it is not sent again",
            request_id=error.request_id,
        ) from error
    raise error


def _unreachable(error: httpx.RequestError, handle: Handle[Any] | None) -> Unreachable:
    kind = NotSent if isinstance(error, NEVER_SENT) else AnswerLost
    return kind(f"{type(error).__name__}: {error}", handle=handle)
