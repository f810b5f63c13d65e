"""Who is refused, with which bytes, and in which order: PROTOCOL.md 2 and 4.3."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from emulated import APPLICATION, ENDPOINT, GOOD, KEY, OTHER_KEY, Mock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Start = Callable[..., Awaitable[Mock]]

Headers = dict[str, str]

NOBODY = str(uuid.UUID(int=7 << 76))
WHY = "Authentication is required to access this application."
DENIED = f'{{"detail":"Cannot access application \\"{APPLICATION}\\". {WHY}"}}'
UNKNOWN_KEY = '{"detail": "No user found for Key ID and Secret"}'
LOCKED = (
    '{"detail":"User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."}'
)
NOT_FOUND = '{"status":"NOT_FOUND"}'

NONE: Headers = {}
MALFORMED = {"Authorization": "Key nocolon"}
WRONG = {"Authorization": "Key me:wrong"}
TOKEN = {"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"}
LOCKED_KEY = {"Authorization": "Key locked:secret"}
CALLS = [("GET", ""), ("GET", "/status"), ("GET", "/status/stream"), ("PUT", "/cancel")]


@pytest.fixture
async def known(start: Start) -> Mock:
    """An emulator that knows three keys."""
    return await start(keys=("me:secret", "you:secret", "locked:secret"), locked=("locked",))


@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        (NONE, 401, DENIED),
        (MALFORMED, 401, DENIED),
        (TOKEN, 401, DENIED),
        (WRONG, 401, UNKNOWN_KEY),
        (LOCKED_KEY, 403, LOCKED),
    ],
    ids=["none", "malformed", "token", "wrong", "locked"],
)
@pytest.mark.parametrize("prefix", ["", "/fal.run"])
async def test_submit_and_run_refuse_a_caller_in_the_same_words(
    known: Mock, prefix: str, headers: Headers, status: int, body: str
) -> None:
    answer = await known.http.post(f"{prefix}/{ENDPOINT}", content=b"no json", headers=headers)

    assert (answer.status_code, answer.text) == (status, body)


@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        (NONE, 404, NOT_FOUND),
        (MALFORMED, 401, DENIED),
        (TOKEN, 401, DENIED),
        (WRONG, 401, UNKNOWN_KEY),
        (KEY, 404, NOT_FOUND),
        (LOCKED_KEY, 404, NOT_FOUND),
    ],
    ids=["none", "malformed", "token", "wrong", "good", "locked"],
)
@pytest.mark.parametrize(("method", "below"), CALLS)
async def test_unknown_id_is_404_unless_the_credentials_are_bad(
    known: Mock, method: str, below: str, headers: Headers, status: int, body: str
) -> None:
    answer = await known.http.request(method, f"/{APPLICATION}/requests/{NOBODY}{below}", headers=headers)

    assert (answer.status_code, answer.text) == (status, body)


@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        (NONE, 401, DENIED),
        (MALFORMED, 401, DENIED),
        (TOKEN, 401, DENIED),
        (WRONG, 401, UNKNOWN_KEY),
        (OTHER_KEY, 404, NOT_FOUND),
    ],
    ids=["none", "malformed", "token", "wrong", "other"],
)
@pytest.mark.parametrize(("method", "below"), CALLS)
async def test_known_id_is_hidden_from_all_but_its_caller(
    known: Mock, method: str, below: str, headers: Headers, status: int, body: str
) -> None:
    submitted = await known.submit()

    answer = await known.http.request(
        method, f"/{APPLICATION}/requests/{submitted['request_id']}{below}", headers=headers
    )

    assert (answer.status_code, answer.text) == (status, body)
    assert (await known.status(submitted)).json()["status"] == "IN_QUEUE"


async def test_bad_token_in_the_query_counts_as_bad_credentials(known: Mock) -> None:
    url = f"/{APPLICATION}/requests/{NOBODY}/status/stream?fal_jwt_token=x.y.z"

    answer = await known.http.get(url)

    assert (answer.status_code, answer.text) == (401, DENIED)


@pytest.mark.parametrize("headers", [NONE, WRONG, KEY, LOCKED_KEY], ids=["none", "wrong", "good", "locked"])
@pytest.mark.parametrize(
    ("path", "name"),
    [("nobody/nothing/x", "nobody/nothing"), ("fal-ai/nothing/x", "nothing"), ("workflows/fal-ai/x", "x")],
)
@pytest.mark.parametrize("prefix", ["", "/fal.run"])
async def test_unknown_application_is_404_before_the_credentials_are_looked_at(
    known: Mock, prefix: str, path: str, name: str, headers: Headers
) -> None:
    answer = await known.http.post(f"{prefix}/{path}", json=GOOD, headers=headers)

    assert (answer.status_code, answer.text) == (404, f'{{"detail":"Application \\"{name}\\" not found"}}')


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    ("headers", "status", "body"), [(NONE, 401, DENIED), (WRONG, 401, UNKNOWN_KEY), (LOCKED_KEY, 403, LOCKED)]
)
async def test_run_host_looks_at_the_key_and_the_lock_before_the_method(
    known: Mock, method: str, headers: Headers, status: int, body: str
) -> None:
    answer = await known.http.request(method, f"/fal.run/{ENDPOINT}", headers=headers)

    assert (answer.status_code, answer.text) == (status, body)


@pytest.mark.parametrize("headers", [NONE, WRONG, KEY, LOCKED_KEY], ids=["none", "wrong", "good", "locked"])
async def test_queue_host_looks_at_the_method_before_the_key_and_the_lock(
    known: Mock, headers: Headers
) -> None:
    answer = await known.http.get(f"/{ENDPOINT}", headers=headers)

    assert (answer.status_code, answer.content) == (405, b"")


async def test_locked_account_may_still_read_and_cancel(start: Start) -> None:
    mock = await start(auth=False, locked=("me",))
    stored = (await mock.http.post(f"/{ENDPOINT}", json=GOOD)).json()

    answers = [(await mock.status(stored)).status_code, (await mock.cancel(stored)).status_code]

    assert answers == [202, 202]
    assert (await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY)).text == LOCKED
