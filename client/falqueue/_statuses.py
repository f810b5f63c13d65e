"""The three statuses that fal has, the log lines they carry, and what a cancel can answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

from falqueue._errors import ProtocolError, UnknownStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from falqueue._handle import Handle


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line that the runner wrote (PROTOCOL.md 4.4). `timestamp` is fal's ISO 8601 text.

    >>> LogEntry("Loading", "2026-02-17T10:30:01.123Z", "INFO").message
    'Loading'
    """

    message: str
    timestamp: str = ""
    level: str = ""


@dataclass(frozen=True, slots=True)
class Queued:
    """Waiting for a runner; `position` is how many requests are ahead.

    >>> Queued("019e0000-0000-7000-8000-000000000000", position=2).position
    2
    """

    request_id: str
    position: int


@dataclass(frozen=True, slots=True)
class InProgress:
    """A runner has it. `logs` is empty unless logs were asked for.

    >>> InProgress("019e0000-0000-7000-8000-000000000000").logs
    ()
    """

    request_id: str
    logs: tuple[LogEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Completed:
    """It is over, well or badly: only `Client.result` tells.

    So there is nothing here that could be taken for success. fal reports a refused prompt as a plain
    COMPLETED (PROTOCOL.md 4.3) and has no status FAILED. `inference_time` is in seconds.

    >>> Completed("019e0000-0000-7000-8000-000000000000", inference_time=61.5).inference_time
    61.5
    """

    request_id: str
    logs: tuple[LogEntry, ...] = ()
    inference_time: float | None = None


Status: TypeAlias = Queued | InProgress | Completed


class Cancellation(Enum):
    """What fal answers to a cancel (PROTOCOL.md 4.7).

    `REQUESTED` is no promise: a runner that ignores the signal still finishes, and bills.

    >>> Cancellation("ALREADY_COMPLETED")
    <Cancellation.ALREADY_COMPLETED: 'ALREADY_COMPLETED'>
    """

    REQUESTED = "CANCELLATION_REQUESTED"
    ALREADY_COMPLETED = "ALREADY_COMPLETED"
    NOT_FOUND = "NOT_FOUND"


def parse_status(body: dict[str, Any], handle: Handle[Any]) -> Status:
    """Read a status body of PROTOCOL.md 4.3.

    Raises:
        UnknownStatus: its status is none of the three.
        ProtocolError: a field that every client relies on is missing, or it is another request's.
    """
    if body.get("request_id", handle.request_id) != handle.request_id:
        raise ProtocolError("the status answer belongs to another request", handle=handle)
    try:
        match body.get("status"):
            case "IN_QUEUE":
                return Queued(handle.request_id, int(body["queue_position"]))
            case "IN_PROGRESS":
                return InProgress(handle.request_id, _logs(body))
            case "COMPLETED":
                return Completed(handle.request_id, _logs(body), _inference_time(body))
            case other:
                raise UnknownStatus(other, handle=handle)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"the status answer is malformed: {error!r}", handle=handle) from error


def unseen(before: Sequence[LogEntry], now: Sequence[LogEntry]) -> tuple[LogEntry, ...]:
    """Return the lines of `now` that `before` did not have.

    fal sends a window of the latest lines, so the end of the old window is where the new one begins.

    >>> a, b, c = LogEntry("a"), LogEntry("b"), LogEntry("c")
    >>> [entry.message for entry in unseen([a, b], [b, c])]
    ['c']
    """
    for gone in range(len(before) + 1):
        kept = before[gone:]
        if tuple(now[: len(kept)]) == tuple(kept):
            return tuple(now[len(kept) :])
    raise AssertionError("the empty overlap always fits")  # pragma: no cover


def _logs(body: dict[str, Any]) -> tuple[LogEntry, ...]:
    return tuple(_entry(entry) for entry in body.get("logs") or ())


def _entry(entry: dict[str, Any]) -> LogEntry:
    level = entry.get("level") or (entry.get("labels") or {}).get("level") or ""
    return LogEntry(str(entry["message"]), str(entry.get("timestamp", "")), str(level))


def _inference_time(body: dict[str, Any]) -> float | None:
    seconds = (body.get("metrics") or {}).get("inference_time")
    return None if seconds is None else float(seconds)
