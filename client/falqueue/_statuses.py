"""fal's three statuses, their log entries, and the answers to a cancel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A log line of the runner (PROTOCOL.md 4.4). `timestamp` is ISO 8601, as fal sends it.

    >>> LogEntry("Loading", "2026-02-17T10:30:01.123Z", "INFO").message
    'Loading'
    """

    message: str
    timestamp: str = ""
    level: str = ""


@dataclass(frozen=True, slots=True)
class Queued:
    """The job waits for a runner; `position` requests are ahead of it.

    >>> Queued("019e0000-0000-7000-8000-000000000000", position=2).position
    2
    """

    request_id: str
    position: int


@dataclass(frozen=True, slots=True)
class InProgress:
    """The job is running. `logs` is empty unless you ask for logs.

    >>> InProgress("019e0000-0000-7000-8000-000000000000").logs
    ()
    """

    request_id: str
    logs: tuple[LogEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Completed:
    """The job has ended. Whether it succeeded is known only from `Client.result`.

    fal has no status FAILED, and a rejected prompt is COMPLETED too (PROTOCOL.md 4.3).
    `inference_time` is in seconds.

    >>> Completed("019e0000-0000-7000-8000-000000000000", inference_time=61.5).inference_time
    61.5
    """

    request_id: str
    logs: tuple[LogEntry, ...] = ()
    inference_time: float | None = None


Status: TypeAlias = Queued | InProgress | Completed


class Cancellation(Enum):
    """fal's answer to a cancel (PROTOCOL.md 4.7).

    After `REQUESTED`, a runner that ignores the signal still finishes, and the job is billed.

    >>> Cancellation("ALREADY_COMPLETED")
    <Cancellation.ALREADY_COMPLETED: 'ALREADY_COMPLETED'>
    """

    REQUESTED = "CANCELLATION_REQUESTED"
    ALREADY_COMPLETED = "ALREADY_COMPLETED"
    NOT_FOUND = "NOT_FOUND"


def new_entries(before: Sequence[LogEntry], now: Sequence[LogEntry]) -> tuple[LogEntry, ...]:
    """Return the entries of `now` that are not in `before`.

    Both are windows of the latest entries, so the end of `before` may overlap the start of `now`.

    >>> a, b, c = LogEntry("a"), LogEntry("b"), LogEntry("c")
    >>> [entry.message for entry in new_entries([a, b], [b, c])]
    ['c']
    """
    ends = (before[gone:] for gone in range(max(len(before) - len(now), 0), len(before) + 1))
    overlap = next(end for end in ends if tuple(now[: len(end)]) == tuple(end))  # the last one is empty
    return tuple(now[len(overlap) :])
