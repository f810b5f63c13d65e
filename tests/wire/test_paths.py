"""The paths and methods that the queue host's router knows: PROTOCOL.md 3."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from emulated import APPLICATION, ENDPOINT, GOOD, KEY, Mock
from hypothesis import given
from hypothesis import strategies as st
from wire import READABLE, lines

from falmock.protocol import calls
from falmock.protocol.calls import Operation
from falmock.protocol.hosts import QUEUE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Start = Callable[..., Awaitable[Mock]]

ID = str(uuid.UUID(int=7 << 76))
BELOW = ("", "/status", "/status/stream", "/cancel")
KEYS = {
    "none": {},
    "bad": {"Authorization": "Key x"},
    "locked": {"Authorization": "Key locked:x"},
    "good": KEY,
}
ADDRESSES = {
    "host": ("", {"Host": "queue.fal.run"}),
    "prefix": ("/queue.fal.run", {}),
    "bare": ("", {}),
}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "path",
    [
        "fal-ai",
        APPLICATION,
        ENDPOINT,
        "nobody/nothing",
        f"{APPLICATION}/requests",
        f"{APPLICATION}/requests/{ID}/logs",
        f"{APPLICATION}/requests/{ID}/status/stream/more",
        *(f"{ENDPOINT}/requests/{ID}{below}" for below in (*BELOW, "/response")),
        *(f"workflows/me/mine/more/requests/{ID}{below}" for below in BELOW),
    ],
)
async def test_any_other_path_is_for_post_alone(mock: Mock, method: str, path: str) -> None:
    answer = await mock.http.request(method, f"/{path}?logs=1", headers=KEY)

    assert (answer.status_code, answer.content) == (405, b"")
    assert lines(answer) == ["allow: POST", "content-length: 0", *READABLE]


@pytest.mark.parametrize("headers", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize(("prefix", "host"), ADDRESSES.values(), ids=ADDRESSES)
async def test_405_comes_before_key_lock_and_request_at_every_address(
    start: Start, prefix: str, host: dict[str, str], headers: dict[str, str]
) -> None:
    mock = await start(locked=("locked",))
    request_id = (await mock.submit())["request_id"]

    answer = await mock.http.get(f"{prefix}/{ENDPOINT}/requests/{request_id}/status", headers=host | headers)

    assert (answer.status_code, answer.content) == (405, b"")
    assert lines(answer) == ["allow: POST", "content-length: 0", *READABLE]


@pytest.mark.parametrize("headers", KEYS.values(), ids=KEYS)
async def test_post_to_one_segment_is_404_without_a_body(start: Start, headers: dict[str, str]) -> None:
    mock = await start(locked=("locked",))

    answer = await mock.http.post("/fal-ai", json=GOOD, headers=headers)

    assert (answer.status_code, answer.content) == (404, b"")
    assert lines(answer) == ["content-length: 0", *READABLE]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_root_is_404(mock: Mock, method: str) -> None:
    answer = await mock.http.request(method, "/queue.fal.run/", headers=KEY)

    assert (answer.status_code, answer.content) == (404, b"")
    assert lines(answer) == ["content-length: 0", *READABLE]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("below", BELOW)
async def test_wrong_method_on_the_path_of_a_request_names_the_right_one(
    mock: Mock, below: str, method: str
) -> None:
    right = "PUT" if below == "/cancel" else "GET"
    if method == right:
        method = "PATCH"

    answer = await mock.http.request(method, f"/{APPLICATION}/requests/{ID}{below}")

    assert (answer.status_code, answer.content) == (405, b"")
    assert lines(answer) == [f"allow: {right}", "content-length: 0", *READABLE]
    assert mock.emulator.store.requests() == []


async def test_post_to_a_request_under_its_full_endpoint_id_is_a_submit(mock: Mock) -> None:
    submitted = await mock.submit()
    path = f"/{ENDPOINT}/requests/{submitted['request_id']}/cancel"

    answer = await mock.http.post(path, json={}, headers=KEY)

    assert (answer.status_code, answer.json()["status"]) == (200, "IN_QUEUE")
    assert answer.json()["request_id"] != submitted["request_id"]
    assert (await mock.status(submitted)).json()["status"] == "IN_QUEUE"


@pytest.mark.parametrize(("prefix", "host"), ADDRESSES.values(), ids=ADDRESSES)
async def test_request_is_reached_at_every_address(mock: Mock, prefix: str, host: dict[str, str]) -> None:
    request_id = (await mock.submit())["request_id"]
    base = f"{prefix}/{APPLICATION}/requests/{request_id}"
    await mock.pass_time(6)

    answers = [
        (await mock.http.get(base + below, headers=host | KEY)).status_code
        for below in ("", "/", "/response", "/status", "/status/", "/status?logs=1", "/status/stream")
    ]
    answers.append((await mock.http.put(f"{base}/cancel", headers=host | KEY)).status_code)

    assert answers == [200] * 7 + [400]


@pytest.mark.parametrize("path", [APPLICATION, ENDPOINT, f"{APPLICATION}/whatever"])
async def test_lenient_paths_serve_full_endpoint_ids(start: Start, path: str) -> None:
    mock = await start(lenient_paths=True)
    submitted = await mock.submit()
    base = f"/{path}/requests/{submitted['request_id']}"

    answers = [
        (await mock.get(base + below)).status_code for below in ("", "/status", "/response", "/status/")
    ]
    answers.append((await mock.http.put(f"{base}/cancel", headers=KEY)).status_code)
    answers.append((await mock.get(f"{base}/status/stream")).status_code)

    assert answers == [400, 202, 400, 202, 202, 200]


async def test_lenient_paths_leave_all_other_paths_to_post(start: Start) -> None:
    mock = await start(lenient_paths=True)

    answers = [(await mock.get(f"/{path}")).status_code for path in (ENDPOINT, f"{ENDPOINT}/requests/{ID}/x")]

    assert answers == [405, 405]


SEGMENT = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,9}", fullmatch=True)


@given(
    namespace=st.sampled_from(["", "workflows/", "comfy/"]),
    owner=SEGMENT,
    alias=SEGMENT,
    path=st.lists(SEGMENT, max_size=3),
    below=st.sampled_from(BELOW),
    method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE"]),
)
def test_path_of_a_request_is_known_if_and_only_if_nothing_follows_the_alias(
    namespace: str, owner: str, alias: str, path: list[str], below: str, method: str
) -> None:
    endpoint = "/".join([namespace + owner, alias, *path])

    call = calls.read(QUEUE, method, f"/{endpoint}/requests/{ID}{below}", {})

    assert (call.operation is Operation.OTHER) == bool(path)
