"""The context of a call: one object in the ASGI scope, shared by the layers around a fal host."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

from starlette.datastructures import QueryParams

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from starlette.requests import Request
    from starlette.types import Scope

    from falmock.faults.vocabulary import Fault
    from falmock.protocol.authorities import Authority
    from falmock.protocol.calls import Call
    from falmock.protocol.hosts import BaseURL

CONTEXT: Final = "falmock.call"  # in the scope: the CallContext
CONNECTION: Final = "falmock.connection"  # in the scope: the Connection, if the server has one
LONGEST_CACHED: Final = 300  # bytes of a query


class Area(Enum):
    """The part of the emulator that answers a call."""

    FAL = auto()  # fal's hosts
    MEDIA = auto()  # reading a file on the CDN
    PROXY = auto()  # fal's browser proxy protocol
    HEALTH = auto()
    CONTROL = auto()
    PAGE = auto()  # the live page


class Connection(Protocol):
    """The TCP connection of a call, for the faults that break it."""

    async def drop(self) -> None:
        """Close it with an error. Bytes that were sent before still arrive."""
        ...

    async def hang(self) -> None:
        """Stay silent until the caller has left."""
        ...

    def omit_reason(self) -> None:
        """Send the next status line without a reason phrase."""
        ...


@dataclass(slots=True)
class CallContext:
    """One call. The guard creates it, the router completes it, hosts and fault injection add the notes.

    Attributes:
        area: the part of the emulator that answers it.
        authority: from its Host header.
        headers: names in lower case; the first of several with one name.
        names: the names of this emulator for this call, besides those of loopback.
        call: the operation on a fal host.
        base_url: for the URLs in the answer.
        body: the body of a submit, if it has arrived completely and is not too large.
        model_input: returns the input of a submit, if fault injection has parsed it.
        later: faults that the caller asked for, for the submitted request instead of this call.
        fault: note for the journal: the fault injected into this call.
        request_id: note for the journal: the request that this call created.
        public: note for the journal: whether the served file has no access list.
        no_cors: note for the guard: the answer gets no CORS headers, because of a fault.
    """

    area: Area
    authority: Authority
    headers: Mapping[str, str]
    names: frozenset[str]
    call: Call = field(init=False)
    base_url: BaseURL = field(init=False)
    body: bytes | None = None
    model_input: Callable[[], dict[str, Any]] | None = None
    later: tuple[Fault, ...] = ()
    fault: str | None = None
    request_id: str | None = None
    public: bool | None = None
    no_cors: bool = False


def context_of(request: Request) -> CallContext:
    """Return the context of a call to a fal host."""
    context: CallContext = request.scope[CONTEXT]
    return context


def query_of(scope: Scope) -> QueryParams:
    """Return the query of a call."""
    raw: bytes = scope["query_string"]
    return _query(raw) if len(raw) <= LONGEST_CACHED else QueryParams(raw)


@lru_cache(maxsize=256)  # polls repeat their query
def _query(raw: bytes) -> QueryParams:
    return QueryParams(raw)


def connection_of(scope: Scope) -> Connection:
    connection: Connection = scope.get(CONNECTION) or _NoConnection()
    return connection


class _NoConnection:
    """For a caller in this process, which has no connection: the faults are exceptions."""

    async def drop(self) -> None:
        raise ConnectionResetError("the connection was reset by an injected fault")

    async def hang(self) -> None:
        raise TimeoutError("there is no answer, because of an injected fault")

    def omit_reason(self) -> None:
        """Do nothing: such a caller gets no status line."""
