"""Tokens for web pages: PROTOCOL.md 7.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from emulated import APPLICATION, ENDPOINT, GOOD, KEY, Mock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TOKENS = "/rest.fal.ai/tokens/"
REALTIME = "/rest.fal.ai/tokens/realtime"


async def token(mock: Mock, body: Any, path: str = TOKENS) -> str:
    answer = await mock.http.post(path, json=body, headers=KEY)
    assert answer.status_code == 201, answer.text
    given: str = answer.json()
    return given


async def submit(mock: Mock, given: str, *, by_header: bool = False) -> int:
    query = "" if by_header else f"?fal_jwt_token={given}"
    headers = {"Authorization": f"Bearer {given}"} if by_header else {}
    return (await mock.http.post(f"/{ENDPOINT}{query}", json=GOOD, headers=headers)).status_code


@pytest.mark.parametrize("by_header", [True, False])
async def test_a_token_works_in_the_header_and_in_the_query(mock: Mock, by_header: bool) -> None:
    given = await token(mock, {"allowed_apps": ["veo2"], "token_expiration": 120})

    assert await submit(mock, given, by_header=by_header) == 200


async def test_a_token_can_poll_a_request_of_its_key(mock: Mock) -> None:
    given = await token(mock, {"allowed_apps": ["veo2"]})
    submitted = await mock.submit()

    assert (await mock.http.get(f"{submitted['status_url']}?fal_jwt_token={given}")).status_code == 202


async def test_an_expired_token_is_401(mock: Mock) -> None:
    given = await token(mock, {"allowed_apps": ["veo2"], "token_expiration": 30})
    await mock.pass_time(31)

    assert await submit(mock, given) == 401


async def test_a_token_lifetime_of_more_than_a_century_is_refused(mock: Mock) -> None:
    body = {"allowed_apps": ["veo2"], "token_expiration": 10**4300 - 1}

    assert (await mock.http.post(TOKENS, json=body, headers=KEY)).status_code == 422


@pytest.mark.parametrize("allowed", [[], ["flux"]])
async def test_a_token_is_valid_only_for_its_applications(mock: Mock, allowed: list[str]) -> None:
    assert await submit(mock, await token(mock, {"allowed_apps": allowed})) == 401


@pytest.mark.parametrize("forged", ["", "a.b.c", "é", "eyJ.eyJ."])
async def test_a_malformed_token_is_401(mock: Mock, forged: str) -> None:
    assert await submit(mock, forged) == 401


async def test_a_token_with_a_changed_signature_is_401(mock: Mock) -> None:
    given = await token(mock, {"allowed_apps": ["veo2"]})

    assert await submit(mock, given[:-1] + ("A" if given[-1] != "A" else "B")) == 401


async def test_a_token_is_not_valid_on_the_rest_host(mock: Mock) -> None:
    given = await token(mock, {"allowed_apps": ["veo2"]})
    answer = await mock.http.post(TOKENS, json={}, headers={"Authorization": f"Bearer {given}"})

    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"app": ENDPOINT, "token_expiration": 500}, 120),
        ({"app": APPLICATION, "token_expiration": 500}, 10),
        ({"app": ENDPOINT}, 60),
    ],
)
async def test_the_lifetime_of_a_realtime_token_is_limited(mock: Mock, body: Any, seconds: int) -> None:
    given = await token(mock, body, REALTIME)
    await mock.pass_time(seconds - 1)
    before = await submit(mock, given)
    await mock.pass_time(2)

    assert (before, await submit(mock, given)) == (200, 401)


@pytest.mark.parametrize(
    ("path", "body", "loc"),
    [
        (TOKENS, {}, ["body", "allowed_apps"]),
        (TOKENS, {"allowed_apps": ["x"], "token_expiration": 0}, ["body", "token_expiration"]),
        (REALTIME, {}, ["body", "app"]),
        (REALTIME, {"allowed_apps": [ENDPOINT], "duration": 5}, ["body", "app"]),
    ],
)
async def test_an_invalid_body_is_422(mock: Mock, path: str, body: Any, loc: list[str]) -> None:
    answer = await mock.http.post(path, json=body, headers=KEY)

    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, loc)


async def test_a_token_is_not_issued_without_a_key(mock: Mock) -> None:
    assert (await mock.http.post(TOKENS, json={"allowed_apps": ["veo2"]})).status_code == 401


async def test_the_balance_is_a_json_number(mock: Mock) -> None:
    assert (await mock.get("/rest.fal.ai/billing/user_balance")).text == "100.0"


async def test_the_balance_of_a_locked_account_is_zero(start: Callable[..., Awaitable[Mock]]) -> None:
    mock = await start(locked=("me",))

    assert (await mock.get("/rest.fal.ai/billing/user_balance")).text == "0.0"
