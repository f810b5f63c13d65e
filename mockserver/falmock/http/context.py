"""The context of a call: its head, and the notes of layers and hosts. One object in the ASGI scope.

The functions that read a body are here and not in `reading`, because that needs pydantic.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from starlette.datastructures import QueryParams

from falmock.protocol.authorities import AuthorityError, parse_authority
from falmock.protocol.errors import BodyTooLarge
from falmock.protocol.hosts import TARGETS, is_fal, is_own, own_authority

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from typing import Any

    from starlette.requests import Request
    from starlette.types import Scope

    from falmock.faults.vocabulary import Fault
    from falmock.protocol.authorities import Authority
    from falmock.protocol.calls import Call
    from falmock.protocol.hosts import BaseURL

CONTEXT: Final = "falmock.call"  # in the scope: the CallContext
CONNECTION: Final = "falmock.connection"  # in the scope: the Connection, if the server has one
CONTROL: Final = "/control"
HEALTH: Final = "/health"
PAGE: Final = "/ui"  # and below; GET "/" is the page too
PROXY: Final = "/api/fal/proxy"
READING: Final = frozenset({"GET", "HEAD"})
LONGEST_CACHED: Final = 300  # bytes of a query
MOST_DIGITS: Final = 18  # of a content-length; Python does not parse thousands of digits
_UNIQUE: Final = frozenset({"host", "origin", "sec-fetch-site", *TARGETS})


class Area(Enum):
    """The part of the emulator that answers a call."""

    FAL = auto()  # fal's hosts
    MEDIA = auto()  # reading a file on the CDN
    PROXY = auto()  # fal's browser proxy protocol
    HEALTH = auto()
    CONTROL = auto()
    PAGE = auto()  # the live page


class Connection:
    """The TCP connection of a call, for the faults that break it.

    This one is for a caller in this process, which has none: there the faults are exceptions.
    """

    async def drop(self) -> None:
        """Close it with an error. Bytes that were sent before still arrive."""
        raise ConnectionResetError("the connection was reset by an injected fault")

    async def hang(self) -> None:
        """Stay silent until the caller has left."""
        raise TimeoutError("there is no answer, because of an injected fault")

    def omit_reason(self) -> None:
        """Send the next status line without a reason phrase; here there is none."""


@dataclass(slots=True)
class CallContext:
    """One call, as its head describes it. The router adds the call, hosts and fault injection the notes.

    Attributes:
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

    @property
    def is_of_page(self) -> bool:
        """Whether a web page may have made the call."""
        return "origin" in self.headers or "sec-fetch-site" in self.headers


def read_head(scope: Scope) -> tuple[Authority, dict[str, str]]:
    """Return the authority that a call names, and its headers by name; of several with one name the first.

    Raises:
        AuthorityError: it names no valid host, or a header that the guard depends on occurs twice.
    """
    headers: dict[str, str] = {}
    for raw_name, value in scope["headers"]:
        name = raw_name.decode("latin-1")
        if name not in headers:
            headers[name] = value.decode("latin-1")
        elif name in _UNIQUE:
            raise AuthorityError(f"the call has more than one {name} header")
    if "host" in headers:
        return parse_authority(headers["host"]), headers
    if scope.get("http_version") != "1.0":
        raise AuthorityError("the call has no Host header")
    return parse_authority(own_authority(scope)), headers


def area_of(scope: Scope, host: Authority, headers: Mapping[str, str], names: frozenset[str]) -> Area:
    """Return the area of a call. Under the name of a fal host, every path is fal's."""
    path = scope["path"]
    if is_fal(host.name):
        return Area.FAL
    if path == PROXY:
        return Area.PROXY
    if not TARGETS.isdisjoint(headers):
        return Area.FAL
    if path == CONTROL or path.startswith(f"{CONTROL}/"):
        return Area.CONTROL
    if path == HEALTH:
        area = Area.HEALTH
    elif path.startswith(f"{PAGE}/") or path == PAGE or (path == "/" and scope["method"] in READING):
        area = Area.PAGE
    else:
        return Area.FAL
    return area if is_own(host.name, names) else Area.FAL


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


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body; see `limited`."""
    declared = request.headers.get("content-length", "0").lstrip("0")
    if declared.isdecimal() and (len(declared) > MOST_DIGITS or int(declared) > limit):
        raise BodyTooLarge(limit)
    return b"".join([chunk async for chunk in limited(request, limit)])


async def limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """Yield the body.

    Raises:
        BodyTooLarge: it has more bytes than `limit`. The rest is not read.
    """
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(limit)
        yield chunk


def connection_of(scope: Scope) -> Connection:
    connection: Connection = scope.get(CONNECTION) or Connection()
    return connection
