"""Exceptions become responses in one place, and the journal has these responses too."""

from __future__ import annotations

import errno
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from emulated import BASE, ENDPOINT, GOOD, KEY, Mock
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from falmock.http.replies import refuse
from falmock.inspection.entries import Exchange
from falmock.inspection.journal import journal_of
from falmock.protocol.errors import RequestNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST = Request({"type": "http"})


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (RequestNotFound(), 404, b'{"status":"NOT_FOUND"}'),
        (HTTPException(405), 405, b'{"detail":"Method Not Allowed"}'),
        (ClientDisconnect(), 499, b""),
    ],
)
async def test_an_exception_is_answered_with_its_status(error: Exception, status: int, body: bytes) -> None:
    response = await refuse(REQUEST, error)

    assert (response.status_code, response.body) == (status, body)


async def test_a_full_disk_is_answered_with_507() -> None:
    response = await refuse(REQUEST, OSError(errno.ENOSPC, "No space left on device"))

    assert response.status_code == 507


@pytest.mark.parametrize("error", [FileNotFoundError("x"), sqlite3.OperationalError("no such table: x")])
async def test_a_defect_is_not_answered_as_a_refusal(error: Exception) -> None:
    with pytest.raises(type(error)):
        await refuse(REQUEST, error)


def failing(error: Exception) -> Callable[..., Any]:
    def method(*_: object) -> None:
        raise error

    return method


def last_call(mock: Mock) -> Exchange:
    return [entry for entry in journal_of(mock.emulator).entries() if isinstance(entry, Exchange)][-1]


async def test_a_poll_refused_for_a_full_disk_is_recorded_with_its_status(
    mock: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = await mock.submit()
    monkeypatch.setattr(mock.emulator, "request", failing(OSError(errno.ENOSPC, "full")))

    answer = await mock.http.get(submitted["status_url"], headers=KEY)

    call = last_call(mock)
    assert (call.status, call.error, answer.status_code) == (507, None, 507)


async def test_a_call_for_a_host_that_is_not_emulated_is_recorded_with_its_status(mock: Mock) -> None:
    answer = await mock.http.get(f"{BASE}/x", headers={"Host": "alpha.fal.ai"})

    call = last_call(mock)
    assert (call.host, call.status, answer.status_code) == ("alpha.fal.ai", 421, 421)


async def test_the_caller_and_the_access_check_read_the_same_authorization_header(mock: Mock) -> None:
    headers = [("Authorization", "Key first:x"), ("Authorization", "Key second:x")]

    await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=headers)

    (request,) = mock.emulator.store.open_requests()
    assert (request.caller, last_call(mock).caller) == ("first", "first")
