"""The entries of a journal, filters for them, and the JSON lines format. Pure."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, TypeVar

from falmock import __version__
from falmock.inspection.recorded import ReceivedCall, Transition
from falmock.protocol.calls import Operation
from falmock.protocol.patterns import matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydantic import TypeAdapter

    from falmock.engine.rows import Request
    from falmock.inspection.recorded import Held

Headers = tuple[tuple[str, str], ...]

FILTERED: Final = 500  # entries of one piece


class JournalError(Exception):
    """The text is not a journal; the message is one line."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A call and its response, with secrets masked.

    Attributes:
        id: sequence number, in order of arrival.
        at: arrival, unix seconds of the emulator's clock.
        real: arrival, real seconds since the journal was opened.
        took: real seconds until the response was complete, or until now.
        request_id: of a submit or run, the request that it created.
        input: the request body as JSON or text, data URIs shortened; None for binary data.
        input_sha256: hex digest of the body of a submit or run, else None.
        status: None before the response starts.
        answer, answer_size: the response body, as for `input`.
        public: of a download, whether the file needs no key; else None.
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
class Attempt:
    """One POST of a webhook.

    Attributes:
        id, at, real, took: as for `Exchange`.
        url: without user info and query parameters.
        status: HTTP status of the response; None without one.
        answer: the beginning of the response body.
        error: why there was no response, or None.
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

    operation: ClassVar = Operation.WEBHOOK

    def __str__(self) -> str:
        return f"#{self.id} webhook of {self.request_id}, attempt {self.number}: {self.status or self.error}"


JournalEntry = Exchange | Transition | Attempt
Item = TypeVar("Item", bound="JournalEntry | Held")


@dataclass(frozen=True, slots=True)
class JournalFilter:
    """Selects the entries that match all given fields.

    If one entry of a request matches `endpoint`, `test` and `caller`, all entries of that request do.

    Attributes:
        endpoint: an endpoint id, or a pattern such as "fal-ai/*".
        operation: a `calls.Operation`; "webhook" for attempts.
        since, until: unix seconds of the emulator's clock; `until` is excluded.
    """

    request: str | None = None
    endpoint: str | None = None
    test: str | None = None
    caller: str | None = None
    operation: str | None = None
    since: float | None = None
    until: float | None = None

    def of(self, entries: Iterable[JournalEntry]) -> list[JournalEntry]:
        return [entry for piece in self.pieces(list(entries)) for entry in piece]

    def pieces(self, entries: Sequence[Item]) -> Iterator[list[Item]]:
        """Yield the entries that match in lists, some empty, each after a millisecond or two of work."""
        related: set[str] = set()
        if self != EVERYTHING:
            for piece in _split(entries):
                related |= {entry.request_id for entry in piece if entry.request_id and self._owns(entry)}
                yield []
        for piece in _split(entries):
            yield [
                entry
                for entry in piece
                if (self._owns(entry) or entry.request_id in related) and self._matches(entry)
            ]

    def _owns(self, entry: JournalEntry | Held) -> bool:
        facts = entry.call if isinstance(entry, ReceivedCall) else entry
        return (
            (self.endpoint is None or matches(facts.endpoint or "", self.endpoint))
            and self.test in {None, facts.test}
            and self.caller in {None, facts.caller}
        )

    def _matches(self, entry: JournalEntry | Held) -> bool:
        facts = entry.call if isinstance(entry, ReceivedCall) else entry
        return (
            (self.request is None or entry.request_id == self.request)
            and (self.operation is None or facts.operation == self.operation)
            and (self.since is None or entry.at >= self.since)
            and (self.until is None or entry.at < self.until)
        )


EVERYTHING: Final = JournalFilter()


SubmitIdentity = tuple[str | None, str | None, str | None, str | None]


def submit_identity(submit: Exchange | Request) -> SubmitIdentity:
    """Return endpoint, caller, test and input: two submits with the same are equal."""
    return submit.endpoint, submit.caller, submit.test, submit.input_sha256


def lines(entries: Iterable[JournalEntry], dropped: int) -> Iterator[str]:
    """Yield a journal as JSON lines, the heading first."""
    yield heading(dropped)
    yield from map(line, entries)


def heading(dropped: int) -> str:
    """Return the first line: the version, and the number of entries that were dropped."""
    return json.dumps({"kind": "journal", "falmock": __version__, "dropped": dropped}) + "\n"


def line(entry: JournalEntry) -> str:
    return json.dumps({"kind": entry.kind} | dataclasses.asdict(entry)) + "\n"


def read(text: str) -> list[JournalEntry]:
    """Parse what `lines` yields.

    Raises:
        JournalError: the text has another format.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - pydantic loads slowly; few processes read a journal

    try:
        first, *rest = [json.loads(line) for line in text.splitlines() if line.strip()] or [{}]
        if first["kind"] != "journal":
            raise JournalError("the first line is not the heading of a journal")
        return [_parser().validate_python(entry) for entry in rest]
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise JournalError(f"an entry has an invalid field: {where}") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise JournalError("it does not have the JSON lines that falmock writes") from None


@cache
def _parser() -> TypeAdapter[JournalEntry]:
    from pydantic import Field, TypeAdapter  # noqa: PLC0415 - see `read`

    return TypeAdapter(Annotated[JournalEntry, Field(discriminator="kind")])


def _split(entries: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (entries[start : start + FILTERED] for start in range(0, len(entries), FILTERED))
