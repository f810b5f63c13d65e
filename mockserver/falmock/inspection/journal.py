"""The journal: every call with its response, every transition of a request, every webhook attempt.

It is a ring in memory, limited by bytes. Calls and attempts are kept as raw bytes, because there are many.
They are parsed, and their secrets are masked, when the journal is read.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from falmock.inspection.entries import EVERYTHING, Attempt, Exchange, JournalFilter
from falmock.inspection.known_keys import KnownKeys
from falmock.inspection.recorded import (
    CONTENT_TYPE,
    RawAttempt,
    ReceivedCall,
    Ring,
    Transition,
    header,
    join_headers,
    split_headers,
)
from falmock.inspection.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from falmock.engine import observer
    from falmock.engine.emulator import Emulator
    from falmock.engine.rows import Request
    from falmock.inspection.entries import JournalEntry
    from falmock.inspection.recorded import Held
    from falmock.protocol.calls import Call

log = logging.getLogger("falmock")

MOST_WARNINGS: Final = 100  # of each kind
LONGEST_SUBJECT: Final = 200  # characters
PIECE: Final = 48 * 1024  # bytes of entries that are parsed in one go
AUTHORIZATION: Final = b"authorization"


class Journal:
    """Records entries and returns them; an `engine.observer.Observer`.

    Args:
        limit: bytes; the oldest entries are dropped first.
        keys: "id:secret" pairs from the settings. Keys that callers send are added.

    Attributes:
        known: the keys that are masked wherever they appear.
        warned: the subjects of the warnings so far, each once. A reset does not remove them.
    """

    def __init__(self, limit: int, *, keys: Sequence[str] = ()) -> None:
        self.dropped = 0
        self.known = KnownKeys(keys)
        self.redact = Redactor(self.known)
        self.warned: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._opened = time.perf_counter()
        self._count = 0
        self._ring = Ring(limit)
        self._open: dict[int, ReceivedCall] = {}

    @property
    def mark(self) -> tuple[int, int]:
        """A value that differs after each new entry, and after the end of a call."""
        return self._count, len(self._open)

    def real(self) -> float:
        """Return the real seconds since the journal was opened."""
        return time.perf_counter() - self._opened

    def open(
        self, call: Call, scope: Any, path: str, at: float, headers: bytes | None = None
    ) -> ReceivedCall:
        """Start to record a call.

        Args:
            headers: as `join_headers` returns them; None to join those of the scope.
        """
        for name, value in scope["headers"]:
            if name == AUTHORIZATION and value not in self.known.seen:
                self.known.see(value)
        received = ReceivedCall(
            self._next_id(),
            at,
            self.real(),
            call,
            scope["method"],
            path,
            scope["query_string"],
            join_headers(scope["headers"]) if headers is None else headers,
            request_id=call.request_id,
        )
        self._open[received.id] = received
        return received

    def close(
        self,
        received: ReceivedCall,
        error: str | None,
        *,
        fault: str | None = None,
        request_id: str | None = None,
        public: bool | None = None,
    ) -> None:
        """Keep a call that has ended; see `Exchange` for the fields."""
        received.took = self.real() - received.real
        received.error = error
        received.fault = fault
        received.request_id = request_id or received.request_id
        received.public = public
        if self._open.pop(received.id, None) is not None:  # otherwise `clear` has removed it
            self.dropped += self._ring.append(received)

    def step(self, request: Request, event: str, at: float) -> None:
        """Record a transition; `request` is as it is afterwards."""
        transition = Transition(
            id=self._next_id(),
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
        self.dropped += self._ring.append(transition)

    def attempt(self, attempt: observer.Attempt) -> None:
        """Record a webhook attempt that has ended."""
        entry = RawAttempt.of(attempt, id=self._next_id(), real=self.real() - attempt.took)
        self.dropped += self._ring.append(entry)

    def warn(self, of: observer.Warned, subject: str, text: str) -> None:
        """Log a warning, if it is the first about its subject; see `Observer`."""
        subject = self.redact.text(subject)[:LONGEST_SUBJECT]
        if not subject.isprintable():
            subject = ascii(subject)
        warned = self.warned[of]
        if subject not in warned and len(warned) < MOST_WARNINGS:
            warned[subject] = None
            log.warning("%s: %s", subject, text)

    def entries(self, wanted: JournalFilter = EVERYTHING) -> list[JournalEntry]:
        """Return the entries that match, in order; a call that has not ended is included as it is so far."""
        return [entry for piece in self.pieces(wanted) for entry in piece]

    def pieces(self, wanted: JournalFilter = EVERYTHING) -> Iterator[list[JournalEntry]]:
        """Yield what `entries` returns in lists, some empty, each after a few ms of work."""
        for matching in wanted.pieces(self._ring.read(self._open.values())):
            piece: list[JournalEntry] = []
            weight = 0
            for held in matching:
                piece.append(self._entry(held))
                weight += held.weight
                if weight >= PIECE:
                    yield piece
                    piece, weight = [], 0
            yield piece

    def clear(self, wanted: JournalFilter = EVERYTHING) -> None:
        """Remove the entries that match."""
        entries = self._ring.read(self._open.values())
        gone = {held.id for piece in wanted.pieces(entries) for held in piece}
        self._ring.remove(gone)
        self._open = {number: received for number, received in self._open.items() if number not in gone}
        self.dropped = self.dropped if self._ring else 0

    def forget(self, *, test: str | None, caller: str | None) -> None:
        """Remove the entries of a test or a caller; None matches all."""
        self.clear(JournalFilter(test=test, caller=caller))

    def _next_id(self) -> int:
        self._count += 1
        return self._count

    def _entry(self, held: Held) -> JournalEntry:
        if isinstance(held, ReceivedCall):
            return self._exchange(held)
        if isinstance(held, RawAttempt):
            return self._attempt(held)
        return dataclasses.replace(
            held,
            endpoint=self.redact.text(held.endpoint),
            caller=self.redact.text(held.caller),
            test=self.redact.name(held.test),
        )

    def _attempt(self, raw: RawAttempt) -> Attempt:
        redact = self.redact
        return Attempt(
            id=raw.id,
            at=raw.at,
            real=raw.real,
            took=raw.took,
            request_id=raw.request_id,
            endpoint=redact.text(raw.endpoint),
            caller=redact.text(raw.caller),
            test=redact.name(raw.test),
            url=redact.url(raw.url),
            number=raw.number,
            headers=redact.headers((name.encode(), value.encode()) for name, value in raw.headers.items()),
            body=redact.body(raw.body, "application/json"),
            size=raw.size,
            status=raw.status,
            answer_headers=redact.headers(raw.answer_headers),
            answer=redact.body(raw.answer, _content_type(join_headers(raw.answer_headers))),
            error=redact.name(raw.error),
            fault=redact.name(raw.fault),
        )

    def _exchange(self, received: ReceivedCall) -> Exchange:
        redact, call = self.redact, received.call
        return Exchange(
            id=received.id,
            at=received.at,
            real=received.real,
            took=self.real() - received.real if received.took is None else received.took,
            host=redact.text(call.host),
            operation=call.operation,
            endpoint=redact.name(call.endpoint),
            request_id=redact.name(received.request_id),
            caller=redact.name(call.caller),
            test=redact.name(call.test),
            method=received.method,
            path=redact.text(received.path),
            query=redact.query(received.query.decode("latin-1")),
            headers=redact.headers(split_headers(received.headers)),
            input=redact.body(received.request_body, _content_type(received.headers)),
            input_size=received.request_size,
            input_sha256=received.sha256,
            status=received.status,
            answer_headers=redact.headers(split_headers(received.response_headers)),
            answer=redact.body(received.response_body, _content_type(received.response_headers)),
            answer_size=received.response_size,
            error=received.error,
            fault=redact.name(received.fault),
            public=received.public,
            over=received.took is not None,
        )


def journal_of(emulator: Emulator) -> Journal:
    """Return the journal of an emulator that was opened with one."""
    if not isinstance(emulator.observer, Journal):
        raise TypeError("the emulator was opened without a journal")
    return emulator.observer


def _content_type(headers: bytes) -> str:
    return header(headers, CONTENT_TYPE).decode("latin-1")
