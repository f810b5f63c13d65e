"""What has happened: every call with its answer, every step of a request, every attempt at a webhook.

A ring in memory, bounded by bytes. A call is kept as the bytes that came and went, for it is taken down
on the way of every poll; it is read, and what is secret in it masked, when somebody asks for it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections import deque
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from falmock import __version__
from falmock.inspection.known_keys import KnownKeys
from falmock.inspection.redaction import Redactor, compacted
from falmock.protocol.calls import Call, Operation
from falmock.protocol.hosts import CDN
from falmock.protocol.patterns import matches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from falmock.engine import observer
    from falmock.engine.emulator import Emulator
    from falmock.engine.rows import Request

Headers = tuple[tuple[str, str], ...]
RawHeaders = list[tuple[bytes, bytes]]

KEPT: Final = 64 * 1024  # bytes of a body
LARGE: Final = 256 * 1024  # bytes; digests of a larger input take more than a millisecond
OVERHEAD: Final = 1024  # bytes that an entry takes besides what it holds
LOOK: Final = 500  # entries that are looked at in one go
PIECE: Final = 48 * 1024  # bytes of entries that are told in one go
SEPARATOR: Final = b"\0"
AUTHORIZATION: Final = b"authorization"
CONTENT_TYPE: Final = b"content-type"
FAILED: Final = 400
WITH_INPUT: Final = frozenset({Operation.SUBMIT, Operation.RUN})


class JournalError(Exception):
    """A file that is no journal; the text is one line."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A call and its answer. Nothing in it is secret.

    Attributes:
        id: its number; numbers rise with the time of arrival.
        at: when it arrived, unix seconds of the emulator's clock.
        real: when it arrived, real seconds since the journal was opened.
        took: real seconds until the answer was over; so far, if it is not.
        host, operation, endpoint, request_id, caller, test: see `calls.Call`; the request of a submit
            or a run is the one that it made.
        method, path, query, headers: as it came, with the path on that host.
        input: the body, as JSON or text; data URIs are shortened. None for bytes.
        input_size: bytes of the body.
        input_sha256: of the body of a submit or a run, in hex; else None.
        status: HTTP's; None when no answer was begun.
        answer_headers, answer, answer_size: likewise.
        error: what ended the call before its answer did: the name of an exception, or None.
        fault: the fault that shaped the answer, or None.
        public: of a download, whether everybody may have the file; else None.
        over: False while the answer is still on its way.
    """

    id: int
    at: float
    real: float
    took: float
    host: str
    operation: Operation
    endpoint: str | None
    request_id: str | None
    caller: str | None
    test: str | None
    method: str
    path: str
    query: Headers
    headers: Headers
    input: Any
    input_size: int
    input_sha256: str | None
    status: int | None
    answer_headers: Headers
    answer: Any
    answer_size: int
    error: str | None
    fault: str | None
    public: bool | None
    over: bool
    kind: Literal["exchange"] = "exchange"

    def __str__(self) -> str:
        outcome = self.status or self.error or ("no answer" if self.over else "no answer yet")
        return f"#{self.id} {self.method} {self.host}{self.path}: {outcome}"


@dataclass(frozen=True, slots=True)
class Transition:
    """A step of a request.

    Attributes:
        id, at, real: as for an exchange.
        request_id, endpoint, caller, test: of the request; its full endpoint id.
        event: "submit", as in `lifecycle.Event`, or by hand: "hold", "release".
        state: that it led to.
        attempt: which run it belongs to; 0 before the first.
        status: of the outcome, HTTP's; None before.
        error_type: of a platform error.
    """

    id: int
    at: float
    real: float
    request_id: str
    endpoint: str
    caller: str
    test: str | None
    event: str
    state: str
    attempt: int
    status: int | None
    error_type: str | None
    kind: Literal["transition"] = "transition"

    def __str__(self) -> str:
        outcome = "" if self.status is None else f" with {self.status}"
        return f"#{self.id} {self.request_id} {self.event}: {self.state}{outcome}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to deliver a webhook.

    Attributes:
        id, at, real, took: as for an exchange.
        request_id, endpoint, caller, test: of the request.
        url: where to, without user info and parameters.
        number: 1 for the first.
        headers, body, size: as sent.
        status: of the receiver's answer; None when there was none.
        answer_headers, answer: of the answer; of its body the beginning.
        error: why there was no answer, or None.
        fault: the fault that shaped it, or None.
    """

    id: int
    at: float
    real: float
    took: float
    request_id: str
    endpoint: str
    caller: str
    test: str | None
    url: str
    number: int
    headers: Headers
    body: Any
    size: int
    status: int | None
    answer_headers: Headers
    answer: Any
    error: str | None
    fault: str | None
    kind: Literal["attempt"] = "attempt"

    def __str__(self) -> str:
        return f"#{self.id} webhook of {self.request_id}, attempt {self.number}: {self.status or self.error}"


Entry = Exchange | Transition | Attempt
Chosen = TypeVar("Chosen", bound="Entry | ReceivedCall")
_ENTRY: Final = TypeAdapter[Entry](Annotated[Entry, Field(discriminator="kind")])


@dataclass(frozen=True, slots=True)
class JournalFilter:
    """Which entries: those that fit all that is given.

    Attributes:
        request: a request id.
        endpoint: an endpoint id, or a pattern as "fal-ai/*"; what concerns a request of it counts too.
        test: a test's name; what concerns a request of its counts too.
        caller: a key id; likewise.
        operation: as in `calls.Operation`; "webhook" for attempts.
        since, until: unix seconds of the emulator's clock; `until` itself is no longer in.
    """

    request: str | None = None
    endpoint: str | None = None
    test: str | None = None
    caller: str | None = None
    operation: str | None = None
    since: float | None = None
    until: float | None = None

    def of(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return those entries that are wanted."""
        return [each for piece in self.chosen(list(entries)) for each in piece]

    def chosen(self, entries: Sequence[Chosen]) -> Iterator[list[Chosen]]:
        """Yield those entries that are wanted, in pieces; a piece is the work of a millisecond or two."""
        theirs: set[str] = set()
        if self != EVERYTHING:
            for piece in _cut(entries):
                theirs |= {each.request_id for each in piece if each.request_id and self._belongs(each)}
                yield []
        for piece in _cut(entries):
            yield [
                each
                for each in piece
                if (self._belongs(each) or each.request_id in theirs) and self._fits(each)
            ]

    def _belongs(self, entry: Entry | ReceivedCall) -> bool:
        return (
            (self.endpoint is None or matches(entry.endpoint or "", self.endpoint))
            and self.test in {None, entry.test}
            and self.caller in {None, entry.caller}
        )

    def _fits(self, entry: Entry | ReceivedCall) -> bool:
        return (
            (self.request is None or entry.request_id == self.request)
            and (self.operation is None or operation_of(entry) == self.operation)
            and (self.since is None or entry.at >= self.since)
            and (self.until is None or entry.at < self.until)
        )


EVERYTHING: Final = JournalFilter()


@dataclass(slots=True, repr=False)  # what it holds is not for showing
class ReceivedCall:
    """A call that is being taken down, in few long pieces, which cost less to keep than many short."""

    id: int
    at: float
    real: float
    call: Call
    method: str
    path: str
    query: bytes
    headers: bytes
    parts: list[bytes] = field(default_factory=list)
    heard: bytes = b""
    heard_size: int = 0
    sha256: str | None = None
    status: int | None = None
    answer_headers: bytes = b""
    said: bytes = b""
    said_size: int = 0
    took: float | None = None
    request_id: str | None = None
    error: str | None = None
    fault: str | None = None
    public: bool | None = None

    @property
    def endpoint(self) -> str | None:
        """Of the call."""
        return self.call.endpoint

    @property
    def caller(self) -> str | None:
        """Of the call."""
        return self.call.caller

    @property
    def test(self) -> str | None:
        """Of the call."""
        return self.call.test

    @property
    def operation(self) -> Operation:
        """Of the call."""
        return self.call.operation

    @property
    def weight(self) -> int:
        """How many bytes have to be read to tell it."""
        return OVERHEAD + len(self.headers) + len(self.heard) + len(self.said)

    def hear(self, chunk: bytes, *, more: bool) -> None:
        """Take down a piece of the input; a submit's whole, for its digest, and an upload's not at all."""
        if self.call.operation in WITH_INPUT:
            self.parts.append(chunk)
            if not more and self.heard_size + len(chunk) <= LARGE:
                self.hear_out()
        elif self.heard_size < KEPT and (
            self.call.host != CDN or b"json" in _named(self.headers, CONTENT_TYPE)
        ):
            self.heard += chunk[: KEPT - self.heard_size]
        self.heard_size += len(chunk)

    def begin(self, status: int, headers: RawHeaders) -> None:
        """Take down how the answer begins."""
        self.status = status
        self.answer_headers = _joined(headers)

    def say(self, chunk: bytes) -> None:
        """Take down a piece of the answer, but not of a file."""
        is_file = self.call.operation is Operation.DOWNLOAD and (self.status or 0) < FAILED
        if self.said_size < KEPT and not is_file:
            self.said += chunk[: KEPT - self.said_size]
        self.said_size += len(chunk)

    def close(self) -> int:
        """Keep no more than is needed; return how many bytes that takes."""
        if self.parts:  # the call ended before its input did
            self.heard = b"".join(self.parts)[:KEPT]
            self.parts = []
        held = (self.path, self.query, self.headers, self.heard, self.answer_headers, self.said)
        return OVERHEAD + sum(map(len, held))

    @property
    def unheard(self) -> bool:
        """Whether a large input still has to be heard out, better off the event loop."""
        return bool(self.parts)

    def hear_out(self) -> None:
        """Take down an input that has come to its end."""
        body = b"".join(self.parts)
        self.sha256 = hashlib.sha256(body).hexdigest()
        self.heard = body if len(body) <= KEPT else compacted(body)[:KEPT]
        self.parts = []


class Journal:
    """The ring.

    Args:
        limit: bytes that it may take; the oldest entries go first.
        keys: "id:secret" pairs of the settings; those that callers send join them.
        stopwatch: real seconds.

    Attributes:
        dropped: how many entries had to go.
        known: the keys that are masked wherever they turn up.
        redact: masks them, and what else is secret.
    """

    def __init__(
        self, limit: int, *, keys: Sequence[str] = (), stopwatch: Callable[[], float] = time.perf_counter
    ) -> None:
        self.dropped = 0
        self._limit = limit
        self.known = KnownKeys(keys)
        self.redact = Redactor(self.known)
        self._stopwatch = stopwatch
        self._opened = stopwatch()
        self._count = 0
        self._notify: deque[tuple[int, ReceivedCall | Transition | Attempt]] = deque()
        self._size = 0
        self._going: dict[int, ReceivedCall] = {}

    def real(self) -> float:
        """Return the real seconds since this was opened."""
        return self._stopwatch() - self._opened

    def open(self, call: Call, scope: Any, at: float) -> ReceivedCall:
        """Begin to take down a call, at a time of the emulator's clock."""
        for name, value in scope["headers"]:
            if name == AUTHORIZATION:
                self.known.see(value)
        record = ReceivedCall(
            self._number(),
            at,
            self.real(),
            call,
            scope["method"],
            scope["path"],
            scope["query_string"],
            _joined(scope["headers"]),
            request_id=call.request_id,
        )
        self._going[record.id] = record
        return record

    def close(
        self,
        record: ReceivedCall,
        error: str | None,
        *,
        fault: str | None = None,
        request_id: str | None = None,
        public: bool | None = None,
    ) -> None:
        """Keep a call that has ended.

        Args:
            record: of the call.
            error: the type of the exception that ended it.
            fault: the fault injected into it.
            request_id: the request that it created.
            public: whether everybody may read the file that it was answered with.
        """
        record.took = self.real() - record.real
        record.error = error
        record.fault = fault
        record.request_id = request_id or record.call.request_id
        record.public = public
        if self._going.pop(record.id, None) is not None:  # else it was cleared meanwhile
            self._keep(record, record.close())

    def step(self, request: Request, event: str, at: float) -> None:
        """Take down a step of a request, given as it stands after it."""
        step = Transition(
            id=self._number(),
            at=at,
            real=self.real(),
            request_id=request.id,
            endpoint=request.endpoint,
            caller=request.caller,
            test=request.test,
            event=event,
            state=request.state,
            attempt=request.attempts,
            status=request.status,
            error_type=request.error_type,
        )
        self._keep(step, OVERHEAD)

    def attempt(self, attempt: observer.Attempt) -> None:
        """Record a webhook attempt that has ended."""
        redact, request = self.redact, attempt.request
        sent = redact.headers((name.encode(), value.encode()) for name, value in attempt.headers.items())
        kept = compacted(attempt.body)[:KEPT]
        answer_headers = _joined(attempt.answer_headers)
        entry = Attempt(
            id=self._number(),
            at=attempt.at,
            real=self.real() - attempt.took,
            took=attempt.took,
            request_id=request.id,
            endpoint=request.endpoint,
            caller=request.caller,
            test=request.test,
            url=redact.url(attempt.url),
            number=attempt.number,
            headers=sent,
            body=redact.body(kept, "application/json"),
            size=len(attempt.body),
            status=attempt.status,
            answer_headers=redact.headers(attempt.answer_headers),
            answer=redact.body(attempt.answer, _named(answer_headers, CONTENT_TYPE).decode("latin-1")),
            error=attempt.error,
            fault=attempt.fault,
        )
        self._keep(entry, 2 * OVERHEAD + len(kept) + len(attempt.answer) + len(answer_headers))

    def entries(self, wanted: JournalFilter = EVERYTHING) -> list[Entry]:
        """Return what is wanted, in the order of time; a call that is not over stands as far as it is."""
        return [entry for piece in self.pieces(wanted) for entry in piece]

    def pieces(self, wanted: JournalFilter = EVERYTHING) -> Iterator[list[Entry]]:
        """Yield what `entries` returns in pieces, some of them empty; each is the work of a few ms."""
        piece: list[Entry] = []
        weight = 0
        for chosen in wanted.chosen(self._held()):
            for each in chosen:
                piece.append(self._exchange(each) if isinstance(each, ReceivedCall) else self._masked(each))
                weight += each.weight if isinstance(each, ReceivedCall) else OVERHEAD
                if weight >= PIECE:
                    yield piece
                    piece, weight = [], 0
            yield piece
            piece, weight = [], 0

    def clear(self, wanted: JournalFilter = EVERYTHING) -> None:
        """Forget what is wanted."""
        gone = {each.id for piece in wanted.chosen(self._held()) for each in piece}
        kept = [(size, entry) for size, entry in self._notify if entry.id not in gone]
        self._notify = deque(kept)
        self._size = sum(size for size, _ in kept)
        self._going = {number: record for number, record in self._going.items() if number not in gone}
        self.dropped = self.dropped if kept else 0

    def forget(self, *, test: str | None, caller: str | None) -> None:
        """Drop what belongs to a test and a caller; None matches all."""
        self.clear(JournalFilter(test=test, caller=caller))

    def _held(self) -> list[ReceivedCall | Transition | Attempt]:
        held = [*(entry for _, entry in self._notify), *self._going.values()]
        held.sort(key=attrgetter("id"))
        return held

    def _number(self) -> int:
        self._count += 1
        return self._count

    def _keep(self, entry: ReceivedCall | Transition | Attempt, size: int) -> None:
        self._notify.append((size, entry))
        self._size += size
        while self._size > self._limit:
            gone, _ = self._notify.popleft()
            self._size -= gone
            self.dropped += 1

    def _masked(self, entry: Transition | Attempt) -> Entry:
        """Return an entry without the keys that have become known since it was taken down."""
        redact = self.redact
        endpoint, caller = redact.text(entry.endpoint), redact.text(entry.caller)
        test = redact.name(entry.test)
        if isinstance(entry, Transition):
            return dataclasses.replace(entry, endpoint=endpoint, caller=caller, test=test)
        return dataclasses.replace(
            entry,
            endpoint=endpoint,
            caller=caller,
            test=test,
            url=redact.url(entry.url),
            body=redact.json(entry.body),
            answer=redact.json(entry.answer),
            answer_headers=tuple((name, redact.text(value)) for name, value in entry.answer_headers),
            error=redact.name(entry.error),
            fault=redact.name(entry.fault),
        )

    def _exchange(self, record: ReceivedCall) -> Exchange:
        content_type = _named(record.headers, CONTENT_TYPE).decode("latin-1")
        answer_type = _named(record.answer_headers, CONTENT_TYPE).decode("latin-1")
        redact = self.redact
        return Exchange(
            id=record.id,
            at=record.at,
            real=record.real,
            took=self.real() - record.real if record.took is None else record.took,
            host=record.call.host,
            operation=record.call.operation,
            endpoint=redact.name(record.call.endpoint),
            request_id=redact.name(record.request_id),
            caller=redact.name(record.call.caller),
            test=redact.name(record.call.test),
            method=record.method,
            path=redact.text(record.path),
            query=redact.query(record.query.decode("latin-1")),
            headers=redact.headers(_split(record.headers)),
            input=redact.body(record.heard, content_type),
            input_size=record.heard_size,
            input_sha256=record.sha256,
            status=record.status,
            answer_headers=redact.headers(_split(record.answer_headers)),
            answer=redact.body(record.said, answer_type),
            answer_size=record.said_size,
            error=record.error,
            fault=redact.name(record.fault),
            public=record.public,
            over=record.took is not None,
        )


def journal_of(emulator: Emulator) -> Journal:
    """Return the journal of an emulator.

    Raises:
        TypeError: the emulator has another observer.
    """
    if not isinstance(emulator.observer, Journal):
        raise TypeError("the emulator was opened without a journal")
    return emulator.observer


def _cut(entries: Sequence[Chosen]) -> Iterator[Sequence[Chosen]]:
    return (entries[start : start + LOOK] for start in range(0, len(entries), LOOK))


def operation_of(entry: Entry | ReceivedCall) -> str | None:
    """Return what an entry is about; None for a step."""
    if isinstance(entry, Attempt):
        return Operation.WEBHOOK
    return None if isinstance(entry, Transition) else entry.operation


def lines(entries: Iterable[Entry], dropped: int) -> Iterator[str]:
    """Yield a journal as JSON lines; the first says whose it is and how many entries are missing."""
    yield heading(dropped)
    yield from map(line, entries)


def heading(dropped: int) -> str:
    """Return the first of the JSON lines."""
    return json.dumps({"kind": "journal", "falmock": __version__, "dropped": dropped}) + "\n"


def line(entry: Entry) -> str:
    """Return the JSON line of an entry."""
    return json.dumps({"kind": entry.kind} | dataclasses.asdict(entry)) + "\n"


def read(text: str) -> list[Entry]:
    """Read back what `lines` gave.

    Raises:
        JournalError: it is something else.
    """
    try:
        first, *rest = [json.loads(line) for line in text.splitlines() if line.strip()] or [{}]
        if first["kind"] != "journal":
            raise JournalError("it does not begin as a journal does")
        return [_ENTRY.validate_python(each) for each in rest]
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise JournalError(f"an entry is not as it should be: {where}") from None
    except (ValueError, TypeError, KeyError):
        raise JournalError("it is not made of JSON lines as falmock writes them") from None


def _joined(headers: RawHeaders) -> bytes:
    """Return headers in one piece; nothing for those that cannot be told apart again."""
    joined = SEPARATOR.join(chain.from_iterable(headers))
    return joined if joined.count(SEPARATOR) == 2 * len(headers) - 1 else b""


def _split(joined: bytes) -> list[tuple[bytes, bytes]]:
    parts = joined.split(SEPARATOR)
    return list(zip(parts[::2], parts[1::2], strict=False))  # of nothing, one empty part


def _named(joined: bytes, name: bytes) -> bytes:
    return next((value for each, value in _split(joined) if each.lower() == name), b"")
