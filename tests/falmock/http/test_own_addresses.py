"""Webhooks and input images do not lead to the emulator itself, and go only where the settings say."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from emulated import ENDPOINT, GOOD, KEY, png, serving
from processes import Receiver, Served, served
from programs import through_falmock

from falmock.http.server import listen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from emulated import Mock

    Start = Callable[..., Awaitable[Mock]]

ITSELF = [
    "127.0.0.1",
    "localhost",
    "LOCALHOST.",
    "x.localhost",
    "127.1",
    "0x7f.1",
    "0.0.0.0",
    "[::ffff:127.0.0.1]",
]


@pytest.mark.parametrize("host", ITSELF)
@pytest.mark.parametrize("base", ["", "/fal.run"])
async def test_submit_with_a_webhook_to_the_emulator_itself_is_refused(
    mock: Mock, base: str, host: str
) -> None:
    async with serving(mock.emulator) as address, httpx.AsyncClient(base_url=address, headers=KEY) as http:
        hook = f"http://{host}:{address.rpartition(':')[2]}/control/reset"
        answer = await http.post(f"{base}/{ENDPOINT}", json=GOOD, params={"fal_webhook": hook})

    assert (answer.status_code, answer.headers["x-fal-error-type"]) == (400, "bad_request")
    assert answer.json()["error_type"] == "bad_request"
    assert re.fullmatch(
        r"Invalid fal_webhook parameter: \S+ port \d+ is falmock itself", answer.json()["detail"]
    )
    assert mock.emulator.store.requests() == []


@pytest.mark.parametrize("hook", ["https://queue.fal.run/x", "https://v3.fal.media/x", "https://fal.ai./x"])
async def test_submit_with_a_webhook_to_a_fal_host_is_refused(start: Start, hook: str) -> None:
    mock = await start(webhooks="any")

    answer = await mock.http.post(f"/{ENDPOINT}", json=GOOD, params={"fal_webhook": hook}, headers=KEY)

    assert (answer.status_code, answer.json()["error_type"]) == (400, "bad_request")
    assert "is a host of fal's, which falmock emulates" in answer.json()["detail"]


@pytest.mark.parametrize(
    "hook",
    [
        "http://[::1]x:1/",
        "http://127.0.0.1\\@evil.example/",
        "http://127。0。0。1/",
        "http://１２７.0.0.1/",
        "http://a..b:99999/",
        "http://",
        "http://\ud800/",
    ],
)
async def test_submit_with_an_ambiguous_webhook_url_is_refused(mock: Mock, hook: str) -> None:
    query = httpx.QueryParams({"fal_webhook": hook.encode("utf-8", "surrogatepass")})

    answer = await mock.http.post(f"/{ENDPOINT}?{query}", json=GOOD, headers=KEY)

    assert (answer.status_code, answer.json()["error_type"]) == (400, "bad_request")


async def test_webhook_is_not_delivered_to_a_port_that_the_emulator_has_opened_since(mock: Mock) -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        submitted = await mock.submit(query=f"?fal_webhook=http://x.localhost:{port}/hook")
        mock.emulator.dialler.own.add(listener)
        await mock.pass_time(6)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()

    delivery = mock.emulator.store.delivery(submitted["request_id"])
    assert delivery is not None
    assert (delivery.outcome, delivery.last) == ("pending", f"x.localhost port {port} is falmock itself")


@pytest.mark.parametrize("host", ["x.localhost", "127.1", "[::ffff:127.0.0.1]"])
async def test_webhook_to_any_form_of_a_loopback_address_is_delivered(mock: Mock, host: str) -> None:
    with Receiver() as receiver:
        port = receiver.url.rpartition(":")[2].removesuffix("/hook")
        submitted = await mock.submit(query=f"?fal_webhook=http://{host}:{port}/hook")
        await mock.pass_time(60)

        assert receiver.next()["request_id"] == submitted["request_id"]


@pytest.mark.parametrize(
    "host", ["[2002:7f00:1::1]", "[64:ff9b::7f00:1]", "0.0.0.0", "127.0.0.1.evil.example"]
)
async def test_webhook_to_an_address_that_only_embeds_loopback_is_not_sent(mock: Mock, host: str) -> None:
    submitted = await mock.submit(query=f"?fal_webhook=http://{host}:3000/hook")
    await mock.pass_time(60)

    delivery = mock.emulator.store.delivery(submitted["request_id"])
    assert delivery is not None
    assert (delivery.outcome, delivery.last) == ("refused", "not local")


async def test_input_image_at_the_emulator_itself_is_a_download_error(mock: Mock) -> None:
    async with serving(mock.emulator) as address:
        answer = await mock.finish(f"{address}/control/clock")

    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (422, "file_download_error")


async def test_input_image_on_the_emulators_cdn_is_read_from_disk(mock: Mock) -> None:
    async with serving(mock.emulator) as address, httpx.AsyncClient(base_url=address, headers=KEY) as http:
        token = (await http.post("/rest.fal.ai/storage/auth/token", json={})).json()["token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "image/png"}
        uploaded = await http.post("/v3.fal.media/files/upload", content=png(), headers=headers)
        answer = await mock.finish(uploaded.json()["access_url"])

    assert answer.status_code == 200


# All ports of a served emulator


@pytest.fixture(scope="module")
def emulator() -> Iterator[Served]:
    with served("--ephemeral") as server:
        server.wait_for(r"tls, proxy +(http\S+)  (http\S+)")
        yield server


def ports(server: Served) -> dict[str, str]:
    found = re.search(r"tls, proxy +https://\S+:(\d+) +http://\S+:(\d+)", server.log)
    assert found is not None
    return {"plain": str(server.port), "tls": found[1], "proxy": found[2]}


@pytest.mark.parametrize("at", ["plain", "tls", "proxy"])
@pytest.mark.parametrize("through_proxy", [False, True])
def test_webhook_to_any_port_of_the_emulator_is_refused(
    emulator: Served, at: str, through_proxy: bool
) -> None:
    there = ports(emulator)
    hook = f"{'https' if at == 'tls' else 'http'}://localhost:{there[at]}/control/reset"
    proxy = f"http://127.0.0.1:{there['proxy']}" if through_proxy else None
    base = "http://queue.fal.run" if through_proxy else emulator.address
    # A key that no other test uses: the pytest plugin, which other tests run, refuses calls with theirs.
    key = {"Authorization": "Key own:addresses"}
    with httpx.Client(proxy=proxy, trust_env=False, headers=key) as http:
        answer = http.post(f"{base}/{ENDPOINT}", json=GOOD, params={"fal_webhook": hook})

    assert answer.status_code == 400
    assert "is falmock itself" in answer.json()["detail"]


# Sealed

PROGRAM = """if True:
    import json, os, sys, urllib.request

    def call(path, body=None):
        url = os.environ["FALMOCK_URL"] + path
        headers = {"Authorization": "Key me:secret", "Content-Type": "application/json"}
        request = urllib.request.Request(url, body, headers)
        return json.load(urllib.request.urlopen(request))

    image = {"prompt": "A lego chef", "image_url": "http://image.example/chef.png"}
    path = "/fal-ai/veo2/image-to-video?fal_webhook=http://hook.example/x"
    submitted = call(path, json.dumps(image).encode())
    request_id = submitted["request_id"]
    call(f"/control/requests/{request_id}/wait")
    call(f"/control/webhooks/{request_id}/wait")
"""


def looked_up(*flags: str) -> set[str]:
    """Return the names that were looked up on behalf of a request with a webhook and an image far away."""
    ran = through_falmock(
        sys.executable, "-c", PROGRAM, flags=("--webhooks", "any", "--fetch", "--time-scale", "10000", *flags)
    )
    assert ran.code == 0, ran.err
    return {name for name in ran.looked_up if name.endswith(".example")}


def test_sealed_emulator_makes_no_lookup_or_call_for_webhooks_and_images() -> None:
    assert looked_up("--sealed") == set()


def test_emulator_that_is_not_sealed_makes_these_lookups() -> None:
    assert looked_up() == {"hook.example", "image.example"}
