"""What a call asks for, as its address and its headers tell: read once, before anybody answers.

Fault rules, the journal and the queue host all go by it, so that none of them takes a path apart again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from falmock.hosts import CDN, QUEUE, REST, RUN

if TYPE_CHECKING:
    from collections.abc import Mapping

TEST_HEADER: Final = "x-falmock-test"
TEST_KEY: Final = "test-"


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
_UPLOADING: Final = ("/storage/",)  # on the rest host: tokens and addresses


@dataclass(frozen=True, slots=True)
class Call:
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
    test = headers.get(TEST_HEADER) or named_test(caller)
    operation, endpoint, request_id = Operation.OTHER, None, None
    if host == QUEUE:
        if (match := _REQUEST.fullmatch(path)) is not None:
            endpoint, request_id, below = match.groups()
            return Call(host, _BELOW_REQUEST[below], endpoint, request_id.lower(), caller, test)
        operation, endpoint = Operation.SUBMIT if method == "POST" else Operation.OTHER, path.strip("/")
    elif host == RUN:  # the runner judges the method
        operation, endpoint = Operation.RUN, path.strip("/")
    elif host == CDN:
        operation = Operation.DOWNLOAD if method in {"GET", "HEAD"} else Operation.UPLOAD
    elif host == REST and path.startswith(_UPLOADING):
        operation = Operation.UPLOAD
    return Call(host, operation, endpoint or None, request_id, caller, test)


def named_test(caller: str | None) -> str | None:
    """Return the test that a key id belongs to: "checkout" for "test-checkout"."""
    if caller is None or not caller.startswith(TEST_KEY):
        return None
    return caller.removeprefix(TEST_KEY) or None


def _key_id(authorization: str) -> str | None:
    """Return what stands before the colon, in whichever scheme; text without one may be a secret."""
    key_id, colon, _ = authorization.partition(" ")[2].strip().partition(":")
    return key_id or None if colon else None
