"""The states of a request and the legal transitions between them.

fal has three states (PROTOCOL.md 4.3). There is no FAILED and no CANCELLED: a request that failed, was
cancelled or never started is COMPLETED, and only its result shows the difference.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """A status of fal's queue."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"


class Event(StrEnum):
    """An event that changes the state of a request."""

    START = "start"  # a runner takes the request
    FINISH = "finish"  # the runner answered, with a result or an error
    REQUEUE = "requeue"  # the runner failed, and the platform tries again
    CANCEL = "cancel"  # the caller cancelled the request
    START_TIMEOUT = "start_timeout"  # no runner took the request before the caller's deadline


TRANSITIONS: Final[dict[State, dict[Event, State]]] = {
    State.IN_QUEUE: {
        Event.START: State.IN_PROGRESS,
        Event.CANCEL: State.COMPLETED,
        Event.START_TIMEOUT: State.COMPLETED,
    },
    State.IN_PROGRESS: {
        Event.FINISH: State.COMPLETED,
        Event.REQUEUE: State.IN_QUEUE,
        Event.CANCEL: State.COMPLETED,
    },
    State.COMPLETED: {},
}


class IllegalTransitionError(Exception):
    """The event is not possible in that state. This is a bug in falmock; nothing was changed."""


def after(state: State, event: Event) -> State:
    """Return the next state.

    Raises:
        IllegalTransitionError: the table has no such transition.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransitionError(f"{event} cannot happen to a request that is {state}") from None


class DeliveryState(StrEnum):
    """The states of a webhook's delivery. All but PENDING are final."""

    PENDING = "pending"
    DELIVERED = "delivered"  # the receiver answered 2xx
    FAILED = "failed"  # all attempts failed, or the receiver redirected
    REFUSED = "refused"  # the settings do not allow this receiver
    LOST = "lost"  # a fault
