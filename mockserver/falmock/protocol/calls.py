"""Calls: the operation, read once from path and headers."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from falmock.protocol import endpoints
from falmock.protocol.hosts import CDN, PLATFORM, QUEUE, REST, RUN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from falmock.protocol.endpoints import Endpoint

REQUEST_ID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
TEST_HEADER: Final = "x-falmock-test"
TEST_KEY: Final = "test-"
LONGEST_CACHED: Final = 300  # characters of a path; fal's own have about 120


class Operation(StrEnum):
    """The operation of a call. WEBHOOK is for deliveries, which are calls that fal makes."""

    SUBMIT = "submit"
    STATUS = "status"
    STREAM = "stream"
    RESULT = "result"
    CANCEL = "cancel"
    RUN = "run"
    UPLOAD = "upload"
    DOWNLOAD = "download"
    WEBHOOK = "webhook"
    PLATFORM = "platform"
    OTHER = "other"


_REQUEST: Final = re.compile(
    r"/(?P<endpoint>.+?)/requests/(?P<id>[^/]+)(?P<operation>|/response|/status|/status/stream|/cancel)"
)
_BELOW_REQUEST: Final = {
    "": Operation.RESULT,
    "/response": Operation.RESULT,
    "/status": Operation.STATUS,
    "/status/stream": Operation.STREAM,
    "/cancel": Operation.CANCEL,
}
_STORAGE: Final = "/storage/"  # on the rest host: upload tokens and URLs


class Call(NamedTuple):
    """One call.

    Attributes:
        operation: independent of the method, except that a submit is a POST. The path of a request under its
            full endpoint id is a submit path too; with another method it is OTHER.
        endpoint: as the path names it: the full id for a submit or a run, the part before "/requests/" for
            the others, else None.
        request_id: in lower case, or None. OTHER has one if the path would be right without the endpoint's
            path.
        caller: the key id, or None for a key that cannot be read. Never a secret.
        test: the name in `x-falmock-test`, else the one in a key id "test-<name>", else None.
        parsed: `endpoint`, parsed; None if it names no application.
    """

    host: str
    operation: Operation
    endpoint: str | None
    request_id: str | None
    caller: str | None
    test: str | None
    parsed: Endpoint | None = None

    def repeats_id(self, status: int) -> bool:
        """Return whether an answer with this status has the request id in a header (PROTOCOL.md 11.2).

        A path may have any text in the place of an id; not every text may be in a header.
        """
        if self.operation is not Operation.RESULT and status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return False
        return self.request_id is not None and REQUEST_ID.fullmatch(self.request_id) is not None


def read(host: str, method: str, path: str, headers: Mapping[str, str], *, lenient: bool = False) -> Call:
    """Read a call.

    Args:
        host: one of fal's, aliases resolved.
        path: on that host, without a trailing slash.
        lenient: accept full endpoint ids in the paths of requests, as fal's documentation shows them.
    """
    read_path = _read_path if len(path) <= LONGEST_CACHED else _read_path.__wrapped__
    operation, endpoint, request_id, parsed = read_path(host, method, path, lenient=lenient)
    caller = _key_id(headers.get("authorization", ""))
    test = headers.get(TEST_HEADER) or named_test(caller)
    return Call(host, operation, endpoint, request_id, caller, test, parsed)


@lru_cache(maxsize=256)  # polls repeat their path
def _read_path(
    host: str, method: str, path: str, *, lenient: bool
) -> tuple[Operation, str | None, str | None, Endpoint | None]:
    """Return operation, endpoint, request id and the parsed endpoint."""
    if host == QUEUE:
        if (match := _REQUEST.fullmatch(path)) is not None:
            endpoint, request_id, below = match.groups()
            parsed = endpoints.parse(endpoint)
            if lenient or (parsed is not None and parsed.application == endpoint):
                return _BELOW_REQUEST[below], endpoint, request_id.lower(), parsed
            if method != "POST":
                return Operation.OTHER, endpoint, request_id.lower(), parsed
        return Operation.SUBMIT if method == "POST" else Operation.OTHER, *_endpoint(path)
    if host == RUN:  # the runner checks the method
        return Operation.RUN, *_endpoint(path)
    if host == CDN:
        return Operation.DOWNLOAD if method in {"GET", "HEAD"} else Operation.UPLOAD, None, None, None
    uploads = host == REST and path.startswith(_STORAGE)
    other = Operation.PLATFORM if host == PLATFORM else Operation.OTHER
    return Operation.UPLOAD if uploads else other, None, None, None


def _endpoint(path: str) -> tuple[str | None, None, Endpoint | None]:
    return path.strip("/") or None, None, endpoints.parse(path)


def named_test(caller: str | None) -> str | None:
    """Return the test that a key id belongs to: "checkout" for "test-checkout"."""
    if caller is None or not caller.startswith(TEST_KEY):
        return None
    return caller.removeprefix(TEST_KEY) or None


def _key_id(authorization: str) -> str | None:
    """Return the part before the colon, in any scheme; a value without a colon may be a secret."""
    key_id, colon, _ = authorization.partition(" ")[2].strip().partition(":")
    return key_id or None if colon else None
