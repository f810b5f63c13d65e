"""The rest host: PROTOCOL.md 2.2 and 8."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from emulated import BASE, KEY, Mock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Start = Callable[..., Awaitable[Mock]]

TOKEN = "/rest.fal.ai/storage/auth/token?storage_type=fal-cdn-v3"
INITIATE = "/rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3"


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (None, '{"detail":"Authorization header is required"}'),
        (
            "Key nocolon",
            '{"detail": "Invalid Key Authorization header format. Expected \'<key_id>:<key_secret>\'."}',
        ),
        ("Key you:wrong", '{"detail": "No user found for Key ID and Secret"}'),
    ],
)
@pytest.mark.parametrize("path", [TOKEN, INITIATE])
async def test_wrong_credentials_are_refused_with_the_rest_hosts_text(
    start: Start, path: str, header: str | None, text: str
) -> None:
    mock = await start(keys=("me:secret",))

    answer = await mock.http.post(path, json={}, headers={} if header is None else {"Authorization": header})

    assert (answer.status_code, answer.text) == (401, text)


async def test_a_locked_account_gets_no_upload_token(start: Start) -> None:
    mock = await start(locked=("me",))

    assert (await mock.http.post(TOKEN, json={}, headers=KEY)).status_code == 403


async def test_an_upload_token_comes_with_its_base_url_and_expiry(mock: Mock) -> None:
    body = (await mock.http.post(TOKEN, json={}, headers=KEY)).json()

    lifetime = datetime.fromisoformat(body["expires_at"]) - datetime.fromtimestamp(mock.clock.now(), UTC)
    assert (body["token_type"], body["base_url"]) == ("Bearer", f"{BASE}/v3.fal.media")
    assert lifetime.total_seconds() == 24 * 3600


@pytest.mark.parametrize(
    ("path", "content", "kind"),
    [
        (INITIATE, b"{}", "missing"),
        (INITIATE, b"[]", "model_attributes_type"),
        (INITIATE, b"{", "json_invalid"),
        (TOKEN, b'{"expiration_seconds": "x"}', "int_parsing"),
        (TOKEN, b"", "missing"),
    ],
)
async def test_an_invalid_body_is_422(mock: Mock, path: str, content: bytes, kind: str) -> None:
    answer = await mock.http.post(path, content=content, headers=KEY | {"content-type": "application/json"})

    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (422, kind)


async def test_an_invalid_lifecycle_header_is_400(mock: Mock) -> None:
    body = {"file_name": "a.png", "content_type": "image/png"}

    answer = await mock.http.post(INITIATE, json=body, headers=KEY | {"X-Fal-Object-Lifecycle": "never"})

    assert (answer.status_code, answer.json()["error_type"]) == (400, "bad_request")


@pytest.mark.parametrize("path", ["/rest.fal.ai", "/rest.fal.ai/", "/rest.fal.ai/no/such", "/v3.fal.media/"])
async def test_an_unknown_path_is_404(mock: Mock, path: str) -> None:
    answer = await mock.get(path)

    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


async def test_a_wrong_method_is_405_with_a_detail(mock: Mock) -> None:
    answer = await mock.get(INITIATE)

    assert (answer.status_code, answer.json(), answer.headers["allow"]) == (
        405,
        {"detail": "Method Not Allowed"},
        "POST",
    )


@pytest.mark.parametrize("host", ["rest.fal.ai", "rest.alpha.fal.ai"])
async def test_the_webhook_keys_are_public_on_both_names_of_the_rest_host(mock: Mock, host: str) -> None:
    keys = (await mock.http.get(f"/{host}/.well-known/jwks.json")).json()["keys"]

    assert [(key["kty"], key["crv"]) for key in keys] == [("OKP", "Ed25519")] * 2
