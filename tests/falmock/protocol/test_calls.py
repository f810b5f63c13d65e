from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from emulated import APPLICATION, ENDPOINT, GOOD, KEY
from hypothesis import given
from hypothesis import strategies as st

from falmock.protocol import calls, endpoints
from falmock.protocol.calls import Operation, named_test
from falmock.protocol.hosts import CDN, PLATFORM, QUEUE, REST, RUN

if TYPE_CHECKING:
    from emulated import Mock

ID = "019e7b6a-5c1d-7f3e-9a2b-4c5d6e7f8091"


@pytest.mark.parametrize(
    ("host", "method", "path", "operation", "endpoint"),
    [
        (QUEUE, "POST", f"/{ENDPOINT}", "submit", ENDPOINT),
        (QUEUE, "GET", f"/{ENDPOINT}", "other", ENDPOINT),
        (QUEUE, "POST", f"/{APPLICATION}/requests", "submit", f"{APPLICATION}/requests"),
        (QUEUE, "GET", "/", "other", None),
        (RUN, "POST", f"/{ENDPOINT}", "run", ENDPOINT),
        (RUN, "GET", f"/{ENDPOINT}", "run", ENDPOINT),
        (REST, "POST", "/storage/upload/initiate", "upload", None),
        (REST, "POST", "/storage/auth/token", "upload", None),
        (REST, "GET", "/.well-known/jwks.json", "other", None),
        (CDN, "POST", "/files/upload", "upload", None),
        (CDN, "PUT", "/files/b/0aa9eef6/x_a.png/1", "upload", None),
        (CDN, "GET", "/files/b/0/a.mp4", "download", None),
        (CDN, "HEAD", "/files/b/0/a.mp4", "download", None),
        (PLATFORM, "GET", "/v1/models", "platform", None),
    ],
)
def test_operation_and_endpoint_are_read_from_method_and_path(
    host: str, method: str, path: str, operation: str, endpoint: str | None
) -> None:
    call = calls.read(host, method, path, {})

    assert call[:-1] == (host, Operation(operation), endpoint, None, None, None)
    assert call.parsed == endpoints.parse(endpoint or "")


@pytest.mark.parametrize(
    ("below", "operation"),
    [
        ("", "result"),
        ("/response", "result"),
        ("/status", "status"),
        ("/status/stream", "stream"),
        ("/cancel", "cancel"),
    ],
)
@pytest.mark.parametrize(
    ("endpoint", "lenient"), [(APPLICATION, False), ("workflows/me/mine", False), (ENDPOINT, True)]
)
def test_operation_on_a_request_is_read_from_the_path_below_its_id(
    endpoint: str, lenient: bool, below: str, operation: str
) -> None:
    call = calls.read(QUEUE, "GET", f"/{endpoint}/requests/{ID.upper()}{below}", {}, lenient=lenient)

    assert (call.operation, call.endpoint, call.request_id) == (operation, endpoint, ID)


@pytest.mark.parametrize("below", ["", "/response", "/status", "/status/stream", "/cancel"])
@pytest.mark.parametrize("endpoint", [ENDPOINT, "workflows/me/mine/more", "12345-alias", "fal-ai//veo2"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_path_of_a_request_has_owner_and_alias_alone(endpoint: str, below: str, method: str) -> None:
    call = calls.read(QUEUE, method, f"/{endpoint}/requests/{ID}{below}", {})

    assert (call.operation, call.endpoint, call.request_id) == ("other", endpoint, ID)


def test_post_to_a_request_under_a_full_endpoint_id_is_a_submit() -> None:
    call = calls.read(QUEUE, "POST", f"/{ENDPOINT}/requests/{ID}/cancel", {})

    assert (call.operation, call.endpoint, call.request_id) == (
        "submit",
        f"{ENDPOINT}/requests/{ID}/cancel",
        None,
    )


@pytest.mark.parametrize(
    ("authorization", "caller"),
    [
        ("Key me:secret", "me"),
        ("key me:secret", "me"),
        ("Bearer me:secret", "me"),
        ("Key  me:secret", "me"),
        ("Key secret", None),
        ("Key :secret", None),
        ("Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", None),
        ("me:secret", None),
        ("", None),
    ],
)
def test_caller_is_the_key_id_without_the_secret(authorization: str, caller: str | None) -> None:
    assert calls.read(QUEUE, "POST", "/x/y", {"authorization": authorization}).caller == caller


@given(st.text(), st.text(alphabet="ghij", min_size=3))
def test_call_never_contains_the_secret(key_id: str, secret: str) -> None:
    call = calls.read(QUEUE, "POST", "/x/y", {"authorization": f"Key {key_id.replace(secret, '')}:{secret}"})

    assert secret not in str(call)


@pytest.mark.parametrize(
    ("headers", "test"),
    [
        ({"x-falmock-test": "a", "authorization": "Key test-b:x"}, "a"),
        ({"authorization": "Key test-b:x"}, "b"),
        ({"authorization": "Key test-:x"}, None),
        ({"authorization": "Key me:x"}, None),
        ({}, None),
    ],
)
def test_test_of_a_call_comes_from_its_header_or_its_key(headers: dict[str, str], test: str | None) -> None:
    assert calls.read(QUEUE, "POST", "/x/y", headers).test == test


def test_call_without_a_caller_has_no_test() -> None:
    assert named_test(None) is None


async def test_request_keeps_the_test_of_its_submit(mock: Mock) -> None:
    submitted = await mock.submit(headers={"X-Falmock-Test": "checkout"})

    found = mock.emulator.request(submitted["request_id"])
    assert found is not None
    assert found.test == "checkout"


async def test_request_with_a_token_belongs_to_the_test_of_the_tokens_key(mock: Mock) -> None:
    key = {"Authorization": "Key test-page:secret"}
    body = {"allowed_apps": ["veo2"], "token_expiration": 60}
    token = (await mock.http.post("/rest.fal.ai/tokens/", json=body, headers=key)).json()
    answer = await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers={"Authorization": f"Bearer {token}"})

    found = mock.emulator.request(answer.json()["request_id"])
    assert found is not None
    assert (found.caller, found.test) == ("test-page", "page")


async def test_browser_proxy_forwards_the_test_header(mock: Mock) -> None:
    headers = KEY | {"x-fal-target-url": f"https://queue.fal.run/{ENDPOINT}", "x-falmock-test": "page"}
    answer = await mock.http.post("/api/fal/proxy", json=GOOD, headers=headers)

    found = mock.emulator.request(answer.json()["request_id"])
    assert found is not None
    assert found.test == "page"
