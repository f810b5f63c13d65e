"""The answers of the token endpoints, byte for byte: PROTOCOL.md 7.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import pytest
from emulated import APPLICATION, ENDPOINT, KEY

if TYPE_CHECKING:
    import httpx
    from emulated import Mock

HOST = {"Host": "rest.fal.ai"}
REST = [
    ("content-length", "..."),
    ("content-type", "application/json"),
    ("date", "..."),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("x-robots-tag", "noindex"),
]


async def ask(mock: Mock, path: str, body: Any) -> httpx.Response:
    return await mock.http.post(path, json=body, headers=KEY | HOST)


def headers_of(answer: httpx.Response) -> list[tuple[str, str]]:
    """Return all headers, sorted, without the values that change."""
    found = {**answer.headers, "date": "...", "content-length": "..."}
    return sorted(found.items())


@pytest.mark.parametrize(
    ("path", "body", "claims"),
    [
        ("/tokens/", {"allowed_apps": ["veo2"], "token_expiration": 120}, (["veo2"], 120)),
        ("/tokens/", {"allowed_apps": ["veo2"]}, (["veo2"], 60)),
        ("/tokens/realtime", {"app": ENDPOINT, "token_expiration": 120}, (["veo2"], 120)),
        ("/tokens/realtime", {"app": APPLICATION, "token_expiration": 120}, (["veo2"], 10)),
    ],
)
async def test_token_is_a_bare_json_string_with_status_201(
    mock: Mock, path: str, body: Any, claims: tuple[list[str], int]
) -> None:
    answer = await ask(mock, path, body)

    assert (answer.status_code, answer.content[:1], answer.content[-1:]) == (201, b'"', b'"')
    read = jwt.decode(answer.json(), options={"verify_signature": False})
    assert (read["allowed_apps"], read["exp"] - read["iat"]) == claims
    assert headers_of(answer) == REST


async def test_realtime_token_takes_no_body_in_the_form_of_the_documentation(mock: Mock) -> None:
    answer = await ask(mock, "/tokens/realtime", {"allowed_apps": ["veo2"], "duration": 60})

    assert (answer.status_code, answer.text) == (
        422,
        '{"detail":[{"type":"missing","loc":["body","app"],"msg":"Field required",'
        '"input":{"allowed_apps":["veo2"],"duration":60}}]}',
    )
    assert headers_of(answer) == REST


async def test_token_needs_a_key(mock: Mock) -> None:
    answer = await mock.http.post("/tokens/", json={"allowed_apps": ["veo2"]}, headers=HOST)

    assert (answer.status_code, answer.text) == (401, '{"detail":"Authorization header is required"}')
    assert headers_of(answer) == REST
