"""What a call asks for, as its address and its headers tell: read once, before anybody answers.

Fault rules, the journal and the queue host all go by it, so that none of them takes a path apart again.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from falmock.protocol.hosts import CDN, QUEUE, REST, RUN

if TYPE_CHECKING:
    from collections.abc import Mapping

TEST_HEADER: Final = "x-falmock-test"
TEST_KEY: Final = "test-"
LONGEST_CACHED: Final = 300  # characters of a path; fal's own have some 120


class Operation(StrEnum):
    """What can be asked of fal. Deliveries of webhooks are fal's own asking."""

    SUBMIT = "submit"
    STATUS = "status"
    STREAM = "stream"
    RESULT = "result"
    CANCEL = "cancel"
    RUN = "run"
    UPLOAD = "upload"
    DOWNLOAD = "download"
    WEBHOOK = "webhook"
    OTHER = "other"


# fal's clients leave the endpoint's path out here; its documentation has it in. Both are taken.
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
_UPLOADING: Final = "/storage/"  # on the rest host: tokens and addresses


class Call(NamedTuple):
    """One call.

    Attributes:
        host: one of fal's, as in `hosts`.
        operation: what it asks for, whether by the right method or not; a submit is a POST, though.
        endpoint: as the path names it: the full id for a submit and a run, what stands before
            "/requests/" for the others; None where there is none.
        request_id: in lower case, or None.
        caller: the key id; None for no key that can be read. Never a secret.
        test: whose it is: the name in `x-falmock-test`, else that in a key id "test-<name>", else None.
    """

    host: str
    operation: Operation
    endpoint: str | None
    request_id: str | None
    caller: str | None
    test: str | None


def read(host: str, method: str, path: str, headers: Mapping[str, str]) -> Call:
    """Read a call.

    Args:
        host: one of fal's, aliases resolved.
        method: HTTP's.
        path: on that host, without a trailing slash.
        headers: names in lower case.
    """
    caller = _key_id(headers.get("authorization", ""))
    asked = _asked if len(path) <= LONGEST_CACHED else _asked.__wrapped__
    return Call(host, *asked(host, method, path), caller, headers.get(TEST_HEADER) or named_test(caller))


@lru_cache(maxsize=256)  # a poll is a repetition
def _asked(host: str, method: str, path: str) -> tuple[Operation, str | None, str | None]:
    """Return operation, endpoint and request id."""
    if host == QUEUE:
        if (match := _REQUEST.fullmatch(path)) is not None:
            endpoint, request_id, below = match.groups()
            return _BELOW_REQUEST[below], endpoint, request_id.lower()
        return Operation.SUBMIT if method == "POST" else Operation.OTHER, path.strip("/") or None, None
    if host == RUN:  # the runner judges the method
        return Operation.RUN, path.strip("/") or None, None
    if host == CDN:
        return Operation.DOWNLOAD if method in {"GET", "HEAD"} else Operation.UPLOAD, None, None
    uploads = host == REST and path.startswith(_UPLOADING)
    return Operation.UPLOAD if uploads else Operation.OTHER, None, None


def named_test(caller: str | None) -> str | None:
    """Return the test that a key id belongs to: "checkout" for "test-checkout"."""
    if caller is None or not caller.startswith(TEST_KEY):
        return None
    return caller.removeprefix(TEST_KEY) or None


def _key_id(authorization: str) -> str | None:
    """Return what stands before the colon, in whichever scheme; text without one may be a secret."""
    key_id, colon, _ = authorization.partition(" ")[2].strip().partition(":")
    return key_id or None if colon else None
