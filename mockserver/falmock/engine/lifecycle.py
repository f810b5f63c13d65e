"""The states of a request and the legal transitions between them. Nothing else.

fal knows three states (PROTOCOL.md 4.3). There is no FAILED and no CANCELLED: a request that
failed, was cancelled or was never started is COMPLETED, and only its result tells.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """What the status says."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"


class Event(StrEnum):
    """What can happen to a request."""

    START = "start"  # a runner takes it
    FINISH = "finish"  # the runner answered, well or badly
    REQUEUE = "requeue"  # the runner failed in a way that the platform tries again
    CANCEL = "cancel"  # the caller gave it up
    START_TIMEOUT = "start_timeout"  # no runner took it before the caller's deadline


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
    """A defect of this program: the event cannot happen in that state, and nothing was changed."""


def after(state: State, event: Event) -> State:
    """Return the state that follows.

    Raises:
        IllegalTransitionError: the table has no such step.
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
