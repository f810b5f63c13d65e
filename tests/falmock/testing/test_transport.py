from __future__ import annotations

import asyncio
import gc
import os
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import fal_client
import httpx
import pytest
from emulated import ENDPOINT, GOOD, KEY, Mock, png

from falmock.app import create_app
from falmock.settings import Settings, Span
from falmock.testing.transport import LeakError, offline, redirected

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

QUICK = Settings(media="plain", queue_seconds=Span(0, 0), run_seconds=Span(0, 0))
SUBMIT = f"https://queue.fal.run/{ENDPOINT}"

# fal's client leaves connections to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    yield
    gc.collect()


def test_fal_client_gets_a_result_offline() -> None:
    with offline(QUICK):
        client = fal_client.SyncClient(key="me:key")
        url = client.upload(png(), "image/png")
        result: Any = client.subscribe(ENDPOINT, GOOD | {"image_url": url}, with_logs=True)

    assert result["video"]["url"].startswith("https://v3b.fal.media/")


def test_a_client_without_a_key_gets_one_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAL_KEY", raising=False)
    with offline(QUICK) as emulator:
        fal_client.SyncClient().submit(ENDPOINT, GOOD)
        callers = [request.caller for page in emulator.store.request_pages() for request in page]

    assert callers == ["falmock"]
    assert "FAL_KEY" not in os.environ


def test_a_key_that_is_set_is_kept_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAL_KEY", "me:secret")
    with offline(QUICK):
        assert os.environ["FAL_KEY"] == "me:secret"


def test_the_asynchronous_fal_client_gets_a_result_offline() -> None:
    async def subscribe() -> Any:
        return await fal_client.AsyncClient(key="me:key").subscribe(ENDPOINT, GOOD)

    with offline(QUICK):
        assert "video" in asyncio.run(subscribe())


async def test_redirected_calls_reach_an_emulator_with_a_manual_clock(mock: Mock) -> None:
    with redirected(create_app(mock.emulator), asyncio.get_running_loop()):
        async with httpx.AsyncClient(headers=KEY) as http:
            submitted = (await http.post(SUBMIT, json=GOOD)).json()
            await mock.pass_time(60)
            status = await http.get(submitted["status_url"])

    assert status.json()["status"] == "COMPLETED"


def test_a_status_stream_arrives_as_a_whole() -> None:
    with offline(QUICK), httpx.Client(headers=KEY) as http:
        submitted = http.post(SUBMIT, json=GOOD).json()
        events = http.get(f"{submitted['status_url']}/stream").text.split("\n\n")

    assert '"status":"COMPLETED"' in events[-2]


@pytest.mark.parametrize("host", ["gateway.fal.ai", "queue.falrun.com", "ws.fal.run"])
def test_a_call_to_a_host_that_is_not_emulated_is_an_error(host: str) -> None:
    with offline(QUICK), pytest.raises(LeakError, match=host):
        httpx.get(f"https://{host}/x")


def test_calls_to_other_hosts_are_sent_as_usual() -> None:
    with offline(QUICK), pytest.raises(httpx.ConnectError):
        httpx.get("http://127.0.0.1:1/")


def test_blocks_that_overlap_may_end_in_any_order() -> None:
    before = httpx.HTTPTransport.handle_request, socket.getaddrinfo
    first, second = ExitStack(), ExitStack()

    first.enter_context(offline(QUICK))
    emulator = second.enter_context(offline(QUICK))
    first.close()
    with second:
        answer = httpx.post(SUBMIT, json=GOOD, headers=KEY)
        with pytest.raises(LeakError):
            socket.getaddrinfo("queue.fal.run", 443)
        assert [row.id for page in emulator.store.request_pages() for row in page] == [
            answer.json()["request_id"]
        ]

    assert (httpx.HTTPTransport.handle_request, socket.getaddrinfo) == before


@pytest.mark.parametrize("resolve", ["gethostbyname", "gethostbyname_ex"])
def test_a_host_of_fals_is_not_looked_up_in_any_way(resolve: str) -> None:
    with offline(QUICK), pytest.raises(LeakError, match="only calls by httpx reach the emulator"):
        getattr(socket, resolve)("queue.fal.run")


async def look_up() -> None:
    await asyncio.get_running_loop().getaddrinfo("queue.fal.run", 443)


async def connect() -> None:
    await asyncio.open_connection("queue.fal.run", 443)


@pytest.mark.parametrize("call", [look_up, connect])
def test_a_host_of_fals_is_not_looked_up_by_uvloop(call: Callable[[], Coroutine[Any, Any, None]]) -> None:
    uvloop = pytest.importorskip("uvloop")

    with offline(QUICK), pytest.raises(LeakError, match="only calls by httpx reach the emulator"):
        uvloop.run(call())


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_call_of_a_forked_process_is_an_error() -> None:
    with offline(QUICK):
        child = os.fork()
        if child == 0:
            try:
                httpx.post(SUBMIT, json=GOOD, headers=KEY)
            except RuntimeError as error:
                os._exit(7 if "in a forked process" in str(error) else 1)
            finally:
                os._exit(2)
        _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 7


def test_calls_are_sent_as_usual_after_the_block() -> None:
    with offline(QUICK):
        pass
    transport = httpx.MockTransport(lambda _: httpx.Response(204))

    with httpx.Client(transport=transport) as http:
        assert http.get(SUBMIT).status_code == 204
