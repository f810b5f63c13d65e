"""Names of one label, such as that of a compose service: which of them are the emulator's own."""

from __future__ import annotations

import socket
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from emulated import GOOD, KEY, Mock

from falmock.app import create_app
from falmock.http import own_names

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Start = Callable[..., Awaitable[Mock]]

HERE = "172.18.0.2"


class Names:
    """A name server that counts."""

    def __init__(self, **addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    def __call__(self, name: str) -> list[str]:
        self.asked.append(name)
        return self.addresses.get(name, "").split()


@asynccontextmanager
async def arriving(
    mock: Mock, look_up: Callable[[str], Any] | None, at: str = HERE, peer: str = "172.18.0.3"
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client that calls from another machine, to an address of this one."""
    transport = httpx.ASGITransport(create_app(mock.emulator, look_up=look_up), client=(peer, 4711))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{at}:8787") as http:
        yield http


async def health(http: httpx.AsyncClient, name: str) -> int:
    return (await http.get("/health", headers={"Host": name})).status_code


@pytest.mark.parametrize(
    ("name", "addresses", "at", "status"),
    [
        ("falmock", HERE, HERE, 200),
        ("falmock:8787", HERE, HERE, 200),
        ("FALMOCK.", HERE, HERE, 200),
        ("falmock", f"10.0.0.9 {HERE}", HERE, 200),
        ("falmock", "2001:db8::2", "[2001:db8::2]", 200),
        ("falmock", HERE, f"[::ffff:{HERE}]", 200),
        ("falmock", "", HERE, 421),
        ("falmock", "172.18.0.3", HERE, 421),  # another machine's
        ("falmock", HERE, "127.0.0.1", 421),  # the browser got another answer
        ("falmock.evil.example", HERE, HERE, 421),
        ("evil.example", HERE, HERE, 421),
        ("com.", HERE, HERE, 421),
    ],
)
async def test_a_name_of_one_label_is_own_if_it_leads_to_the_address_of_the_call(
    mock: Mock, name: str, addresses: str, at: str, status: int
) -> None:
    names = Names(falmock=addresses, **{"falmock.evil.example": HERE, "evil.example": HERE})
    async with arriving(mock, names, at) as http:
        assert await health(http, name) == status


async def test_answers_under_a_service_name_have_urls_with_that_name(mock: Mock) -> None:
    async with arriving(mock, Names(falmock=HERE)) as http:
        answer = await http.post(
            "/fal-ai/veo2/image-to-video", json=GOOD, headers=KEY | {"Host": "falmock:8787"}
        )

    assert answer.json()["status_url"].startswith("http://falmock:8787/fal-ai/veo2/requests/")


async def test_a_page_under_a_service_name_may_call_and_a_page_of_another_name_may_not(mock: Mock) -> None:
    async with arriving(mock, Names(falmock=HERE, other="172.18.0.3")) as http:
        answers = [
            await http.get("/health", headers={"Host": "falmock:8787", "Origin": f"http://{origin}"})
            for origin in ("falmock:8787", "other:8787", "falmock:3000")
        ]

    assert [answer.status_code for answer in answers] == [200, 403, 403]


async def test_a_name_of_the_hosts_file_opens_no_control_api(
    mock: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 falmock")
    monkeypatch.setattr(own_names, "HOSTS", tmp_path / "hosts")
    async with arriving(mock, None, "127.0.0.1", "127.0.0.1") as http:
        assert await health(http, "falmock") == 200
        answer = await http.get("/control/clock", headers={"Host": "falmock"})

    assert (answer.status_code, "--hostname falmock" in answer.json()["detail"]) == (403, True)


async def test_an_own_name_is_looked_up_once_and_known_names_never(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_names, "AGAIN_SECONDS", 0)
    mock = await start(hostnames=("given",))
    names = Names(falmock=HERE)
    async with arriving(mock, names) as http:
        found = [await health(http, name) for name in ("falmock", "localhost", "given", HERE, "[::1]") * 3]

    assert (found, names.asked) == ([200] * 15, ["falmock"])


async def test_a_name_that_led_elsewhere_is_looked_up_again_after_a_while(
    mock: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(falmock="172.18.0.9")
    async with arriving(mock, names) as http:
        before = [await health(http, "falmock") for _ in range(2)]
        names.addresses["falmock"] = HERE
        monkeypatch.setattr(own_names, "AGAIN_SECONDS", 0)
        after = await health(http, "falmock")

    assert (before, after, names.asked) == ([421, 421], 200, ["falmock"] * 2)


async def test_only_the_newest_names_are_remembered(mock: Mock) -> None:
    names = Names(falmock=HERE)
    async with arriving(mock, names) as http:
        for name in ("falmock", *(f"n{number}x" for number in range(own_names.MOST_NAMES)), "falmock"):
            await health(http, name)

    assert names.asked.count("falmock") == 2


async def test_a_slow_name_server_holds_up_no_other_call_and_one_thread_at_most(
    mock: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_names, "LOOK_UP_SECONDS", 0.05)
    asked, answered = [], threading.Event()

    def look_up(name: str) -> list[str]:
        asked.append(name)
        answered.wait()
        return [HERE]

    slow: list[int] = []

    async def call(name: str) -> None:
        slow.append(await health(http, name))

    async with arriving(mock, look_up) as http:
        try:
            async with anyio.create_task_group() as group:
                for number in range(8):
                    group.start_soon(call, f"n{number}x")
                assert await health(http, "localhost") == 200
        finally:
            answered.set()

    assert (slow, len(asked)) == ([421] * 8, 1)


def resolved(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Make the system's resolver return this for every name."""

    def getaddrinfo(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    ("file", "status"),
    [
        ("127.0.0.1 localhost\n", 421),
        ("127.0.0.1 localhost Falmock # mine\n", 200),
        ("127.0.1.1 falmock\n127.0.0.1 other\n", 421),
        ("# 127.0.0.1 falmock\n\n", 421),
        (None, 421),
    ],
)
async def test_at_a_loopback_address_the_hosts_file_decides_and_no_name_server(
    mock: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str | None, status: int
) -> None:
    if file is not None:
        (tmp_path / "hosts").write_text(file)
    monkeypatch.setattr(own_names, "HOSTS", tmp_path / "hosts")
    names = Names(falmock="127.0.0.1")
    async with arriving(mock, names, "127.0.0.1", "127.0.0.1") as http:
        assert await health(http, "falmock") == status

    assert names.asked == []


async def test_a_name_that_nobody_knows_is_refused(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with arriving(mock, None) as http:
        assert await health(http, "falmock") == 421


@pytest.mark.parametrize(("sealed", "status"), [(False, 200), (True, 421)])
async def test_a_sealed_emulator_asks_no_name_server(
    start: Start, monkeypatch: pytest.MonkeyPatch, sealed: bool, status: int
) -> None:
    mock = await start(sealed=sealed)
    resolved(monkeypatch, HERE)
    async with arriving(mock, None) as http:
        assert await health(http, "falmock-of-this-test") == status
