"""Deliveries as they arrive at a socket, with all headers and byte for byte: PROTOCOL.md 9."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from emulated import GOOD, HOSTED

from falqueue import keys_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from emulated import Mock

    Start = Callable[..., Awaitable[Mock]]

FIRST = "01a0c450-6c00-7085-9207-97ffcbc75b2f"  # the first request with seed 1, at the time of the fixture
PAUSES = (2, 39, 75, 55, 190, 340)  # recorded, in seconds


@dataclass
class Arrivals:
    """A receiver that keeps the bytes of each call."""

    url: str = ""
    status: str = "200 OK"
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def headers(self, number: int = 0) -> list[tuple[str, str]]:
        """Return the headers of a call, names in lower case, in the order of arrival."""
        lines = self.heads[number].split("\r\n")[1:-2]
        return [(name.lower(), value) for name, value in (line.split(": ", 1) for line in lines)]

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        length = re.search(r"(?i)content-length: (\d+)", head)
        assert length is not None
        self.bodies.append(await reader.readexactly(int(length[1])))
        self.heads.append(head)
        answer = f"HTTP/1.1 {self.status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(answer.encode())
        writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Arrivals]:
    arrivals = Arrivals()
    async with await asyncio.start_server(arrivals.take, "127.0.0.1") as server:
        arrivals.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?of=mine"
        yield arrivals


@pytest.fixture
async def receiver() -> AsyncIterator[Arrivals]:
    async with receiving() as arrivals:
        yield arrivals


async def deliver(mock: Mock, receiver: Arrivals, **more: Any) -> Any:
    """Submit a request with a webhook and let it end; return its result."""
    submitted = await mock.submit(query=f"?fal_webhook={receiver.url}", **more)
    await mock.pass_time(6)
    return (await mock.result(submitted)).json()


async def test_delivery_has_these_headers_and_no_others(mock: Mock, receiver: Arrivals) -> None:
    await deliver(mock, receiver)

    assert receiver.heads[0].startswith("POST /hook?of=mine HTTP/1.1\r\n")
    headers = dict(receiver.headers())
    assert re.fullmatch("[0-9a-f]{128}", headers.pop("x-fal-webhook-signature"))
    assert re.fullmatch(r"\d{10}", headers.pop("x-fal-webhook-timestamp"))
    assert re.fullmatch(r"github\|\d{1,9}", headers.pop("x-fal-webhook-user-id"))
    assert headers == {
        "host": receiver.url.split("/")[2],
        "accept": "*/*",
        "accept-encoding": "gzip",
        "content-type": "application/json",
        "content-length": str(len(receiver.bodies[0])),
        "x-fal-webhook-request-id": FIRST,
    }
    assert len(receiver.headers()) == len(headers) + 3


async def test_body_of_a_success_is_what_json_dumps_makes_of_it_with_sorted_keys(
    mock: Mock, receiver: Arrivals
) -> None:
    result = await deliver(mock, receiver)

    video = result["video"]
    members = ", ".join(f'"{name}": {json.dumps(video[name])}' for name in sorted(video))
    assert receiver.bodies == [
        f'{{"error": null, "gateway_request_id": "{FIRST}", "payload": {{"video": {{{members}}}}}, '
        f'"request_id": "{FIRST}", "status": "OK"}}'.encode()
    ]


async def test_body_of_a_failure_has_its_status_and_ascii_letters_only(
    mock: Mock, receiver: Arrivals
) -> None:
    await deliver(mock, receiver, prompt="Köder", duration="9s")

    (body,) = receiver.bodies
    assert body.startswith(
        b'{"error": "Unexpected status code: 422", "gateway_request_id": "%b", "payload": {"detail": [{"'
        % FIRST.encode()
    )
    assert body.endswith(b'"request_id": "%b", "status": "ERROR"}' % FIRST.encode())
    assert body.isascii()


@pytest.mark.parametrize("given", [{}, {"prompt": "Ködér 魚 \U0001f3a5 \"'<&", "duration": "9s"}])
async def test_payload_equals_the_result(mock: Mock, receiver: Arrivals, given: Any) -> None:
    result = await deliver(mock, receiver, **given)

    assert json.loads(receiver.bodies[0])["payload"] == result


async def test_output_that_is_not_json_has_an_explanation_and_no_error(
    mock: Mock, receiver: Arrivals
) -> None:
    await deliver(mock, receiver, prompt="[[fal: webhook_null_payload]]")

    assert receiver.bodies[0] == (
        b'{"gateway_request_id": "%b", "payload": null, "payload_error": "Response payload is not JSON '
        b"serializable. Either return a JSON serializable object or use the queue endpoint to retrieve the "
        b'response.", "request_id": "%b", "status": "OK"}' % (FIRST.encode(), FIRST.encode())
    )


async def test_user_id_depends_on_the_key_id_alone(start: Start, receiver: Arrivals) -> None:
    for seed, key in ((1, "Key me:secret"), (2, "Key me:other"), (1, "Key you:secret")):
        mock = await start(seed=seed)
        body = GOOD | {"image_url": HOSTED}
        path = f"/fal-ai/veo2/image-to-video?fal_webhook={receiver.url}"
        await mock.http.post(path, json=body, headers={"Authorization": key})
        await mock.pass_time(6)

    one, same, other = (dict(receiver.headers(number))["x-fal-webhook-user-id"] for number in range(3))
    assert (one == same, one == other) == (True, False)


async def test_key_set_has_two_keys_with_padding(mock: Mock) -> None:
    answer = await mock.http.get("/.well-known/jwks.json", headers={"Host": "rest.fal.ai"})

    keys = answer.json()["keys"]
    assert [list(key) for key in keys] == [["kty", "crv", "kid", "x", "use"]] * 2
    for key in keys:
        assert (key["kty"], key["crv"], key["use"]) == ("OKP", "Ed25519", "sig")
        assert re.fullmatch("[A-Za-z0-9_-]{43}", key["kid"])
        assert re.fullmatch("[A-Za-z0-9_-]{43}=", key["x"])
    assert len({key["kid"] for key in keys} | {key["x"] for key in keys}) == 4


async def test_retries_come_after_the_recorded_pauses_with_the_same_body_and_another_signature(
    mock: Mock, receiver: Arrivals
) -> None:
    receiver.status = "400 Bad Request"
    await mock.submit(query=f"?fal_webhook={receiver.url}")
    times: list[float] = []
    for _ in range(1200):
        await mock.pass_time(1)
        times += [mock.clock.now()] * (len(receiver.heads) - len(times))

    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert len(gaps) >= len(PAUSES)
    for gap, recorded in zip(gaps, PAUSES, strict=False):
        assert 0.8 * recorded - 1 <= gap <= 1.2 * recorded + 1
    assert len(set(receiver.bodies)) == 1
    sent = [dict(receiver.headers(number)) for number in range(len(receiver.heads))]
    assert len({each["x-fal-webhook-signature"] for each in sent}) == len(sent)
    stamps = [int(each["x-fal-webhook-timestamp"]) for each in sent]
    assert stamps == sorted(stamps)


async def test_pauses_are_the_same_for_the_same_seed(start: Start) -> None:
    stamps = []
    for seed in (1, 1, 2):
        mock = await start(seed=seed)
        async with receiving() as receiver:
            receiver.status = "500 Internal Server Error"
            await mock.submit(query=f"?fal_webhook={receiver.url}")
            await mock.pass_time(600)
            sent = [dict(receiver.headers(number)) for number in range(len(receiver.heads))]
        stamps.append([int(each["x-fal-webhook-timestamp"]) for each in sent])

    assert stamps[0] == stamps[1]
    assert stamps[0] != stamps[2]


async def test_new_key_is_published_before_it_signs(mock: Mock, receiver: Arrivals) -> None:
    address = "/rest.fal.ai/.well-known/jwks.json"
    before = (await mock.http.get(address)).json()["keys"]
    await deliver(mock, receiver, prompt="[[fal: webhook_rotated_key]]")
    after = (await mock.http.get(address)).json()["keys"]

    (new,) = (key for key in after if key not in before)
    headers = dict(receiver.headers())
    names = ("request-id", "user-id", "timestamp")
    lines = [
        *(headers[f"x-fal-webhook-{name}"] for name in names),
        hashlib.sha256(receiver.bodies[0]).hexdigest(),
    ]
    (raw,) = keys_of({"keys": [new]})
    signature = bytes.fromhex(headers["x-fal-webhook-signature"])
    Ed25519PublicKey.from_public_bytes(raw).verify(signature, "\n".join(lines).encode())
