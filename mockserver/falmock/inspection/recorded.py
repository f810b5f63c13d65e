"""The contents of a journal: calls, transitions, webhook attempts, and the ring that keeps them packed.

Calls and attempts are raw bytes, parsed and masked only when the journal is read. A packed entry is a tuple
of bytes objects, which takes half the memory of an object with its fields, and which the garbage collector
does not visit. Equal texts, such as the headers of polls, are kept once.
"""

from __future__ import annotations

import hashlib
import pickle
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter, itemgetter
from sys import getsizeof
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, overload

from falmock.engine import observer
from falmock.inspection.redaction import compacted
from falmock.protocol.calls import Call, Operation
from falmock.protocol.hosts import CDN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    # Id, size, all fields but the texts, and the texts of a call
    Packed = tuple[int, int, bytes, *tuple[bytes, ...]]

KEPT: Final = 64 * 1024  # bytes of a body
LARGE: Final = 256 * 1024  # bytes; the digest of a larger input takes more than a millisecond
OVERHEAD: Final = 1024  # bytes of text that take as long to parse as the rest of an entry
CONTENT_TYPE: Final = b"content-type"
FAILED: Final = 400
WITH_INPUT: Final = frozenset({Operation.SUBMIT, Operation.RUN})
SHARED: Final = 100  # recent texts that new ones are compared with
LONGEST_SHARED: Final = 2000  # bytes of such a text


def join_headers(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return headers as on the wire, each with a line break after it; empty if one contains a line break."""
    joined = b"".join([b"%b: %b\r\n" % pair for pair in headers])
    return joined if joined.count(b"\n") == joined.count(b"\r") == len(headers) else b""


def split_headers(joined: bytes) -> list[tuple[bytes, bytes]]:
    """Undo `join_headers`."""
    pairs = (line.partition(b": ") for line in joined.split(b"\r\n")[:-1])
    return [(name, value) for name, _, value in pairs]


def header(joined: bytes, name: bytes) -> bytes:
    """Return the value of a header, empty if it is missing; `name` is in lower case."""
    return next((value for other, value in split_headers(joined) if other.lower() == name), b"")


@dataclass(slots=True, repr=False)  # the fields hold secrets
class ReceivedCall:
    """A call and the response so far. Headers are one bytes object."""

    id: int
    at: float
    real: float
    call: Call
    method: str
    path: str
    query: bytes
    headers: bytes
    chunks: list[bytes] = field(default_factory=list)  # pieces of an input that is not hashed yet
    request_body: bytes = b""
    request_size: int = 0
    sha256: str | None = None
    status: int | None = None
    response_headers: bytes = b""
    response_body: bytes = b""
    response_size: int = 0
    took: float | None = None
    request_id: str | None = None
    error: str | None = None
    fault: str | None = None
    public: bool | None = None

    @property
    def weight(self) -> int:
        """The time to parse the call when it is read, in bytes of text."""
        return OVERHEAD + len(self.headers) + len(self.request_body) + len(self.response_body)

    def on_request_body(self, chunk: bytes, *, more: bool) -> None:
        """Record a chunk of the request body: all of a submit, for its digest, and nothing of an upload."""
        if self.call.operation in WITH_INPUT:
            self.chunks.append(chunk)
            if not more and self.request_size + len(chunk) <= LARGE:
                self.digest_input()
        elif self.request_size < KEPT and (
            self.call.host != CDN or b"json" in header(self.headers, CONTENT_TYPE)
        ):
            self.request_body += chunk[: KEPT - self.request_size]
        self.request_size += len(chunk)

    def on_response_start(self, status: int, headers: bytes) -> None:
        """Record the start of the response; `headers` are joined."""
        self.status = status
        self.response_headers = headers

    def on_response_body(self, chunk: bytes) -> None:
        """Record a chunk of the response, unless it is a downloaded file."""
        is_file = self.call.operation is Operation.DOWNLOAD and (self.status or 0) < FAILED
        if self.response_size < KEPT and not is_file:
            self.response_body += chunk[: KEPT - self.response_size]
        self.response_size += len(chunk)

    def digest_input(self) -> None:
        """Hash and shorten an input that is complete. A large one is digested off the event loop."""
        body = b"".join(self.chunks)
        self.sha256 = hashlib.sha256(body).hexdigest()
        self.request_body = body if len(body) <= KEPT else compacted(body)[:KEPT]
        self.chunks = []


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # the fields hold secrets
class RawAttempt(observer.Attempt):
    """See `entries.Attempt` for the fields. The body is shortened; `size` is its number of bytes."""

    id: int
    real: float
    size: int

    @classmethod
    def of(cls, attempt: observer.Attempt, *, id: int, real: float) -> RawAttempt:  # noqa: A002 - of the field
        """Return the record of an attempt that has ended."""
        kept = {each.name: getattr(attempt, each.name) for each in fields(observer.Attempt)}
        kept["body"] = compacted(attempt.body)[:KEPT]
        return cls(**kept, id=id, real=real, size=len(attempt.body))

    operation: ClassVar = Operation.WEBHOOK

    @property
    def weight(self) -> int:
        """Bytes that are parsed when the attempt is read."""
        texts = (*self.headers.items(), *self.answer_headers, (self.body, self.answer))
        return 2 * OVERHEAD + sum(len(name) + len(value) for name, value in texts)


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of a request's state.

    Attributes:
        at: unix seconds of the emulator's clock.
        real: real seconds since the journal was opened.
        event: "submit", a `lifecycle.Event`, or a manual "hold" or "release".
        attempt: number of the run; 0 before the first.
        status: HTTP status of the outcome; None before.
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

    operation: ClassVar = None
    weight: ClassVar = OVERHEAD

    def __str__(self) -> str:
        outcome = "" if self.status is None else f" with {self.status}"
        return f"#{self.id} {self.request_id} {self.event}: {self.state}{outcome}"


Held = ReceivedCall | Transition | RawAttempt

_PLACE: Final = 8 + 16 + 2 * getsizeof(1)  # bytes: in the ring, for the garbage collector, id and size
_TEXTS: Final = ("headers", "request_body", "response_headers", "response_body")
_APART: Final = frozenset({"kind", "call", "chunks", *_TEXTS})  # fields that are stored separately
_KINDS: Final[tuple[type[Held], ...]] = (ReceivedCall, Transition, RawAttempt)
_NAMES: Final = {
    ReceivedCall: tuple(each.name for each in fields(ReceivedCall) if each.name not in _APART),
    Transition: tuple(each.name for each in fields(Transition) if each.name != "kind"),
    RawAttempt: tuple(each.name for each in fields(RawAttempt)),
}
_VALUES: Final = {kind: attrgetter(*names) for kind, names in _NAMES.items()}
_texts: Final = attrgetter(*_TEXTS)


class Ring:
    """Entries in the order in which they ended.

    Args:
        limit: bytes of memory; the oldest entries are dropped first.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: deque[Packed] = deque()
        self._size = 0
        self._shared: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, entry: Held) -> int:
        """Add an entry; return how many were dropped."""
        kind = type(entry)
        values: tuple[Any, ...] = (_KINDS.index(kind), _VALUES[kind](entry))
        texts: list[bytes] = []
        size = 0
        if isinstance(entry, ReceivedCall):
            if entry.chunks:  # the call ended before its input did
                entry.request_body = b"".join(entry.chunks)[:KEPT]
            host, operation, endpoint, request_id, caller, test, _ = entry.call
            values += (host, str(operation), endpoint, request_id, caller, test)  # an enum takes much longer
            for text in _texts(entry):
                is_short = len(text) <= LONGEST_SHARED
                kept = self._shared.get(text) if is_short else None
                if kept is None:
                    kept = text
                    size += getsizeof(text)
                    if is_short:
                        if len(self._shared) >= SHARED:
                            self._shared.clear()
                        self._shared[text] = text
                texts.append(kept)
        packed = pickle.dumps(values, pickle.HIGHEST_PROTOCOL)
        size += getsizeof(packed) + getsizeof(texts) + _PLACE
        self._entries.append((entry.id, size, packed, *texts))
        self._size += size
        before = len(self._entries)
        while self._size > self._limit:
            self._size -= self._entries.popleft()[1]
        return before - len(self._entries)

    def remove(self, ids: Collection[int]) -> None:
        """Remove the entries with these ids."""
        self._entries = deque(each for each in self._entries if each[0] not in ids)
        self._size = sum(map(itemgetter(1), self._entries))

    def read(self, more: Iterable[ReceivedCall]) -> Sequence[Held]:
        """Return the entries and some calls that have not ended, in the order of their ids.

        A part of the sequence is unpacked when it is read.
        """
        return _Unpacked(sorted([*self._entries, *more], key=_id_of))


class _Unpacked(Sequence[Held]):
    def __init__(self, entries: list[Packed | ReceivedCall]) -> None:
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> Held: ...

    @overload
    def __getitem__(self, index: slice) -> list[Held]: ...

    def __getitem__(self, index: int | slice) -> Held | list[Held]:
        part = self._entries[index]
        return [_unpack(each) for each in part] if isinstance(part, list) else _unpack(part)


def _id_of(entry: Packed | ReceivedCall) -> int:
    return entry.id if isinstance(entry, ReceivedCall) else entry[0]


def _unpack(entry: Packed | ReceivedCall) -> Held:
    if isinstance(entry, ReceivedCall):
        return entry
    _, _, packed, *texts = entry
    number, values, *call = pickle.loads(packed)  # noqa: S301 - from `append`, in this process
    kind = _KINDS[number]
    named = dict(zip(_NAMES[kind], values, strict=True))
    if kind is ReceivedCall:
        host, operation, *others = call
        named |= zip(_TEXTS, texts, strict=True)
        named["call"] = Call(host, Operation(operation), *others)
    unpacked: Held = kind(**named)
    return unpacked
